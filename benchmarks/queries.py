"""Database queries that pages take, counted in a process of its own on the site of DLM_HOME.

python -m benchmarks.queries < requests.json

Asks as the operator for a JSON list of `[path, form or null, body or null]` (GET, POST of a form, POST of JSON) and
prints the queries of each as a JSON list.
"""

import json
import os
import sys
from typing import Any

import django


def main(asked: list[tuple[str, dict[str, str] | None, dict[str, Any] | None]]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmodeler_site.settings")
    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(get_user_model().objects.filter(is_superuser=True)[0])

    def ask(path: str, form: dict[str, str] | None, body: dict[str, Any] | None) -> None:
        if form is not None:
            answer = client.post(path, form)
        elif body is not None:
            answer = client.post(path, body, content_type="application/json")
        else:
            answer = client.get(path)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}")
        answer.close()

    counted = []
    for path, form, body in asked:
        ask(path, form, body)  # what is cached for later requests is not counted
        with CaptureQueriesContext(connection) as queries:
            ask(path, form, body)
        counted.append(len(queries))
    print(json.dumps(counted))


if __name__ == "__main__":
    main(json.load(sys.stdin))
