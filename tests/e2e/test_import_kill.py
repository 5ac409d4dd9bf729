"""SIGKILL while objects are imported: all arrive, none is fetched twice but those on their way."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlmodeler_site.demo.life_cycle import Site
from tests.ceph import Ceph
from tests.e2e.imports import MOST_AGAIN, Bucket
from tests.e2e.kills import computing
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, running_site, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(300)]

OBJECTS = 300


@pytest.fixture(scope="module")
def site(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site"), DLM_S3_ENDPOINTS=ceph.endpoint) as running:
        yield running


def test_an_import_survives_the_kill_of_its_process(site: RunningSite, ceph: Ceph, tmp_path: Path) -> None:
    client = Site.login(site.address, USERNAME, PASSWORD)
    bucket = Bucket.of(ceph, tmp_path, count=OBJECTS)
    project = client.post("/projects/", {"name": "imports", "description": "from a bucket"})["id"]
    dataset = client.post("/datasets/", {"project": project, "name": "photos", "description": ""})["id"]
    path = bucket.start_import(client, bucket.connect(client, project), dataset, "killed")
    incoming = site.home / "workspace" / ".incoming" / f"data-{path.split('/')[2]}"
    wait_until(lambda: incoming.exists() and len(os.listdir(incoming)) > OBJECTS // 4, timeout_s=60, what="some came")
    (process,) = computing(site.home, "-m", "datasets.inspection")
    os.kill(process, signal.SIGKILL)
    came = len([name for name in os.listdir(incoming) if not name.endswith(".part")])
    assert came < OBJECTS, "the kill came too late to tell anything"
    client.wait(path)
    bucket.check(client, path)
    requests, _size_bytes = bucket.fetched_again()
    assert 0 <= requests <= MOST_AGAIN
    assert not incoming.exists()
