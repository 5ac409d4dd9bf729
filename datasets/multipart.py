"""Reads multipart/form-data as a stream: one part at a time, memory bounded, file names as they were sent.

Django's parser is not used for uploads: it cuts folders off names, drops parts whose names it does not like without
a word, refuses a whole request for one long name, and takes a body that breaks off for a whole one.
"""

from collections.abc import Iterator
from typing import Protocol

from django.utils.http import parse_header_parameters

from dlmodeler_site.sentences import Sentence as _

CHUNK_BYTES = 64 * 1024
MAX_HEADER_BYTES = 16 * 1024


class MultipartError(Exception):
    """The body is no multipart/form-data; the message says what is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Interrupted(Exception):
    """The body ended before its closing boundary: the sender went away."""


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Part:
    """One part: its field's name, its file's name (None for a plain field) and, once only, its content."""

    def __init__(self, field: str, filename: str | None, reader: "_Reader") -> None:
        self.field = field
        self.filename = filename
        self._reader = reader

    def chunks(self) -> Iterator[bytes]:
        return self._reader.until_delimiter()

    def text(self, *, max_bytes: int) -> str:
        """The content as text, its first `max_bytes` bytes; what is no UTF-8 is replaced."""
        content = b""
        for chunk in self.chunks():
            content += chunk[: max_bytes - len(content)]
        return content.decode("utf-8", "replace")


def read_parts(stream: Stream, content_type: str) -> Iterator[Part]:
    """The parts in order. The content of a part is read, or skipped, before the next is asked for.

    Raises:
        MultipartError: the body is malformed.
        Interrupted: it ends too early.
    """
    kind, parameters = parse_header_parameters(content_type)
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not boundary or len(boundary) > 200 or not boundary.isascii():
        raise MultipartError(_("Expected Content-Type: multipart/form-data with a boundary."))
    reader = _Reader(stream, b"\r\n--" + boundary.encode("ascii"))
    reader.skip()  # what may stand before the first boundary
    while reader.begins_part():
        headers = reader.headers()
        part = _part(headers, reader)
        yield part
        reader.skip()
    reader.drain()


class _Reader:
    """A stream cut at delimiters."""

    def __init__(self, stream: Stream, delimiter: bytes) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._buffer = b"\r\n"  # so that the first boundary is found like the others
        self._at_delimiter = False

    def until_delimiter(self) -> Iterator[bytes]:
        keep = len(self._delimiter) - 1
        while not self._at_delimiter:
            at = self._buffer.find(self._delimiter)
            if at >= 0:
                chunk, self._buffer = self._buffer[:at], self._buffer[at + len(self._delimiter) :]
                self._at_delimiter = True
                if chunk:
                    yield chunk
                return
            if len(self._buffer) > keep:
                chunk, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
                yield chunk
            self._fill()

    def skip(self) -> None:
        for _chunk in self.until_delimiter():
            pass

    def begins_part(self) -> bool:
        """After a delimiter: whether a part follows, not the end."""
        while len(self._buffer) < 2:
            self._fill()
        self._at_delimiter = False
        if self._buffer.startswith(b"--"):
            return False
        line = self._take_until(b"\r\n")
        if line.strip(b" \t"):
            raise MultipartError(_("A boundary of the multipart body is followed by something else than a new line."))
        return True

    def headers(self) -> list[bytes]:
        lines = []
        while line := self._take_until(b"\r\n"):
            lines.append(line)
            if sum(map(len, lines)) > MAX_HEADER_BYTES:
                raise _headers_too_long()
        return lines

    def drain(self) -> None:
        """Read what may follow the last boundary."""
        while self._stream.read(CHUNK_BYTES):
            pass

    def _take_until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise _headers_too_long()
            self._fill()
        taken, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return taken

    def _fill(self) -> None:
        chunk = self._stream.read(CHUNK_BYTES)
        if not chunk:
            raise Interrupted
        self._buffer += chunk


def _headers_too_long() -> MultipartError:
    return MultipartError(_("The headers of a part are longer than %(most)d bytes.", most=MAX_HEADER_BYTES))


def _part(headers: list[bytes], reader: _Reader) -> Part:
    for line in headers:
        name, _colon, value = line.decode("utf-8", "replace").partition(":")
        if name.strip().lower() == "content-disposition":
            try:
                _kind, parameters = parse_header_parameters(value.strip())
            except ValueError as error:
                raise MultipartError(
                    _("The Content-Disposition of a part cannot be read: %(error)s.", error=str(error))
                ) from error
            return Part(parameters.get("name", ""), parameters.get("filename"), reader)
    raise MultipartError(_("A part of the multipart body has no Content-Disposition."))
