"""Kills one process of a running site at a random moment, and checks that nothing is lost.

Used by `test_kill.py` (once each) and by `make soak` (five times each).
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from dlmodeler_site.demo.life_cycle import Site
from tests.e2e import life
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, wait_until
from tests.e2e.tus import PIECE_BYTES, Upload, sha256

WORK_TARGETS = ("training", "runner", "worker", "queue", "keeper", "web")
EPOCHS = 60
END_TIMEOUT_S = 240
ANSWER_TIMEOUT_S = 15


class Missed(Exception):
    """What was to be disturbed had ended before the moment of the kill."""


@dataclass
class Killer:
    """A running site with a job to train, and the randomness of the moments."""

    site: RunningSite
    client: Site
    job: dict[str, Any]
    moments: random.Random

    @classmethod
    def of(cls, site: RunningSite, job: dict[str, Any] | None = None, *, seed: int, folder: Any) -> "Killer":
        client = Site.login(site.address, USERNAME, PASSWORD)
        return cls(site, client, job or life.make_job(client, folder)[0], random.Random(seed))

    def victim(self, target: str) -> psutil.Process | None:
        """The process that plays this part at the moment."""
        children = [psutil.Process(pid) for pid in computing(self.site.home, "-m", "jobs.algorithms")]
        lineage = [children[0], *children[0].parents()] if children else []
        if target == "training":
            return lineage[0] if lineage else None
        if target == "runner":
            return lineage[1] if lineage else None
        if target == "worker":
            return lineage[2] if lineage else None
        words = {
            "queue": ("work.cluster",),
            "keeper": ("manage.py keep",),
            "web": ("gunicorn", "dlmodeler_site.wsgi"),
            "model server": ("deployments.modelserver", "--socket"),
        }[target]
        found = self.site.find(*words)
        return self.moments.choice(found) if found else None

    def kill_during_training(self, target: str, name: str) -> dict[str, Any]:
        """Kill the target while a training runs; the training must end completed, run once at a time."""
        training = life.start_training(self.client, self.job, name, epochs=EPOCHS, batch_size=10)
        path = f"/trainings/{training['id']}/"
        wait_until(lambda: computing(self.site.home, "-m", "jobs.algorithms"), timeout_s=60, what="the training runs")
        with most_at_once(self.site.home, "-m", "jobs.algorithms") as most:
            time.sleep(self.moments.uniform(0, 8))
            victim = wait_until(lambda: self.victim(target), timeout_s=30, what=f"there is a {target}")
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
            ended = self.wait_for_end(path)
        assert most[0] == 1, f"{most[0]} attempts of the training ran at once"
        assert ended["status"] == "completed", ended
        epochs = [row["epoch"] for row in self.client.get(f"{path}metrics/")]
        assert epochs == list(range(1, EPOCHS + 1)), epochs
        return ended

    def kill_during_upload(self, target: str, upload: Upload, *, within_s: float, bytes_per_s: float = 0) -> int:
        """Kill the web process or the supervisor while a file is uploaded; it must arrive whole.

        Answers the bytes that were sent twice; more than a piece, which can have been on its way, fails.
        """
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(upload.run, bytes_per_s=bytes_per_s)
            time.sleep(self.moments.uniform(0, within_s))
            if running.done():
                raise Missed
            if target == "supervisor":
                self.kill_supervisor()
                self.site.start()
            else:
                for process in self.site.find("gunicorn", "dlmodeler_site.wsgi"):
                    process.kill()
            ended = running.result()
        assert ended["state"] == "ok", ended
        (row,) = self.client.get(f"/data/{upload.data}/files/?search={upload.name}")["results"]
        assert row["sha256"] == sha256(upload.path), "what arrived is not what was sent"
        resent_bytes = upload.sent_bytes - upload.size_bytes
        assert 0 <= resent_bytes <= PIECE_BYTES, f"{resent_bytes} bytes were sent twice"
        return resent_bytes

    def wait_for_end(self, path: str) -> dict[str, Any]:
        def state() -> dict[str, Any] | None:
            with contextlib.suppress(requests.RequestException):
                got: dict[str, Any] = self.client.get(path)
                return got if got["status"] in ("completed", "failed", "cancelled") else None
            return None

        ended: dict[str, Any] = wait_until(state, timeout_s=END_TIMEOUT_S, what=f"{path} has ended")
        return ended

    def answers(self, deployment: dict[str, Any], token: str, image: bytes) -> bool:
        with contextlib.suppress(requests.RequestException):
            answer = requests.post(
                f"{deployment['address']}/predict", headers={"token": token}, files={"input": image}, timeout=5
            )
            return answer.status_code == 200
        return False

    def kill_supervisor(self) -> list[psutil.Process]:
        """Kill the supervisor; everything below it must be gone within 5 s. Answers what it had below."""
        below = self.site.processes()[1:]
        assert self.site.supervisor
        self.site.supervisor.kill()
        self.site.supervisor.wait()
        wait_until(lambda: not any(map(is_alive, below)), timeout_s=5, what="no orphan is left")
        return below


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def computing(home: Path, *words: str) -> list[int]:
    """Runs of a module for the site at `home`, orphans included: one process for each session, its leader if it lives.

    A run leads a session of its own. Its forks are no second run, nor are they while they die after their leader.
    """
    runs: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            line = Path(entry.path, "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(str(home) in word for word in line) and all(word in line for word in words):
                state, _parent, _group, session = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z" and runs.get(int(session)) != int(session):
                    runs[int(session)] = int(entry.name)
    return list(runs.values())


@contextlib.contextmanager
def most_at_once(home: Path, *words: str) -> Iterator[list[int]]:
    """Look ten times a second; the list holds the largest number of attempts seen to run at once."""
    done, most = threading.Event(), [0]

    def watch() -> None:
        while not done.wait(0.1):
            most[0] = max(most[0], len(computing(home, *words)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()
