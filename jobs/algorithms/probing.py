"""What the probes of the algorithms share: the seconds of each part of a training."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Parts:
    """Seconds of each part of the training."""

    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, work: Callable[[], T]) -> tuple[T, float]:
        """What `work` answers, and the seconds that it took."""
        started = time.monotonic()
        done = work()
        return done, time.monotonic() - started

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 2)


def seconds_since_start() -> float:
    """Since this process was started, the loading of its modules included."""
    ticks = float(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")
