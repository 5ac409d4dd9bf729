"""The seam between the site and whatever runs its processes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dlmodeler_site.compute.run_folder import RunFolder


@dataclass(frozen=True)
class Resources:
    """What a process may use. For cpu, count 1 = all cores of one worker; for gpu, whole GPUs."""

    kind: Literal["cpu", "gpu"] = "cpu"
    count: int = 1


class Handle(Protocol):
    """A started process."""

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""

    def wait(self, timeout_s: float) -> None:
        """Return at its end, or after so long."""

    def stop(self) -> None:
        """End it and all it started, now."""


class Backend(Protocol):
    """Starts processes on run folders; `tests/contracts/test_compute.py` runs over every implementation."""

    @property
    def blocking(self) -> bool:
        """Whether `start` returns only after the end."""

    def start(self, run: RunFolder, module: str, resources: Resources) -> Handle:
        """Start `python -m module RUN_FOLDER` with a clean environment; its output goes to `run.log`."""

    def gpus(self) -> int:
        """The number of GPUs at hand."""


def gpu_count() -> int:
    """GPUs of this machine, told by the driver's device files."""
    return sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia[0-9]*"))


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
