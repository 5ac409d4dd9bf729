"""Where the files of an inspection come from: uploads, archives to unpack, objects to fetch. One stream of them all."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.inspection.archives import ArchiveRefused, Limits, Survey, archive_kind, members, survey
from datasets.inspection.names import MAX_NAME_BYTES, TakenNames, last_folder
from datasets.inspection.zip_archives import ZipMember
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_jsonl
from dlmodeler_site.sentences import Sentence as _

if TYPE_CHECKING:  # the client for HTTP is loaded only where there are objects to fetch
    from datasets.inspection.fetching import Fetching
    from datasets.inspection.objects import RemoteObject

# The disk is never filled to its end: the database lies on it too.
_RESERVE_BYTES = 1 << 30
_WAIT_S = 0.1
_TELL_S = 1.0
_ARCHIVE_NAME_BYTES = 100  # of an archive's name, where the whole path would be too long


@dataclass(frozen=True)
class SourceFile:
    """A file to be inspected at `path` after `bring`, or one that is refused already (message, reason).

    `key` is unique among the files of the run, and a file name. A member of an archive has no row and so no `id` yet.
    `is_new`: the file is to be taken over from `path`, it is not in its place.
    """

    key: str
    name: str
    local_path: str
    id: int | None = None
    archive_id: int | None = None
    label: str = ""
    size_bytes: int = 0
    sha256: str = ""
    is_new: bool = False
    member: ZipMember | None = None
    refusal: tuple[str, str] | None = None

    @property
    def path(self) -> Path:
        return Path(self.local_path)

    def bring(self) -> None:
        """Unpack the file where that is still to be done. Raises MemberDamaged."""
        if self.member is not None:
            self.member.unpack(self.path)


@dataclass(frozen=True)
class _Archive:
    id: int
    name: str
    path: Path
    is_labelled: bool
    survey: Survey | None = None
    refusal: tuple[str, str] | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "_Archive":
        return cls(row["id"], row["name"], Path(row["path"]), bool(row.get("labelled_by_folder")))


@dataclass
class Sources:
    """The files of one run; memory is bounded but for some 100 bytes a file for names.

    No two files have the same name, and none is a folder of another. What has a row comes before members of archives,
    these come in their order: so every attempt comes to the same end, whatever an earlier one had already written.
    """

    run: RunFolder
    total: int = 0
    skipped: int = 0
    _names: TakenNames = field(default_factory=TakenNames)
    _archives: list[_Archive] = field(default_factory=list)
    _objects: int = 0
    _object_bytes: int = 0
    _fetching: "Fetching | None" = None

    @classmethod
    def of(cls, run: RunFolder) -> "Sources":
        """Read the manifest and the archives' lists. RunError: there is too little disk for what they hold."""
        sources = cls(run, skipped=run.spec.get("skipped", 0))
        archives = []
        for row in sources._manifest():
            sources.total += 1
            if row.get("url"):
                sources._objects += 1
                sources._object_bytes += row["size_bytes"]
            elif row.get("archive"):
                archives.append(_Archive.of(row))
        if archives or sources._objects:
            sources._take_names()
        sources._archives = [sources._surveyed(archive) for archive in archives]
        sources._check_disk()
        return sources

    def stream(self) -> Iterator[SourceFile | None]:
        """Every file, once; None while the next one is on its way."""
        if self._objects:
            from datasets.inspection.fetching import Fetching

            public_only = self.run.spec.get("public_only", True)
            self._fetching = Fetching(self._remote_objects(), self._incoming, public_only=public_only)
        try:
            yield from self._uploads()
            for archive in self._archives:
                yield from self._members(archive)
            if self._fetching:
                yield from self._fetched(self._fetching)
        finally:
            if self._fetching:
                self._fetching.close()

    def check_complete(self) -> None:
        """After the stream: RunError when objects are missing. What was fetched is kept for the next attempt."""
        if self._fetching and self._fetching.missing:
            problem = self._fetching.problem
            raise RunError(
                _(
                    "%(missing)d of %(total)d objects could not be fetched. "
                    "Try again: it goes on with what is missing. The cause: %(problem)s",
                    missing=self._fetching.missing,
                    total=self._objects,
                    problem=problem.message if problem else "–",
                ),
                reason=problem.reason if problem else "import_incomplete",
            )

    # -- Before the stream -----------------------------------------------------------------------

    def _manifest(self) -> Iterator[dict[str, Any]]:
        return read_jsonl(self.run.path / self.run.spec["files"])

    def _take_names(self) -> None:
        """Those of everything that has a row, whatever became of it."""
        for row in read_jsonl(self.run.path / self.run.spec["names"]):
            if row["has_file"]:
                self._names.claim(row["name"])
            else:
                self._names.reserve(row["name"])
        for row in self._manifest():
            if row.get("archive") and not row.get("url"):
                self._names.reserve(row["name"])
            else:
                self._names.claim(row["name"])

    def _surveyed(self, archive: _Archive) -> _Archive:
        limits = Limits(**self.run.spec.get("archive_limits", {}))
        try:
            found = survey(archive.path, limits, check_stop=self.run.check_stop)
        except ArchiveRefused as error:
            return replace(archive, refusal=(error.message, error.reason))
        self.total += found.files - 1
        self.skipped += found.junk
        return replace(archive, survey=found)

    def _check_disk(self) -> None:
        if unpacked_bytes := sum(archive.survey.size_bytes for archive in self._archives if archive.survey):
            _check_free(self.run.path, unpacked_bytes)
        if self._objects:
            self._incoming.mkdir(parents=True, exist_ok=True)
            fetched_bytes = sum(path.stat().st_size for path in self._incoming.iterdir())
            _check_free(self._incoming, self._object_bytes - fetched_bytes)

    # -- The stream ------------------------------------------------------------------------------

    @property
    def _incoming(self) -> Path:
        return Path(self.run.spec["incoming"])

    def _uploads(self) -> Iterator[SourceFile]:
        for row in self._manifest():
            if not row.get("archive") and not row.get("url"):
                yield SourceFile(
                    str(row["id"]),
                    row["name"],
                    row["path"],
                    id=row["id"],
                    label=row.get("label", ""),
                    sha256=row.get("sha256", ""),
                )

    def _members(self, archive: _Archive) -> Iterator[SourceFile]:
        if archive.survey is None:
            size_bytes = archive.path.stat().st_size
            yield SourceFile(
                str(archive.id),
                archive.name,
                str(archive.path),
                id=archive.id,
                size_bytes=size_bytes,
                refusal=archive.refusal,
            )
            return
        folder = self.run.output / "members"
        folder.mkdir(exist_ok=True)
        beside = archive.name.rpartition("/")[0]  # an archive is unpacked where it lies
        for number, member in enumerate(members(archive.path, archive.survey)):
            key = f"{archive.id}-{number}"
            name = f"{beside}/{member.name}" if beside else member.name
            refusal = self._refusal(name)
            if refusal:
                name = self._other_name(archive.name, member.name, number)
            file = SourceFile(
                key,
                name,
                f"{folder}/{key}",
                archive_id=archive.id,
                label=last_folder(name) if archive.is_labelled and not refusal else "",
                size_bytes=member.size_bytes,
                is_new=True,
                member=member if isinstance(member, ZipMember) else None,  # unpacked by whoever inspects it
                refusal=refusal,
            )
            if file.member is None and not refusal:
                member.unpack(file.path)
            yield file

    def _fetched(self, fetching: "Fetching") -> Iterator[SourceFile | None]:
        archives: list[_Archive] = []
        files = size_bytes = 0
        told = time.monotonic()
        while (batch := fetching.receive(_WAIT_S)) is not None:
            if time.monotonic() - told > _TELL_S:
                told = time.monotonic()
                self.run.publish("fetched", files=files, size_bytes=size_bytes)
            for each in batch:
                found = each.object
                files, size_bytes = files + 1, size_bytes + found.size_bytes
                if each.path and found.is_unpacked and archive_kind(each.path):
                    archives.append(_Archive(found.id, found.name, each.path, found.is_labelled))
                    continue
                yield SourceFile(
                    str(found.id),
                    found.name,
                    str(each.path or ""),
                    id=found.id,
                    label=found.label,
                    size_bytes=found.size_bytes,
                    is_new=True,
                    refusal=(each.error.message, each.error.reason) if each.error else None,
                )
            if not batch:
                yield None
        # In the order of their rows: which of two files keeps a name must not depend on what arrived first.
        for archive in sorted(archives, key=lambda archive: archive.id):
            if not fetching.missing:
                yield from self._members(self._surveyed(archive))

    def _remote_objects(self) -> Iterator["RemoteObject"]:
        from datasets.inspection.objects import RemoteObject

        for row in self._manifest():
            if row.get("url"):
                yield RemoteObject(
                    row["id"],
                    row["url"],
                    row["size_bytes"],
                    row.get("etag", ""),
                    row["name"],
                    label=row.get("label", ""),
                    is_unpacked=bool(row.get("archive")),
                    is_labelled=bool(row.get("labelled_by_folder")),
                )

    def _refusal(self, name: str) -> tuple[str, str] | None:
        """Take the name for a file, or tell why it cannot be had."""
        size = len(name.encode())
        if size > MAX_NAME_BYTES:
            message = _(
                "With the folder of its archive the path is too long: at most %(most)d bytes, received %(size)d.",
                most=MAX_NAME_BYTES,
                size=size,
            )
            return message, "name_too_long"
        match self._names.claim(name):
            case "taken":
                message = _(
                    "Another file of this data is called %(name)s already. Rename one, or make a data of its own.",
                    name=f"“{name}”",
                )
                return message, "name_taken"
            case "in_the_way":
                return _("A file and a folder have the same name here; rename one of them."), "name_in_the_way"
        return None

    def _other_name(self, archive: str, member: str, number: int) -> str:
        """A name that nobody has for a file that cannot have its own: its row tells why it was refused."""
        name = f"{archive}/{member}"
        if len(name.encode()) > MAX_NAME_BYTES:
            archive = _cut(archive, _ARCHIVE_NAME_BYTES)
            name = _cut(f"{archive}/{number}/{member}", MAX_NAME_BYTES - 20)
        while name in self._names:
            name += "~"
        self._names.reserve(name)
        return name


def _cut(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode("utf-8", "ignore")


def _check_free(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free - _RESERVE_BYTES
    if needed_bytes > free_bytes:
        raise RunError(
            _(
                "The files need %(needed)s GB of disk, %(free)s GB are free. Ask the operator to make room, "
                "then try again.",
                needed=f"{needed_bytes / 1e9:.1f}",
                free=f"{max(0, free_bytes) / 1e9:.1f}",
            ),
            reason="disk_full",
        )
