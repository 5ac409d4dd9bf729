"""Arrays that trainings make once and share, memory-mapped: `<key>.npy` in the cache of a site (docs/contracts.md)."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _


@contextmanager
def locked(run: RunFolder, path: Path) -> Iterator[None]:
    """Let one of several trainings that start together make the array, and the others wait for it."""
    with open(path.with_suffix(".lock"), "wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                run.check_stop()
                time.sleep(0.1)
        yield


def open_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[NDArray[Any], BinaryIO] | None:
    """The array, mapped read-only, and its file: while that is open, a shared lock keeps it from being evicted."""
    try:
        file = path.open("rb")
        fcntl.flock(file, fcntl.LOCK_SH)
        array: NDArray[Any] = np.load(path, mmap_mode="r")
    except (OSError, ValueError):  # Absent, evicted just now, or damaged: it is made again.
        return None
    if array.shape != shape or array.dtype != dtype:
        return None
    os.utime(path)  # What was used last is evicted last.
    return array, file


def allocate(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Make a file with room for the array, so that a full disk is an error here and not a SIGBUS later."""
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    size_bytes = path.stat().st_size
    try:
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        path.unlink()
        raise RunError(
            _(
                "What the training keeps of its images needs %(size).0f MB of disk and cannot be stored (%(cause)s). "
                "Make room on the disk of the cache.",
                size=size_bytes / 1e6,
                cause=error.strerror,
            ),
            reason="disk_full",
        ) from error
