"""Database queries that pages take, counted in a process of its own on the site of DLM_HOME.

python -m benchmarks.queries PATH …

Asks as the operator and prints {path: queries} as JSON.
"""

import json
import os
import sys

import django


def main(paths: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmodeler_site.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(get_user_model().objects.filter(is_superuser=True)[0])
    counted = {}
    for path in paths:
        client.get(path)  # what is cached for later requests is not counted
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}")
        counted[path] = len(queries)
    print(json.dumps(counted))


if __name__ == "__main__":
    main(sys.argv[1:])
