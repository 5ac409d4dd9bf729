"""What every test finds: see also `environment.py`, which runs first."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.ceph import Ceph, missing, start

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_configure() -> None:
    """What only costs time in tests: slow password hashes, and static files collected under hashed names."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "whitenoise" not in name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `--dist loadgroup`, keep a file on one worker, and all slow tests one after the other on one."""
    for item in items:
        group = "slow" if item.get_closest_marker("slow") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    # The slow ones take longest: they start first.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _empty_workspace() -> Iterator[None]:
    """Ids come again after a rolled-back test, and paths are made from them."""
    yield
    for folder in ("project", "thumbnails", ".work"):
        shutil.rmtree(Path(settings.DLM_HOME) / "workspace" / folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _traffic_is_written_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread writes to the database of a test beside it."""
    monkeypatch.setattr("deployments.traffic.recorder.Recorder._start", lambda self: None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos with labels, where this checkout has them beside it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def ceph() -> Ceph:
    """A real S3 server, started by the first test that asks for it (1 s)."""
    if reason := missing():
        pytest.skip(reason)
    return start()
