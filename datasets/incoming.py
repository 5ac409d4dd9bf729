"""Where uploaded bytes wait until the whole request has arrived: one folder for each request, gone with it."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

_PREFIX = "request-"
_DATA_PREFIX = "data-"
_YOUNG_S = 60
_SILENCE_S = 60


@dataclass(frozen=True)
class ReceivedFile:
    """A file on local disk, as it was sent."""

    path: Path
    size_bytes: int
    sha256: str


@contextmanager
def request_folder() -> Iterator[Path]:
    """A folder for the files of one request; it is deleted at the end, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=settings.DLM_INCOMING))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # `sweep` sees by this that we live
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def data_folder(data_id: int) -> Path:
    """The folder for what is fetched for one data, over all attempts of its inspection."""
    return Path(settings.DLM_INCOMING) / f"{_DATA_PREFIX}{data_id}"


def data_folders() -> dict[int, Path]:
    """Every such folder that there is, by its data's id."""
    found = Path(settings.DLM_INCOMING).glob(f"{_DATA_PREFIX}*")
    return {int(folder.name.removeprefix(_DATA_PREFIX)): folder for folder in found}


def write_file(path: Path, chunks: Iterable[bytes]) -> ReceivedFile:
    """Write the chunks to a new file and hash them on the way."""
    digest = hashlib.sha256()
    size = 0
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return ReceivedFile(path, size, digest.hexdigest())


def limit_silence(request: HttpRequest) -> None:
    """Take a sender of whom nothing comes for a minute for gone: a connection that died unheard keeps a thread busy."""
    if socket := request.META.get("gunicorn.socket"):
        socket.settimeout(_SILENCE_S)


def sweep() -> None:
    """Delete the folders of requests whose process was killed."""
    for folder in Path(settings.DLM_INCOMING).glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _YOUNG_S:  # RACE: made, but not locked yet
                continue
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
