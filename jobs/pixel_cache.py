"""The decoded images of trainings (`jobs/algorithms/data.py` makes them) as a kind of what the cache keeps."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from dlmodeler_site.local_cache import delete_abandoned


def folder() -> Path:
    return Path(settings.DLM_CACHE) / "pixels"


class Pixels:
    """Implements `local_cache.Kind`. A training holds a shared lock on what it uses."""

    def entries(self) -> Iterator[tuple[float, int, Path]]:
        for path in folder().glob("*.npy"):
            with path.open("rb") as file:
                if _is_in_use(file):
                    os.utime(path)
            stat = path.stat()
            yield stat.st_mtime, stat.st_size, path

    def evict(self, path: Path, used_at: float) -> bool:
        with path.open("rb") as file:
            if _is_in_use(file) or path.stat().st_mtime != used_at:
                return False
            path.unlink()
            path.with_suffix(".lock").unlink(missing_ok=True)
        return True

    def tidy(self, before: float) -> None:
        delete_abandoned(folder(), ".*.npy.*", before=before)


def _is_in_use(file: BinaryIO) -> bool:
    """Whether a training has the file open; where not, none gets it before the file is closed here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
