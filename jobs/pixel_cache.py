"""Keeps the decoded images of trainings (`jobs/algorithms/data.py` makes them) within their share of the disk."""

import fcntl
import logging
import os
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

log = logging.getLogger(__name__)

_YOUNG_S = 3600  # the next training on the same data, or the same one resumed, finds its images
_ABANDONED_S = 86400


def folder() -> Path:
    return Path(settings.DLM_CACHE) / "pixels"


def trim() -> None:
    """Delete what killed decoders left, and what was used least recently until the rest keeps to the limit."""
    if not folder().is_dir():
        return
    now = time.time()
    _delete_abandoned(before=now - _ABANDONED_S)
    cached = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder().glob("*.npy"))
    size_bytes = sum(size for _used_at, size, _path in cached)
    too_much_bytes = size_bytes - _limit_bytes(size_bytes)
    for used_at, size, path in cached:
        with path.open("rb") as file:
            if _is_in_use(file):
                os.utime(path)
            elif too_much_bytes > 0 and now - used_at > _YOUNG_S:
                path.unlink()
                path.with_suffix(".lock").unlink(missing_ok=True)
                too_much_bytes -= size
                log.info("evicted %s: %.0f MB, not used for %.0f h", path.name, size / 1e6, (now - used_at) / 3600)


def _limit_bytes(cached_bytes: int) -> int:
    if settings.DLM_CACHE_MB is not None:
        return int(settings.DLM_CACHE_MB) * 10**6
    return (shutil.disk_usage(folder()).free + cached_bytes) // 5


def _is_in_use(file: BinaryIO) -> bool:
    """Whether a training has the file open; where not, none gets it before the file is closed here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _delete_abandoned(*, before: float) -> None:
    for path in folder().glob(".*.npy.*"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
        except FileNotFoundError:  # RACE: its decoder has just finished
            continue
