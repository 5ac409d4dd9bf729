"""The seam between the site and whatever runs its processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dlmodeler_site.compute.run_folder import RunFolder


@dataclass(frozen=True)
class Resources:
    """What a process may use. For cpu, count 1 = all cores of one worker; for gpu, whole GPUs."""

    kind: Literal["cpu", "gpu"] = "cpu"
    count: int = 1
    devices: tuple[str, ...] = ()  # the GPUs that were given to it, by their names


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


def gpu_names(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs of this machine as CUDA knows them: those of DLM_GPUS, a number or names, else all that there are."""
    declared = environment.get("DLM_GPUS", "").strip()
    if declared.isdecimal():
        return tuple(map(str, range(int(declared))))
    if declared:
        return tuple(name for each in declared.split(",") if (name := each.strip()))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name for each in visible.split(",") if (name := each.strip()) and name != "-1")
    # The driver's device files.
    return tuple(
        sorted((path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()), key=int)
    )


def gpu_count(environment: Mapping[str, str] = os.environ) -> int:
    """How many GPUs this machine has."""
    return len(gpu_names(environment))


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
