"""Keeps what lies in DLM_CACHE, all of which can be made or fetched again, within its share of the disk."""

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from django.conf import settings

log = logging.getLogger(__name__)

YOUNG_S = 3600  # the next work on the same data, or the same one resumed, finds what it needs
ABANDONED_S = 86400


class Kind(Protocol):
    """One kind of what is kept, in a folder of its own."""

    def entries(self) -> Iterator[tuple[float, int, Path]]:
        """When each was used last, as a Unix time, its size in bytes, and where it is. What is in use is used now."""

    def evict(self, path: Path, used_at: float) -> bool:
        """Delete it unless it was used since; whether it is gone."""

    def tidy(self, before: float) -> None:
        """Delete what is older than this Unix time and was never finished."""


_kinds: list[Kind] = []


def register_kind(kind: Kind) -> None:
    _kinds.append(kind)


def trim() -> None:
    """Delete what was never finished, and what was used least recently until the rest keeps to the limit."""
    now = time.time()
    for kind in _kinds:
        kind.tidy(now - ABANDONED_S)
    size_bytes = sum(size for kind in _kinds for _used_at, size, _path in kind.entries())
    too_much_bytes = size_bytes - _limit_bytes(size_bytes)
    if too_much_bytes <= 0:
        return
    old = sorted(
        (used_at, size, path, index)
        for index, kind in enumerate(_kinds)
        for used_at, size, path in kind.entries()
        if now - used_at > YOUNG_S
    )
    evicted = evicted_bytes = 0
    for used_at, size, path, index in old:
        if evicted_bytes >= too_much_bytes:
            break
        if _kinds[index].evict(path, used_at):
            evicted, evicted_bytes = evicted + 1, evicted_bytes + size
    log.info("cache: evicted %s entries, %.0f MB of %.0f MB", evicted, evicted_bytes / 1e6, size_bytes / 1e6)


def _limit_bytes(cached_bytes: int) -> int:
    if settings.DLM_CACHE_MB is not None:
        return int(settings.DLM_CACHE_MB) * 10**6
    return (shutil.disk_usage(settings.DLM_CACHE).free + cached_bytes) // 5


def evict_unless_used(path: Path, used_at: float) -> bool:
    """Delete a file or folder whose time says that it was not used since `used_at`; whether it is gone.

    RACE: whoever uses it sets its time first, and fetches it again when that fails. So it is taken away, looked at,
    and put back when its time was set meanwhile.
    """
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return True
    if aside.stat().st_mtime == used_at:
        delete(aside)
        return True
    try:
        os.rename(aside, path)
    except OSError:  # it was fetched again already
        delete(aside)
    return False


def delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def delete_abandoned(folder: Path, pattern: str, *, before: float) -> None:
    """Delete what matches and was changed last before this Unix time."""
    for path in folder.glob(pattern):
        try:
            if path.stat().st_mtime < before:
                delete(path)
        except FileNotFoundError:  # RACE: it was finished just now
            continue
