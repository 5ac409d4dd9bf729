"""Archives (zip and tar) are understood whole before anything of them is unpacked, and that in bounded memory.

`survey` reads the list of an archive and refuses it for anything that an attack needs; only then do `members` give one
file after the other. An archive that is refused has left nothing on disk. A single broken file in a sound archive is
that file's own fault (`MemberDamaged`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from datasets.inspection import tar_archives, zip_archives
from datasets.inspection.archive_rules import ArchiveRefused, Limits, Member, MemberDamaged, Survey
from dlmodeler_site.sentences import Sentence as _

__all__ = ["ArchiveRefused", "Limits", "Member", "MemberDamaged", "Survey", "archive_kind", "members", "survey"]

_OTHER_KINDS = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"MSCF", "CAB"),
)


def archive_kind(path: Path) -> str:
    """The kind that the content announces: "zip", "tar" (compressed or not), or "" for what is neither."""
    if zip_archives.is_zip(path):
        return "zip"
    return "tar" if tar_archives.is_tar(path) else ""


def survey(path: Path, limits: Limits, *, check_stop: Callable[[], None] = lambda: None) -> Survey:
    """Read the archive's list to its end; a tar has none, so that all of it is read. Calls `check_stop` now and then.

    Raises:
        ArchiveRefused: it is no archive, or is damaged, encrypted, too large, holds links or names that leave it, …
    """
    match archive_kind(path):
        case "zip":
            return zip_archives.survey(path, limits)
        case "tar":
            return tar_archives.survey(path, limits, check_stop)
    raise _not_an_archive(path)


def members(path: Path, surveyed: Survey) -> Iterator[Member]:
    """The files of a surveyed archive without the junk; one is to be unpacked before the next is asked for."""
    if archive_kind(path) == "zip":
        return zip_archives.members(path, surveyed.encoding)
    return tar_archives.members(path)


def _not_an_archive(path: Path) -> ArchiveRefused:
    with path.open("rb") as file:
        head = file.read(8)
    kind = next((name for signature, name in _OTHER_KINDS if head.startswith(signature)), "")
    if kind:
        message = _("%(kind)s archives cannot be unpacked here. Pack the files as zip or tar.gz.", kind=kind)
    else:
        message = _("This is not an archive: expected a zip, tar, tar.gz, tar.bz2 or tar.xz file.")
    return ArchiveRefused(message, "not_an_archive")
