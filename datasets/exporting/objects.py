"""Puts files into an object storage by presigned addresses: several at a time, each as often as it takes."""

import base64
import hashlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from xml.sax.saxutils import escape

import urllib3

from datasets.presigned import DELAYS_S, Interrupted, StorageFailed, broken_off, refusal_of_one
from dlmodeler_site.outside import PrivateAddress, pool_manager
from dlmodeler_site.sentences import Sentence as _

CONNECTIONS = 8
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_WAIT_S = 0.5
_BLOCK_BYTES = 256 << 10
_ANSWER_BYTES = 1 << 16
# After so many files in a row that the storage did not take it is given up for this time.
_MOST_IN_A_ROW = 2 * CONNECTIONS


@dataclass(frozen=True)
class Parts:
    """Addresses that take a file in parts of so many bytes, one each, then join or discard them."""

    part_bytes: int
    urls: list[str]
    join_url: str
    discard_url: str


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
    parts: Parts | None = None

    def pieces(self) -> Iterator["_Piece"]:
        """What is sent at once: the file, or its parts."""
        if self.parts is None:
            yield _Piece(self, self.url, 0, self.size_bytes)
            return
        for number, url in enumerate(self.parts.urls):
            first = number * self.parts.part_bytes
            yield _Piece(self, url, first, min(self.parts.part_bytes, self.size_bytes - first))


@dataclass(frozen=True)
class _Piece:
    """A file or a part of it, and the address that takes it."""

    file: LocalFile
    url: str
    first_byte: int
    size_bytes: int

    def blocks(self) -> Iterator[bytes]:
        left = self.size_bytes
        with self.file.path.open("rb") as file:
            file.seek(self.first_byte)
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                left -= len(block)
                yield block

    def md5(self) -> bytes:
        """Of all hashes the one that S3 checks, and that the ETag of a plain object is."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self.blocks():
            digest.update(block)
        return digest.digest()


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
        digests = [piece.md5() for piece in file.pieces()]
        if file.etag and file.etag == _etag(file, digests):
            self.discard(file)
            return Sent(file, was_there=True)
        is_sent = False
        try:
            is_sent = self._send_pieces(file, digests)
        except _Refused as error:
            return Sent(file, error=error.message)
        except Interrupted as error:
            return self._not_taken(file, error.message)
        finally:
            if not is_sent:
                self.discard(file)
        self._failed_in_a_row = 0
        return Sent(file) if is_sent else None

    def _send_pieces(self, file: LocalFile, digests: list[bytes]) -> bool:
        """False where it was given up meanwhile."""
        etags = []
        for piece, digest in zip(file.pieces(), digests, strict=True):
            etag = self._persist(partial(self._put, piece, digest))
            if etag is None:
                return False
            etags.append(etag)
        return file.parts is None or self._persist(partial(self._join, file, file.parts, etags)) is not None

    def _persist(self, ask: Callable[[], str]) -> str | None:
        """Its answer, after as many tries as it takes; None where it was given up meanwhile."""
        for delay_s in (*self._delays_s, None):
            if self._gave_up.is_set():
                return None
            try:
                return ask()
            except Interrupted as error:
                if delay_s is None:
                    raise
                self._gave_up.wait(max(delay_s, error.wait_s))
        return None

    def _not_taken(self, file: LocalFile, message: str) -> Sent:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _MOST_IN_A_ROW:
            raise StorageFailed(message, "export_incomplete")
        return Sent(file, error=message)

    def _put(self, piece: _Piece, digest: bytes) -> str:
        """The ETag of what has arrived."""
        headers = {
            "Content-Length": str(piece.size_bytes),
            "Content-MD5": base64.b64encode(digest).decode(),  # by which the storage refuses what broke on its way
        }
        if piece.file.parts is None:
            headers["Content-Type"] = piece.file.content_type
        return self._ask(piece.file, "PUT", piece.url, self._until_given_up(piece.blocks()), headers)[0]

    def _until_given_up(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self._gave_up.is_set():
                raise Interrupted(_("it was stopped"))
            yield block

    def _join(self, file: LocalFile, parts: Parts, etags: list[str]) -> str:
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        _etag, said = self._ask(file, "POST", parts.join_url, body, {"Content-Type": "application/xml"})
        if b"<Error>" in said:  # a late failure is told with status 200
            raise Interrupted(_("the storage did not join the parts"))
        return said.decode(errors="replace")

    def discard(self, file: LocalFile) -> None:
        """Give up what was begun in parts: those that are not joined would be paid for."""
        if file.parts is not None:
            with suppress(urllib3.exceptions.HTTPError, PrivateAddress):
                self._pool.request("DELETE", file.parts.discard_url, redirect=False)

    def _ask(
        self, file: LocalFile, method: str, url: str, body: bytes | Iterator[bytes], headers: dict[str, str]
    ) -> tuple[str, bytes]:
        """The ETag and what else is answered.

        Raises _Refused for this file, StorageFailed for all, Interrupted where it may be tried again.
        """
        try:
            answer = self._pool.request(method, url, body=body, headers=headers, preload_content=False, redirect=False)
            try:
                if answer.status != 200:
                    raise _Refused(_refusal(file, answer.status, refusal_of_one(answer)))
                return answer.headers.get("ETag", ""), answer.read(_ANSWER_BYTES)
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


def _etag(file: LocalFile, digests: list[bytes]) -> str:
    """What S3 says of the object when it was sent as it is sent here."""
    if file.parts is None:
        return digests[0].hex()
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
