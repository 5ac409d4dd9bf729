"""An end to decoders that go on for minutes: in C they hear of nothing but a signal that kills."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Ten times what the largest image that is read takes in the slowest of the formats.
DECODE_SECONDS = 60.0


@contextmanager
def cpu_limit(seconds: float | None) -> Iterator[None]:
    """End this process by a signal when the block takes more CPU time than that; None: it may take what it takes.

    Only for the main thread of worker processes, whose end costs one file (`parallel.map_files`).
    """
    if seconds is None:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
