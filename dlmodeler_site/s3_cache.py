"""The local copies of what lies in the workspace's bucket: files under their hash, trees under their prefix's."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from dlmodeler_site.local_cache import delete_abandoned, evict_unless_used

_FREE_SHARE = 0.1  # of the disk: below it, nothing is kept that was not asked for


def cached_file(sha256: str) -> Path:
    return _folder("files") / sha256[:2] / sha256


def cached_tree(prefix: str) -> Path:
    return _folder("trees") / hashlib.sha256(prefix.encode()).hexdigest()


def is_cached(path: Path) -> bool:
    """Whether it is there; if so, it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def keep(source: Path, sha256: str) -> None:
    """Move a local file into the cache, where there is room."""
    disk = shutil.disk_usage(settings.DLM_CACHE)
    if disk.free < disk.total * _FREE_SHARE:
        return
    cached = cached_file(sha256)
    cached.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_dev == cached.parent.stat().st_dev:
        os.utime(source)
        os.replace(source, cached)


@dataclass(frozen=True)
class CachedFiles:
    """Implements `local_cache.Kind`. `oldest_run` answers when the oldest of the running work began: it may be using
    whatever was used since.
    """

    oldest_run: Callable[[], float | None]

    def entries(self) -> Iterator[tuple[float, int, Path]]:
        if not _folder("files").is_dir():
            return
        kept_since = self.oldest_run() or time.time()
        for folder in _scan(_folder("files")):
            for entry in _scan(Path(folder.path)):
                stat = entry.stat()
                yield _used(stat.st_mtime, kept_since), stat.st_size, Path(entry.path)

    def evict(self, path: Path, used_at: float) -> bool:
        return evict_unless_used(path, used_at)

    def tidy(self, before: float) -> None:
        delete_abandoned(_folder("files"), "*/.*", before=before)


@dataclass(frozen=True)
class CachedTrees:
    """Implements `local_cache.Kind`, as CachedFiles does."""

    oldest_run: Callable[[], float | None]

    def entries(self) -> Iterator[tuple[float, int, Path]]:
        if not _folder("trees").is_dir():
            return
        kept_since = self.oldest_run() or time.time()
        for entry in _scan(_folder("trees")):
            path = Path(entry.path)
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            yield _used(entry.stat().st_mtime, kept_since), size, path

    def evict(self, path: Path, used_at: float) -> bool:
        return evict_unless_used(path, used_at)

    def tidy(self, before: float) -> None:
        delete_abandoned(_folder("trees"), ".*", before=before)


def _folder(name: str) -> Path:
    return Path(settings.DLM_CACHE) / name


def _used(used_at: float, kept_since: float) -> float:
    return time.time() if used_at >= kept_since else used_at


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]
