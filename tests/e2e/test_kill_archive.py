"""SIGKILL while an archive is unpacked and published: the same files as without it, each once, nothing left."""

import contextlib
import hashlib
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.photos import photos
from dlmodeler_site.demo.life_cycle import Site
from tests.e2e.kills import Killer, computing, most_at_once
from tests.e2e.site import RunningSite, running_site, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(600)]

FILES, CLASHES = 1500, 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def killer(site: RunningSite) -> Killer:
    return Killer.of(site, {"no": "job"}, seed=11, folder=None)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two zips of photos; some names are in both."""
    folder = tmp_path_factory.mktemp("archives")
    paths = photos(folder / "photos", count=FILES, size_px=300)
    made = []
    for name, some in (("one.zip", paths[: FILES // 2 + CLASHES]), ("two.zip", paths[FILES // 2 :])):
        made.append(folder / name)
        with zipfile.ZipFile(made[-1], "w") as archive:
            for path in some:
                archive.write(path, f"photos/{path.name}")
    return made


def inspecting(site: RunningSite) -> psutil.Process:
    (pid,) = wait_until(lambda: computing(site.home, "-m", "datasets.inspection"), timeout_s=60, what="it is inspected")
    return psutil.Process(pid)


def count_sound(site: RunningSite, data: int) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{site.home / 'db.sqlite3'}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM datasets_file WHERE data_id = ? AND state = 'ok'"
        return int(database.execute(query, (data,)).fetchone()[0])


def kill_inspection(killer: Killer, _data: int) -> None:
    process = inspecting(killer.site)
    time.sleep(killer.moments.uniform(0, 3))
    process.kill()


def kill_runner(killer: Killer, _data: int) -> None:
    runner = inspecting(killer.site).parent()
    assert runner
    time.sleep(killer.moments.uniform(0, 3))
    runner.kill()


def kill_worker_while_publishing(killer: Killer, data: int) -> None:
    worker = inspecting(killer.site).parents()[1]
    wait_until(lambda: count_sound(killer.site, data), timeout_s=60, what="files are published")
    worker.kill()


@pytest.mark.parametrize("kill", [kill_inspection, kill_runner, kill_worker_while_publishing])
def test_an_archive_survives_the_kill(
    kill: Callable[[Killer, int], None], killer: Killer, site: RunningSite, archives: list[Path]
) -> None:
    client = killer.client
    data = uploaded(client, archives, kill.__name__)
    path = f"/data/{data['id']}/"
    with most_at_once(site.home, "-m", "datasets.inspection") as most:
        client.post(f"{path}commit/")
        with contextlib.suppress(psutil.NoSuchProcess):
            kill(killer, data["id"])
        ended = killer.wait_for_end(path)
    assert most[0] == 1, f"{most[0]} attempts ran at once"
    assert ended["status"] == "completed", ended
    assert (ended["file_count"], ended["rejected_count"]) == (FILES, CLASHES)
    folder = site.home / "workspace" / ended["path"].removeprefix("/mnt/")
    wanted: dict[str, str] = {}
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            wanted |= {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}
    found = {
        each.relative_to(folder).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.rglob("*")
        if each.is_file()
    }
    assert found == wanted
    assert len(list((site.home / "workspace" / "thumbnails" / str(data["id"])).iterdir())) == FILES
    work = site.home / "workspace" / ".work" / "datasets.data" / str(data["id"])
    wait_until(lambda: not (work / "archives").exists(), timeout_s=10, what="the archives are gone")
    wait_until(lambda: not list((site.home / "runs").glob("datasets.data-*")), timeout_s=10, what="no run is left")


def uploaded(client: Site, archives: list[Path], name: str) -> dict[str, Any]:
    project = client.post("/projects/", {"name": name, "description": "archives"})
    dataset = client.post("/datasets/", {"project": project["id"], "name": name, "description": ""})
    data: dict[str, Any] = client.post("/data/", {"dataset": dataset["id"], "name": name, "description": ""})
    with contextlib.ExitStack() as opened:
        files = [("files", (path.name, opened.enter_context(path.open("rb")))) for path in archives]
        options = {"unzip": "true", "labels_from_folders": "true"}
        answers = client.post(f"/data/{data['id']}/files/", data=options, files=files)
    assert [answer["state"] for answer in answers] == ["ok", "ok"]
    return data
