"""SIGKILL of any process at a random moment: no work lost, none run twice at once, none stuck."""

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e import life
from tests.e2e.kills import ANSWER_TIMEOUT_S, WORK_TARGETS, Killer, computing
from tests.e2e.site import RunningSite, running_site, wait_until
from tests.e2e.tus import Upload, random_file

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def killer(site: RunningSite, tmp_path_factory: pytest.TempPathFactory) -> Killer:
    return Killer.of(site, seed=7, folder=tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("target", WORK_TARGETS)
def test_a_training_survives_the_kill_of(target: str, killer: Killer) -> None:
    killer.kill_during_training(target, f"killed-{target}")


@pytest.mark.parametrize("target", ["web", "supervisor"])
def test_an_upload_goes_on_after_the_kill_of(target: str, killer: Killer, tmp_path: Path) -> None:
    file = random_file(tmp_path / "large.bin", 30_000_000)
    dataset = killer.client.post("/datasets/", {"project": killer.job["project"], "name": target, "description": ""})
    data = killer.client.post("/data/", {"dataset": dataset["id"], "name": target, "description": ""})
    upload = Upload(killer.client, data["id"], file, file.name)
    killer.kill_during_upload(target, upload, within_s=1.5, bytes_per_s=15_000_000)
    assert upload.begun_again > 0


def test_who_lost_the_lease_ends_its_process(killer: Killer, site: RunningSite) -> None:
    training = life.start_training(killer.client, killer.job, "lease-lost", epochs=200, batch_size=10)
    (process,) = wait_until(
        lambda: computing(site.home, "-m", "jobs.algorithms"), timeout_s=60, what="the training runs"
    )
    with contextlib.closing(sqlite3.connect(site.home / "db.sqlite3", timeout=20)) as database, database:
        database.execute("UPDATE jobs_training SET lease = ? WHERE id = ?", (uuid.uuid4().hex, training["id"]))
    wait_until(
        lambda: process not in computing(site.home, "-m", "jobs.algorithms"), timeout_s=10, what="its process has ended"
    )
    path = f"/trainings/{training['id']}/"
    assert killer.client.get(path)["status"] == "running", "it may write no end: the lease is another's"
    wait_until(
        lambda: killer.client.get(path)["status"] == "running" and computing(site.home, "-m", "jobs.algorithms"),
        timeout_s=60,
        what="it was taken up again after that lease had lapsed",
    )
    killer.client.post(f"{path}stop/")
    assert killer.wait_for_end(path)["status"] == "cancelled"


def test_deployments_answer_again(killer: Killer, site: RunningSite, tmp_path: Path) -> None:
    training = life.start_training(killer.client, killer.job, "deployed", epochs=8, batch_size=10)
    deployment, token = life.deploy(killer.client, killer.wait_for_end(f"/trainings/{training['id']}/"), "colours")
    image = life.coloured_images(tmp_path, per_class=1)[0][0].read_bytes()
    assert killer.answers(deployment, token, image)
    for target in ("model server", "keeper"):
        victim = killer.victim(target)
        assert victim
        victim.kill()
        wait_until(
            lambda: killer.answers(deployment, token, image), timeout_s=ANSWER_TIMEOUT_S, what="it answers again"
        )
    long_training = life.start_training(killer.client, killer.job, "over-a-restart", epochs=60, batch_size=10)
    wait_until(lambda: computing(site.home, "-m", "jobs.algorithms"), timeout_s=60, what="the training runs")
    killer.kill_supervisor()
    with pytest.raises(requests.ConnectionError):
        requests.get(site.address, timeout=2)
    site.start()
    wait_until(lambda: killer.answers(deployment, token, image), timeout_s=ANSWER_TIMEOUT_S, what="it answers again")
    assert killer.wait_for_end(f"/trainings/{long_training['id']}/")["status"] == "completed"


def test_it_stops_cleanly_within_ten_seconds(site: RunningSite, killer: Killer) -> None:
    below = site.processes()[1:]
    assert site.stop() < 10
    assert not any(process.is_running() for process in below)
