"""Zip archives: the central directory read as a stream, and single members unpacked by whoever has the file.

zipfile is not used: it loads the whole directory, a million entries included, before one can look at it, and it
neither sees members that overlap nor stops a member that grows beyond what the directory says.

Source of the format: PKWARE's APPNOTE.TXT 6.3.10.
"""

import os
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datasets.inspection.archive_rules import (
    CHUNK_BYTES,
    ArchiveRefused,
    Inventory,
    Limits,
    MemberDamaged,
    Survey,
    check_entries,
    damaged,
    decodes,
    encrypted,
    member_name,
    not_a_file,
    pick_encoding,
    read_exactly,
)
from datasets.inspection.names import is_junk
from dlmodeler_site.sentences import Sentence as _

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END_64, _LOCATOR_64, _SPANNED = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_CENTRAL_HEADER = struct.Struct("<4s2B5H3L5H2L")
_END_RECORD = struct.Struct("<4s4H2LH")
_END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_IS_UTF_8 = 0x800
_STORED, _DEFLATED = 0, 8
_EXTRA_ZIP_64, _EXTRA_UNICODE_PATH = 0x0001, 0x7075
_UNIX = (3, 19)  # hosts whose external attributes hold a file mode
_FULL = 0xFFFFFFFF


@dataclass(frozen=True)
class ZipMember:
    """One file of an archive, with all that is needed to unpack it in any process."""

    name: str
    size_bytes: int
    archive: str
    offset: int
    packed_bytes: int
    method: int
    crc: int

    def unpack(self, path: Path) -> None:
        """Write the content to the file `path`, in bounded memory and disk.

        Raises:
            MemberDamaged: it is not what the directory says; nothing is left at `path`.
        """
        try:
            with open(self.archive, "rb") as file, path.open("wb") as target:
                self._seek(file)
                size_bytes = crc = 0
                for chunk in self._content(file):
                    size_bytes += len(chunk)
                    if size_bytes > self.size_bytes:
                        raise _damaged_member()
                    crc = zlib.crc32(chunk, crc)
                    target.write(chunk)
                if size_bytes != self.size_bytes or crc != self.crc:
                    raise _damaged_member()
        except (ArchiveRefused, zlib.error) as error:
            path.unlink(missing_ok=True)
            raise _damaged_member() from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _seek(self, file: BinaryIO) -> None:
        """Go to the content; what the local header says beside its own length is not looked at."""
        if self.method not in (_STORED, _DEFLATED):
            raise _unknown_method(self.method)
        file.seek(self.offset)
        header = _LOCAL_HEADER.unpack(read_exactly(file, _LOCAL_HEADER.size))
        if header[0] != _LOCAL:
            raise _damaged_member()
        file.seek(header[-2] + header[-1], os.SEEK_CUR)

    def _content(self, file: BinaryIO) -> Iterator[bytes]:
        left = self.packed_bytes
        inflate = None if self.method == _STORED else zlib.decompressobj(-zlib.MAX_WBITS)
        while left:
            packed = read_exactly(file, min(CHUNK_BYTES, left))
            left -= len(packed)
            if inflate is None:
                yield packed
                continue
            while packed and not inflate.eof:
                # SECURITY: a chunk may inflate to a thousand times its size; never more than this at once.
                yield inflate.decompress(packed, CHUNK_BYTES)
                packed = inflate.unconsumed_tail
        while inflate is not None and not inflate.eof:
            rest = inflate.decompress(b"", CHUNK_BYTES)
            if not rest:
                raise _damaged_member()
            yield rest


class _Directory(NamedTuple):
    """Where the central directory lies, and how many entries it announces."""

    offset: int
    size_bytes: int
    entries: int


class _Entry(NamedTuple):
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    mode: int  # of Unix; 0 where the archive tells none


def is_zip(path: Path) -> bool:
    """Whether the file begins like a zip archive."""
    with path.open("rb") as file:
        return file.read(4) in (_LOCAL, _END, _SPANNED)


def survey(path: Path, limits: Limits) -> Survey:
    """The archive's directory, read twice as a stream and checked; its files are not touched."""
    with path.open("rb", buffering=1 << 20) as file:
        directory = _find_directory(file)
        # Before anything is listed: a million entries are refused in no time.
        check_entries(directory.entries, limits)
        encoding = pick_encoding(
            entry.raw_name for entry in _entries(file, directory, limits) if not _says_utf_8(entry)
        )
        inventory = Inventory(limits, directory.offset)
        spans = _Spans(directory.offset)
        for entry in _entries(file, directory, limits):
            name = _checked_name(entry, encoding)
            spans.add(entry)
            if _is_folder(entry):
                continue
            inventory.add_file(name, entry.size_bytes)
        spans.check()
        return inventory.result(encoding)


def members(path: Path, encoding: str) -> Iterator[ZipMember]:
    """The files of a surveyed archive, in the order of its directory."""
    archive = str(path)
    with path.open("rb", buffering=1 << 20) as file:
        directory = _find_directory(file)
        for entry in _entries(file, directory):
            name = "" if _is_folder(entry) else _checked_name(entry, encoding)
            if name and not is_junk(name):
                yield ZipMember(
                    name, entry.size_bytes, archive, entry.offset, entry.packed_bytes, entry.method, entry.crc
                )


class _Spans:
    """The bytes that each member takes. SECURITY: members that share bytes are how a small archive fills a disk."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._starts, self._ends = array("Q"), array("Q")

    def add(self, entry: _Entry) -> None:
        end = entry.offset + _LOCAL_HEADER.size + len(entry.raw_name) + entry.packed_bytes
        if end > self._end:
            raise damaged(_("its list names places that it does not have"))
        self._starts.append(entry.offset)
        self._ends.append(end)

    def check(self) -> None:
        """Raise ArchiveRefused when two overlap."""
        last = 0
        for index in sorted(range(len(self._starts)), key=self._starts.__getitem__):
            if self._starts[index] < last:
                message = _("Files of the archive lie over each other, which no program packs. Pack it again.")
                raise ArchiveRefused(message, "archive_overlap")
            last = self._ends[index]


def _find_directory(file: BinaryIO) -> _Directory:
    size = file.seek(0, os.SEEK_END)
    tail_offset = max(0, size - _END_RECORD.size - 0xFFFF)
    file.seek(tail_offset)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise damaged(_("its list, which is at the end, is missing"))
    record = _END_RECORD.unpack_from(tail, at)
    disk, disk_of_directory, _here, entries, size_bytes, offset = record[1:7]
    end = tail_offset + at
    if locator := _locator(tail, at):
        file.seek(locator[2])
        record = _END_RECORD_64.unpack(read_exactly(file, _END_RECORD_64.size))
        if record[0] != _END_64:
            raise damaged(_("its list is not where its end says"))
        disk, disk_of_directory, _here, entries, size_bytes, offset = record[4:]
        end = locator[2]
    if disk or disk_of_directory:
        message = _("This is one part of a split archive. Pack the files as one archive without parts.")
        raise ArchiveRefused(message, "archive_split")
    if offset + size_bytes != end:
        raise damaged(_("its list is not where its end says"))
    return _Directory(offset, size_bytes, entries)


def _locator(tail: bytes, end: int) -> tuple[bytes, int, int, int] | None:
    """The record before the end that leads to the directory's true sizes, where these have more than 32 bits."""
    at = end - _LOCATOR.size
    if at < 0 or tail[at : at + 4] != _LOCATOR_64:
        return None
    signature, disk, offset, disks = _LOCATOR.unpack_from(tail, at)
    return signature, disk, offset, disks


def _entries(file: BinaryIO, directory: _Directory, limits: Limits | None = None) -> Iterator[_Entry]:
    """Every entry, however many the directory announced; they are counted where there is a limit."""
    position, end = directory.offset, directory.offset + directory.size_bytes
    file.seek(position)
    count = 0
    while position < end:
        header = _CENTRAL_HEADER.unpack(read_exactly(file, _CENTRAL_HEADER.size))
        count += 1
        if limits is not None:
            check_entries(count, limits)
        if header[0] != _CENTRAL:
            raise damaged(_("its list is broken"))
        (flags, method), (crc, packed_bytes, size_bytes) = header[4:6], header[8:11]
        name_bytes, extra_bytes, comment_bytes = header[11:14]
        variable = read_exactly(file, name_bytes + extra_bytes + comment_bytes)
        position += _CENTRAL_HEADER.size + len(variable)
        if position > end:
            raise damaged(_("its list is broken"))
        raw_name, extra = variable[:name_bytes], variable[name_bytes : name_bytes + extra_bytes]
        mode = header[16] >> 16 if header[2] in _UNIX else 0
        entry = _Entry(raw_name, flags, method, crc, packed_bytes, size_bytes, header[17], mode)
        yield _with_extra(entry, extra) if extra else entry


def _with_extra(entry: _Entry, extra: bytes) -> _Entry:
    """The entry with what the extra field says better: sizes of more than 32 bits, the name in UTF-8."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _EXTRA_ZIP_64:
            fields = [name for name in ("size_bytes", "packed_bytes", "offset") if getattr(entry, name) == _FULL]
            if len(content) < 8 * len(fields):
                raise damaged(_("its list is broken"))
            entry = entry._replace(**dict(zip(fields, struct.unpack_from(f"<{len(fields)}Q", content), strict=True)))
        elif kind == _EXTRA_UNICODE_PATH and content[:5] == b"\x01" + zlib.crc32(entry.raw_name).to_bytes(4, "little"):
            entry = entry._replace(raw_name=content[5:], flags=entry.flags | _IS_UTF_8)
    return entry


def _checked_name(entry: _Entry, encoding: str) -> str:
    """The entry's name, if it is a plain file or folder."""
    name = member_name(entry.raw_name, "utf-8" if _says_utf_8(entry) else encoding)
    if entry.flags & _ENCRYPTED:
        raise encrypted(name)
    kind = stat.S_IFMT(entry.mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise not_a_file(name, is_link=kind == stat.S_IFLNK)
    if not name and not _is_folder(entry):
        raise damaged(_("a file has no name"))
    return name


def _says_utf_8(entry: _Entry) -> bool:
    return bool(entry.flags & _IS_UTF_8) and decodes(entry.raw_name, "utf-8")


def _is_folder(entry: _Entry) -> bool:
    return entry.raw_name.endswith((b"/", b"\\")) or stat.S_ISDIR(entry.mode)


def _damaged_member() -> MemberDamaged:
    message = _("The file is damaged inside the archive: it does not unpack to what the archive's list says.")
    return MemberDamaged(message, "archive_member_damaged")


def _unknown_method(method: int) -> MemberDamaged:
    message = _(
        "The file is packed by method %(method)d, which cannot be unpacked here. Pack it by the usual one (Deflate).",
        method=method,
    )
    return MemberDamaged(message, "archive_method")
