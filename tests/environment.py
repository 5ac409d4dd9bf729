"""A pytest plugin (`-p tests.environment`) that gives each test process a home of its own.

pytest-django loads the settings before any conftest.py, so the environment is set here, at import.
"""

import atexit
import os
import shutil
import tempfile

from tests import postgres

HOME = tempfile.mkdtemp(prefix="dlm-test-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

wants_postgres = os.environ.get("DLM_TEST_POSTGRES") == "1"
is_xdist_worker = "PYTEST_XDIST_WORKER" in os.environ
if not is_xdist_worker:
    # What the developer's own site is configured with must not reach the tests.
    for name in [name for name in os.environ if name.startswith("DLM_")] + ["DATABASE_URL"]:
        os.environ.pop(name, None)
    if wants_postgres:
        os.environ["DATABASE_URL"] = postgres.start()  # the xdist workers inherit it
os.environ["DLM_HOME"] = HOME
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright runs an event loop in the thread that also uses the ORM
