"""Puts files into an object storage by presigned addresses: several at a time, each as often as it takes."""

import base64
import hashlib
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import urllib3

from datasets.presigned import DELAYS_S, Interrupted, StorageFailed, broken_off, refusal_of_one
from dlmodeler_site.outside import PrivateAddress, pool_manager
from dlmodeler_site.sentences import Sentence as _

CONNECTIONS = 8
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_WAIT_S = 0.5
# After so many files in a row that the storage did not take it is given up for this time.
_MOST_IN_A_ROW = 2 * CONNECTIONS


@dataclass(frozen=True)
class LocalFile:
    """A file, the address that takes it, and the ETag of what is at its place now, if that is of the same size."""

    id: int
    name: str
    path: Path
    url: str
    size_bytes: int
    etag: str = ""
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class Sent:
    """What became of one file; `error` says in words for the user why it was not taken."""

    file: LocalFile
    was_there: bool = False
    error: str = ""


class _Refused(Exception):
    """The storage does not take this one file."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Sender:
    """Sends files. Call `send_all` once; `problem` says after it why it ended early, if it did."""

    def __init__(self, *, public_only: bool, delays_s: tuple[float, ...] = DELAYS_S) -> None:
        self.problem: StorageFailed | None = None
        self._delays_s = delays_s
        self._failed_in_a_row = 0
        self._gave_up = threading.Event()
        self._pool = pool_manager(public_only=public_only, timeout=_TIMEOUT, connections=CONNECTIONS)

    def send_all(self, files: Iterable[LocalFile]) -> Generator[Sent | None]:
        """Yield files as they have arrived, None now and then while none has; those not tried are left out."""
        remaining = iter(files)
        pending: set[Future[Sent | None]] = set()
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="send") as threads:
            try:
                while not self._gave_up.is_set():
                    for file in islice(remaining, 4 * CONNECTIONS - len(pending)):
                        pending.add(threads.submit(self._send, file))
                    if not pending:
                        return
                    finished, pending = wait(pending, timeout=_WAIT_S, return_when=FIRST_COMPLETED)
                    yield from (sent for future in finished if (sent := future.result()))
                    if not finished:
                        yield None
                yield from (sent for future in pending if (sent := future.result()))
            finally:
                self._gave_up.set()

    def _send(self, file: LocalFile) -> Sent | None:
        try:
            return self._tried(file)
        except StorageFailed as error:
            self.problem = self.problem or error
            self._gave_up.set()
        return None

    def _tried(self, file: LocalFile) -> Sent | None:
        digest = _md5(file.path)
        if file.etag and file.etag == digest.hex():
            return Sent(file, was_there=True)
        for delay_s in (*self._delays_s, None):
            if self._gave_up.is_set():
                return None
            try:
                self._put(file, digest)
            except _Refused as error:
                return Sent(file, error=error.message)
            except Interrupted as error:
                if delay_s is None:
                    return self._not_taken(file, error.message)
                self._gave_up.wait(max(delay_s, error.wait_s))
                continue
            self._failed_in_a_row = 0
            return Sent(file)
        return None

    def _not_taken(self, file: LocalFile, message: str) -> Sent:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _MOST_IN_A_ROW:
            raise StorageFailed(message, "export_incomplete")
        return Sent(file, error=message)

    def _put(self, file: LocalFile, digest: bytes) -> None:
        headers = {
            "Content-Length": str(file.size_bytes),
            "Content-MD5": base64.b64encode(digest).decode(),  # by which the storage refuses what broke on its way
            "Content-Type": file.content_type,
        }
        try:
            with file.path.open("rb") as content:
                answer = self._pool.request(
                    "PUT", file.url, body=content, headers=headers, preload_content=False, redirect=False
                )
                try:
                    if answer.status != 200:
                        raise _Refused(_refusal(file, answer.status, refusal_of_one(answer)))
                finally:
                    answer.close()
                    answer.release_conn()
        except PrivateAddress as error:
            raise StorageFailed(
                _("%(host)s leads into the private network, where connections may not lead.", host=error.host),
                "endpoint_private",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise broken_off(error) from None


def _refusal(file: LocalFile, status: int, code: str) -> str:
    if code == "BadDigest":
        raise Interrupted(_("the file arrived damaged"))
    if status == 403:
        return _("The connection's key may not write here.")
    if code == "EntityTooLarge":
        return _("The object storage takes no object as large as this.")
    return _(
        "The object storage does not take this file: status %(status)d (%(code)s).", status=status, code=code or "–"
    )


def _md5(path: Path) -> bytes:
    """Of all hashes the one that S3 checks, and that the ETag of a plain object is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
