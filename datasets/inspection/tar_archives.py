"""Tar archives, compressed or not, read as a stream.

tarfile parses the headers but does not iterate over them: it keeps every member, and reads extended headers and sparse
maps of any size into memory. Here the memory is bounded, whatever the archive says.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from datasets.inspection.archive_rules import (
    CHUNK_BYTES,
    ArchiveRefused,
    Inventory,
    Limits,
    Survey,
    check_entries,
    damaged,
    member_name,
    not_a_file,
    pick_encoding,
    shown,
)
from datasets.inspection.names import is_junk
from dlmodeler_site.sentences import Sentence as _

_BLOCK = tarfile.BLOCKSIZE
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
# Long names and attributes; what is longer is an attack on the memory.
_MAX_EXTENDED_BYTES = 1 << 20
# xz -9 takes 65 MiB; the format would let a small file ask for 4 GiB.
_XZ_MEMORY_BYTES = 256 << 20
# What may follow the last file: padding, and then the compression's checksum.
_MAX_PADDING_BYTES = 1 << 20
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDED = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class _Entry(NamedTuple):
    raw_name: bytes
    kind: bytes
    size_bytes: int
    is_sparse: bool


class _Stream:
    """The unpacked bytes of an archive, forwards only."""

    def __init__(self, file: BinaryIO, *, can_seek: bool, check_stop: Callable[[], None]) -> None:
        self.position = 0
        self._file = file
        self._can_seek = can_seek
        self._check_stop = check_stop

    def read(self, size_bytes: int) -> bytes:
        """So many bytes, fewer only at the end. ArchiveRefused: the compression is broken."""
        self._check_stop()
        try:
            content = self._file.read(size_bytes)
        except (EOFError, OSError, zlib.error, lzma.LZMAError, MemoryError) as error:
            raise damaged(str(error)) from error
        self.position += len(content)
        return content

    def read_exactly(self, size_bytes: int) -> bytes:
        content = self.read(size_bytes)
        if len(content) != size_bytes:
            raise damaged(_("it ends in the middle of an entry"))
        return content

    def skip_to(self, position: int) -> None:
        if self._can_seek:
            self.position = self._file.seek(position)
        while self.position < position:
            self.read_exactly(min(CHUNK_BYTES, position - self.position))


@dataclass(frozen=True)
class TarMember:
    """One file of an archive, to be unpacked while the stream stands at its content."""

    name: str
    size_bytes: int
    stream: _Stream

    def unpack(self, path: Path) -> None:
        """Write the content to the file `path`, in bounded memory."""
        left = self.size_bytes
        with path.open("wb") as target:
            while left:
                chunk = self.stream.read_exactly(min(CHUNK_BYTES, left))
                target.write(chunk)
                left -= len(chunk)


def is_tar(path: Path) -> bool:
    """Whether the content begins like a tar archive, compressed or not."""
    try:
        with _unpacked(path) as stream:
            return bool(_parse(stream.read_exactly(_BLOCK)))
    except ArchiveRefused:
        return False


def survey(path: Path, limits: Limits, check_stop: Callable[[], None]) -> Survey:
    """All of the archive, read to its end, for its headers alone."""
    inventory = Inventory(limits, path.stat().st_size)
    with _unpacked(path, check_stop) as stream:
        for count, entry in enumerate(_entries(stream, inventory.add_bytes), 1):
            check_entries(count, limits)
            name = _checked_name(entry)
            if entry.kind in _FILES:
                inventory.add_file(name, entry.size_bytes)
        stream.read(_MAX_PADDING_BYTES)
    return inventory.result()


def members(path: Path) -> Iterator[TarMember]:
    """The files of a surveyed archive in their order."""
    with _unpacked(path) as stream:
        for entry in _entries(stream, lambda _size_bytes: None):
            name = _checked_name(entry)
            if entry.kind in _FILES and not is_junk(name):
                yield TarMember(name, entry.size_bytes, stream)


def _entries(stream: _Stream, count_bytes: Callable[[int], None]) -> Iterator[_Entry]:
    """Every entry; the stream stands at its content. `count_bytes` is told what there is beside the contents."""
    said = _Said()
    while True:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise damaged(_("it ends without the mark that ends an archive"))
        if block == bytes(_BLOCK):
            return
        header = _parse(block)
        if header.type in _EXTENDED:
            if header.size > _MAX_EXTENDED_BYTES:
                raise damaged(_("the header of an entry is longer than %(most)d bytes", most=_MAX_EXTENDED_BYTES))
            count_bytes(_BLOCK + header.size)
            begin = stream.position
            said = said.and_of(header.type, stream.read_exactly(header.size))
            stream.skip_to(begin + _padded(header.size))
            continue
        entry = said.of(header)
        said = _Said()
        begin = stream.position
        yield entry
        stream.skip_to(begin + _padded(entry.size_bytes if entry.kind in _FILES else 0))


class _Said(NamedTuple):
    """What extended headers say of the entry that follows them."""

    raw_name: bytes | None = None
    size_bytes: int | None = None
    is_sparse: bool = False

    def and_of(self, kind: bytes, content: bytes) -> "_Said":
        """With what one more extended header says; what a global one says does not concern us."""
        if kind == tarfile.GNUTYPE_LONGNAME:
            return self._replace(raw_name=content.rstrip(b"\0"))
        if kind not in _PAX:
            return self
        said = self
        for key, value in _pax_records(content):
            if key == b"path":
                said = said._replace(raw_name=value or None)
            elif key == b"size":
                said = said._replace(size_bytes=_number(value))
            elif key.startswith(b"GNU.sparse."):
                said = said._replace(is_sparse=True)
        return said

    def of(self, header: tarfile.TarInfo) -> _Entry:
        raw_name = header.name.encode("utf-8", "surrogateescape") if self.raw_name is None else self.raw_name
        size_bytes = header.size if self.size_bytes is None else self.size_bytes
        is_sparse = self.is_sparse or header.type == tarfile.GNUTYPE_SPARSE
        return _Entry(raw_name, header.type, size_bytes, is_sparse)


def _parse(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise damaged(_("the header of an entry is broken")) from error
    if header.size < 0:
        raise damaged(_("the header of an entry is broken"))
    return header


def _pax_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The key and value of each record, which stands as `<length> <key>=<value>` and a new line."""
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + 20)
        length = _number(content[position:space])
        record = content[space + 1 : position + length - 1]
        if space < 0 or position + length > len(content) or not record:
            raise damaged(_("the header of an entry is broken"))
        key, _equals, value = record.partition(b"=")
        yield key, value
        position += length


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise damaged(_("the header of an entry is broken"))
    return int(digits)


def _checked_name(entry: _Entry) -> str:
    """The entry's name, if it is a plain file or folder."""
    # For each name by itself: what the others are like is known only at the end of the archive.
    name = member_name(entry.raw_name, pick_encoding([entry.raw_name]))
    if entry.kind in _LINKS:
        raise not_a_file(name, is_link=True)
    if entry.is_sparse:
        message = _("%(name)s in the archive is packed as a sparse file. Pack it without --sparse.", name=shown(name))
        raise ArchiveRefused(message, "archive_sparse")
    if entry.kind != tarfile.DIRTYPE and entry.kind not in _FILES:
        raise not_a_file(name, is_link=False)
    if not name and entry.kind in _FILES:
        raise damaged(_("a file has no name"))
    return name


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK) * _BLOCK


@contextmanager
def _unpacked(path: Path, check_stop: Callable[[], None] = lambda: None) -> Iterator[_Stream]:
    with path.open("rb") as file:
        head = file.read(len(_XZ))
        file.seek(0)
        if head.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield _Stream(cast(BinaryIO, unpacked), can_seek=False, check_stop=check_stop)
        elif head.startswith((_BZIP2, _XZ)):
            raw = _Decompressed(file, bz2.BZ2Decompressor if head.startswith(_BZIP2) else _xz_decompressor)
            with io.BufferedReader(raw, CHUNK_BYTES) as buffered:
                yield _Stream(cast(BinaryIO, buffered), can_seek=False, check_stop=check_stop)
        else:
            yield _Stream(file, can_seek=True, check_stop=check_stop)


def _xz_decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


class _Decompressed(io.RawIOBase):
    """bzip2 or xz as a file. SECURITY: unlike lzma.open it limits the memory, unlike tarfile what a chunk becomes."""

    def __init__(self, file: BinaryIO, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file = file
        self._new = new
        self._decompressor = new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while True:
            packed = b""
            if self._decompressor.eof:  # another stream may follow, after zeros
                packed = self._decompressor.unused_data.lstrip(b"\0") or self._file.read(CHUNK_BYTES).lstrip(b"\0")
                if not packed:
                    return 0
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                packed = self._file.read(CHUNK_BYTES)
                if not packed:
                    raise EOFError("the compressed data ends too early")
            content = self._decompressor.decompress(packed, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)
