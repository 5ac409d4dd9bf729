"""What an archive may hold, whatever its format, and how its refusal is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from datasets.inspection.names import NameRefused, TakenNames, check_name, is_junk
from dlmodeler_site.sentences import Sentence as _

# A data is built for this many files: more would take its lists, its profile and the disk's folders beyond use.
MAX_ENTRIES = 200_000
# No data set of small files needs more; who has one sends it as several archives.
MAX_TOTAL_BYTES = 256 << 30
# Deflate reaches 1,032 to 1, and only on content without content: texts and tables come to 20, raw pixels to 10.
# Small archives are left alone, whatever is in them: a few empty masks are no bomb.
MAX_RATIO, RATIO_FROM_BYTES = 200, 256 << 20

CHUNK_BYTES = 256 << 10
_SHOWN = 80

# Names that say nothing of their encoding: today's systems write UTF-8, Korean Windows CP949, old ones CP437.
ENCODINGS = ("utf-8", "cp949", "cp437")


class ArchiveRefused(Exception):
    """An archive is not unpacked at all; the message says why in words for the user."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        return self.message


class MemberDamaged(Exception):
    """One file of an archive cannot be unpacked; the message says why in words for the user."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """How large an archive may be."""

    entries: int = MAX_ENTRIES
    total_bytes: int = MAX_TOTAL_BYTES


@dataclass(frozen=True)
class Survey:
    """What an archive holds: its files, beside them junk of systems, and the bytes of the files once unpacked."""

    files: int
    junk: int
    size_bytes: int
    encoding: str  # of names in a zip that do not say it


class Member(Protocol):
    """One file of an archive."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    def unpack(self, path: Path) -> None:
        """Write the content to a local file, never more than `size_bytes`, or raise MemberDamaged."""


class Inventory:
    """Counts what an archive lists and refuses what it must not hold."""

    def __init__(self, limits: Limits, archive_bytes: int) -> None:
        self.limits = limits
        self.archive_bytes = archive_bytes
        self.files = self.junk = 0
        self.size_bytes = self.unpacked_bytes = 0
        self._names = TakenNames()

    def add_file(self, name: str, size_bytes: int) -> None:
        """A file under its checked name."""
        self.add_bytes(size_bytes)
        if is_junk(name):
            self.junk += 1
            return
        self.files += 1
        self.size_bytes += size_bytes
        clash = self._names.claim(name)
        if clash == "taken":
            message = _("The archive holds %(name)s twice. Pack it again with each file once.", name=shown(name))
            raise ArchiveRefused(message, "archive_duplicate_name")
        if clash:
            message = _(
                "In the archive %(name)s is a file and a folder at the same time, or lies in a folder that is a file.",
                name=shown(name),
            )
            raise ArchiveRefused(message, "archive_duplicate_name")

    def add_bytes(self, size_bytes: int) -> None:
        """Bytes that come of unpacking, wanted ones or not."""
        self.unpacked_bytes += size_bytes
        if self.unpacked_bytes > self.limits.total_bytes:
            message = _(
                "Unpacked the archive has more than %(most)s GiB. Send the files in several archives.",
                most=f"{self.limits.total_bytes / 2**30:g}",
            )
            raise ArchiveRefused(message, "archive_too_large")
        if self.unpacked_bytes > max(RATIO_FROM_BYTES, MAX_RATIO * self.archive_bytes):
            message = _(
                "Unpacked the archive is more than %(ratio)d times as large, which is how archives are made that fill "
                "a disk. If it is none, send the files in several archives or unpacked.",
                ratio=MAX_RATIO,
            )
            raise ArchiveRefused(message, "archive_ratio")

    def result(self, encoding: str = "") -> Survey:
        if not self.files:
            raise ArchiveRefused(_("The archive holds no file."), "archive_empty")
        return Survey(self.files, self.junk, self.size_bytes, encoding)


def check_entries(count: int, limits: Limits) -> None:
    """Refuse an archive of more entries (folders included) than are taken."""
    if count > limits.entries:
        message = _(
            "The archive has more than %(most)s entries. Send the files in several archives.",
            most=f"{limits.entries:,}",
        )
        raise ArchiveRefused(message, "archive_too_many_entries")


def member_name(raw: bytes, encoding: str) -> str:
    """The relative name of an entry; "" for the archive's own folder.

    Raises:
        ArchiveRefused: the name is absolute, leaves its folder, is too long or cannot be shown.
    """
    name = raw.decode(encoding, "replace").replace("\\", "/")
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    name = name.rstrip("/") if name.strip("/") else name
    if name in ("", "."):
        return ""
    try:
        return check_name(name)
    except NameRefused as error:
        is_unsafe = name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")
        reason = "archive_unsafe_path" if is_unsafe else "archive_bad_name"
        raise ArchiveRefused(_("The archive is not unpacked: %(error)s", error=error.message), reason) from error


def pick_encoding(names: Iterable[bytes]) -> str:
    """The encoding that fits all of these names: one for an archive, so that a folder has one name."""
    fitting = list(ENCODINGS[:-1])
    for name in names:
        if not name.isascii():
            fitting = [encoding for encoding in fitting if decodes(name, encoding)]
        if not fitting:
            break
    return fitting[0] if fitting else ENCODINGS[-1]


def damaged(detail: str) -> ArchiveRefused:
    """An archive that cannot be read to its end."""
    message = _("The archive is damaged or a part of it is missing (%(detail)s). Send it again.", detail=detail)
    return ArchiveRefused(message, "archive_damaged")


def encrypted(name: str) -> ArchiveRefused:
    message = _(
        "The archive is encrypted (%(name)s). Pack it again without a password.",
        name=shown(name),
    )
    return ArchiveRefused(message, "archive_encrypted")


def not_a_file(name: str, *, is_link: bool) -> ArchiveRefused:
    """An entry that is neither a file nor a folder."""
    if is_link:
        message = _(
            "%(name)s in the archive is a link. Links are not unpacked: pack the files that they lead to.",
            name=shown(name),
        )
        return ArchiveRefused(message, "archive_link")
    message = _("%(name)s in the archive is neither a file nor a folder. Pack files only.", name=shown(name))
    return ArchiveRefused(message, "archive_special_file")


def shown(name: str) -> str:
    """A name as it stands in a message: in quotes, cut where it is long, nothing invisible in it."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return f"“{text}”" if len(text) <= _SHOWN else f"“{text[: _SHOWN - 20]}…{text[-19:]}”"


def read_exactly(file: BinaryIO, size_bytes: int) -> bytes:
    """These many bytes; ArchiveRefused where the archive ends before."""
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise damaged(_("it ends in the middle of an entry"))
    return content


def decodes(name: bytes, encoding: str) -> bool:
    """Whether the bytes are text in this encoding."""
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
