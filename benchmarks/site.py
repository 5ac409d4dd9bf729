"""A running site for a measurement, and what its processes use."""

import contextlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from dlmodeler_site.demo.life_cycle import Site
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, running_site

MIB = 1024**2


@dataclass(frozen=True)
class Measured:
    """A running site, its operator as a client of the API, and a folder for the measurement's files."""

    site: RunningSite
    client: Site
    folder: Path


@contextlib.contextmanager
def measured_site(**environment: str) -> Iterator[Measured]:
    """A fresh site that is up inside the block; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        with running_site(home, **environment) as site:
            yield Measured(site, Site.login(site.address, USERNAME, PASSWORD), folder)


def machine() -> str:
    """How many cores there are, and how busy others keep them: it belongs beside every figure."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def part(process: psutil.Process) -> str:
    """What the process is in the site."""
    line = " ".join(process.cmdline())
    if match := re.search(r"dlmodeler_site\.(wsgi|serving_wsgi)", line):
        return {"wsgi": "web", "serving_wsgi": "serving"}[match[1]]
    if "work.cluster" in line:
        return f"queue {process.environ().get('Q_CLUSTER_NAME', '')}".strip()
    if "manage.py keep" in line:
        return "keeper"
    if "deployments.modelserver" in line:
        return "model server"
    if "dlmodeler_site.supervisor" in line:
        return "supervisor"
    if match := re.search(r"-m datasets\.(inspection|preprocessing)", line):
        parent = process.parent()
        return f"{match[1]} pool" if parent and parent.cmdline() == process.cmdline() else match[1]
    return line


def cpu_seconds(site: RunningSite) -> dict[str, float]:
    """CPU seconds that the living processes have used, by part of the site."""
    used: dict[str, float] = {}
    for process in site.processes():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            name = part(process)
            used[name] = used.get(name, 0.0) + times.user + times.system
    return used


def spent_seconds(site: RunningSite) -> float:
    """CPU seconds of the whole site, those of processes included that have ended meanwhile."""
    spent = 0.0
    for process in site.processes():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def proportional_bytes(process: psutil.Process) -> int:
    """The process's proportional set size; pages shared with others count in part."""
    return int(process.memory_full_info().pss)


class MemoryPeak:
    """Resident bytes of some processes together, looked at 20 times a second inside the block.

    `left_bytes`: by how much their proportional set size was larger at the block's end.
    """

    left_bytes = 0

    def __init__(self, processes: list[psutil.Process]) -> None:
        self.processes = processes
        self._proportional_before_bytes = sum(map(proportional_bytes, processes))
        self.before_bytes = self.peak_bytes = self._now_bytes()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryPeak":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self.left_bytes = sum(map(proportional_bytes, self.processes)) - self._proportional_before_bytes

    @property
    def growth_bytes(self) -> int:
        return self.peak_bytes - self.before_bytes

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.peak_bytes = max(self.peak_bytes, self._now_bytes())

    def _now_bytes(self) -> int:
        total = 0
        for process in self.processes:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total


class PartPeaks:
    """The most resident memory that a single process of each part of the site had inside the block, and when.

    The kernel keeps each process's peak; it is looked at twice a second, for processes that end meanwhile. `phase` is
    what the measurement does at the moment.
    """

    phase = ""

    def __init__(self, site: RunningSite) -> None:
        self.bytes: dict[str, tuple[int, str]] = {}
        self._site = site
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> "PartPeaks":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            for process in self._site.processes():
                with contextlib.suppress(psutil.Error, OSError):
                    name, peak_bytes = part(process), _peak_bytes(process.pid)
                    if peak_bytes > self.bytes.get(name, (0, ""))[0]:
                        self.bytes[name] = (peak_bytes, self.phase)


def _peak_bytes(pid: int) -> int:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) * 1024 if match else 0


def settle(site: RunningSite, *, timeout_s: float = 60) -> None:
    """Wait until the site has nothing to do any more."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        before = sum(cpu_seconds(site).values())
        time.sleep(2)
        if sum(cpu_seconds(site).values()) - before < 0.3:
            return
