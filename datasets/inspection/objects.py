"""Fetches objects of an S3-compatible storage by presigned URLs: several at a time, each from where it broke off.

What was fetched stays in a folder that outlives the attempt: `<id>-<version>` is whole, `….part` is the beginning of
one. Errors are told by their kind; a URL is a key to the object and never reaches a message or a log.
"""

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import urllib3

from datasets.presigned import DELAYS_S, Interrupted, StorageFailed, broken_off, refusal_of_one
from dlmodeler_site.outside import PrivateAddress, pool_manager
from dlmodeler_site.sentences import Sentence as _

CONNECTIONS = 8
# After so many objects in a row that could not be fetched the storage is given up for this time.
_MOST_MISSING = 2 * CONNECTIONS
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_CHUNK_BYTES = 1 << 20


class ObjectRefused(Exception):
    """One object is not to be had, now or later; the message says why in words for the user."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason


@dataclass(frozen=True)
class RemoteObject:
    """An object as it was listed, and what its file will be.

    `etag` may be empty; with it an object that changed since is noticed. `is_unpacked`: if it is an archive, and then
    `is_labelled`: its files by their folders.
    """

    id: int
    url: str
    size_bytes: int
    etag: str = ""
    name: str = ""
    label: str = ""
    is_unpacked: bool = False
    is_labelled: bool = False

    @property
    def file_name(self) -> str:
        """Tells the version too: what was fetched of another one must not be taken for a part of this."""
        version = hashlib.sha256(f"{self.etag}/{self.size_bytes}".encode()).hexdigest()[:12]
        return f"{self.id}-{version}"


@dataclass(frozen=True)
class Fetched:
    """What became of one object: its local path, or why it is refused."""

    object: RemoteObject
    path: Path | None = None
    error: ObjectRefused | None = None


class Fetcher:
    """Fetches objects into a folder. Call `fetch_all` once; `missing` and `problem` are complete after it."""

    def __init__(self, folder: Path, *, public_only: bool, delays_s: tuple[float, ...] = DELAYS_S) -> None:
        self.missing = 0
        self.problem: StorageFailed | None = None
        self._folder = folder
        self._delays_s = delays_s
        self._missing_in_a_row = 0
        self._gave_up = threading.Event()
        self._lock = threading.Lock()
        self._pool = pool_manager(public_only=public_only, timeout=_TIMEOUT, connections=CONNECTIONS)

    def fetch_all(self, objects: Iterable[RemoteObject]) -> Iterator[Fetched]:
        """Yield objects as they arrive; what is missing at the end is only counted."""
        remaining = iter(objects)
        pending: set[Future[Fetched | None]] = set()
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch") as threads:
            try:
                while True:
                    for each in islice(remaining, 4 * CONNECTIONS - len(pending)):
                        pending.add(threads.submit(self._fetch, each))
                    if not pending:
                        return
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from filter(None, (future.result() for future in finished))
            finally:
                self._gave_up.set()

    def _fetch(self, each: RemoteObject) -> Fetched | None:
        try:
            path = self._whole(each)
        except ObjectRefused as error:
            return Fetched(each, error=error)
        except StorageFailed as error:
            with self._lock:
                self.missing += 1
                self._missing_in_a_row += 1
                self.problem = self.problem or error
                if error.reason != "import_incomplete" or self._missing_in_a_row >= _MOST_MISSING:
                    self._gave_up.set()
            return None
        self._missing_in_a_row = 0
        return Fetched(each, path)

    def _whole(self, each: RemoteObject) -> Path:
        """Fetch what is missing of the object, as often as that gets further."""
        path = self._folder / each.file_name
        part = path.with_name(f"{path.name}.part")
        if _size(path) == each.size_bytes:
            return path
        failures = 0
        while not self._gave_up.is_set():
            before = _size(part)
            try:
                self._get(each, part)
            except Interrupted as interruption:
                failures = 1 if _size(part) > before else failures + 1
                if failures > len(self._delays_s):
                    raise StorageFailed(interruption.message) from None
                self._gave_up.wait(max(self._delays_s[failures - 1], interruption.wait_s))
                continue
            except ObjectRefused:
                part.unlink(missing_ok=True)
                raise
            os.replace(part, path)
            return path
        raise StorageFailed(_("the storage was given up after other objects had failed"))

    def _get(self, each: RemoteObject, part: Path) -> None:
        """One request, for what `part` does not have yet, which is added to it."""
        start = max(0, _size(part))
        if start >= each.size_bytes:
            part.unlink(missing_ok=True)
            start = 0
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        if each.etag:
            headers["If-Match"] = f'"{each.etag}"'
        try:
            answer = self._pool.request("GET", each.url, headers=headers, preload_content=False, redirect=False)
            try:
                _check(answer, each, start, part)
                with part.open("ab" if answer.status == 206 else "wb") as file:
                    for chunk in answer.stream(_CHUNK_BYTES, decode_content=False):
                        if file.tell() + len(chunk) > each.size_bytes:
                            raise _changed()
                        file.write(chunk)
            finally:
                answer.close()
                answer.release_conn()  # closing alone would not give its place in the pool back
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StorageFailed(_("The disk is full. Ask the operator to make room."), "disk_full") from None
        except PrivateAddress as error:
            raise StorageFailed(
                _("%(host)s leads into the private network, where connections may not lead.", host=error.host),
                "endpoint_private",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise broken_off(error) from None
        if _size(part) != each.size_bytes:
            raise Interrupted(_("the connection broke off"))


def _check(answer: urllib3.BaseHTTPResponse, each: RemoteObject, start: int, part: Path) -> None:
    """Raise what an answer other than the wanted content means."""
    status = answer.status
    if status in (200, 206):
        _check_version(answer, each, start if status == 206 else 0, part)
        return
    if status == 416:
        part.unlink(missing_ok=True)
        raise Interrupted(_("the storage answered with status %(status)d", status=status))
    code = refusal_of_one(answer)
    if status == 412:
        raise _changed()
    if status == 404:
        raise ObjectRefused(_("The object does not exist any more in the object storage."), "object_missing")
    if status == 403:
        raise ObjectRefused(_("The connection's key may not read this object."), "object_forbidden")
    raise ObjectRefused(
        _(
            "The object storage does not give this object: status %(status)d (%(code)s).",
            status=status,
            code=code or "–",
        ),
        "object_refused",
    )


def _check_version(answer: urllib3.BaseHTTPResponse, each: RemoteObject, start: int, part: Path) -> None:
    """Refuse an object that is not the listed one any more."""
    etag = answer.headers.get("ETag", "").removeprefix("W/").strip('"')
    if each.etag and etag and etag != each.etag:
        raise _changed()
    if answer.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            part.unlink(missing_ok=True)
            raise Interrupted(_("the storage answered with another part than it was asked for"))
        size_bytes = int(span[2])
    else:
        length = answer.headers.get("Content-Length", "")
        size_bytes = int(length) if length.isdigit() else each.size_bytes
    if size_bytes != each.size_bytes:
        raise _changed()


def _changed() -> ObjectRefused:
    return ObjectRefused(
        _("The object was changed in the object storage after it had been listed. Import it again."), "object_changed"
    )


def _size(path: Path) -> int:
    """The file's size in bytes; -1 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
