"""Takes over what inspection and preprocessing put out: files into the workspace, rows into the database.

Rows are written in batches before the data is completed: nobody is shown the files of a data that is not, and one
transaction over 100,000 rows would keep every other writer waiting.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import profile
from datasets.incoming import data_folder
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import from_json, joined
from dlmodeler_site.storage import Put, workspace

if TYPE_CHECKING:
    from datasets.models import Data, File

BATCH = 1000
REASONS = 5
COMMON = (
    *("state", "error", "content", "size_bytes", "sha256", "width", "height", "mode", "format"),
    *("fingerprint", "has_thumbnail"),
)
OF_MEMBERS = (*COMMON, "label", "source", "source_key")


def publish(data: Data, run: RunFolder) -> None:
    """Put files, thumbnails and rows in place and fill in the data's totals (saved by `seal`)."""
    profile.keep(data, run)
    rows = read_jsonl(run.output / "files.jsonl")
    if data.parent_id is not None:
        data.files.all().delete()  # of an attempt that died here
        data.thumbnail_bytes = data.shared_bytes = 0
    archives: dict[int, str] = {}
    fetched = f"{data_folder(data.pk)}/"
    while batch := list(islice(rows, BATCH)):
        workspace().put_files(
            Put(f"{data.files_key}/{row['name']}", _source(run, row["file"], fetched), row["sha256"])
            for row in batch
            if row.get("file")
        )
        counted = _counted(data, batch)
        files = _write(data, batch, archives)
        thumbnails = [
            Put(file.thumbnail_key, run.path / row["thumbnail"])
            for file, row in zip(files, batch, strict=True)
            if row.get("thumbnail") and row["thumbnail"] != row.get("file")
        ]
        data.thumbnail_bytes += sum(put.source.stat().st_size for put in thumbnails if put.key not in counted)
        workspace().put_files(thumbnails)
        _copy(data, list(_copies(data, files, batch)))
        _keep(data, thumbnail_bytes=data.thumbnail_bytes)  # for the next attempt, if this one dies here
    _total(data)
    data.selections = (run.result() or {}).get("selections") or []
    _keep(data, selections=data.selections)


def _keep(data: Data, **values: Any) -> None:
    """Save these past the audit log, which would read the whole row first."""
    from datasets.models import Data

    Data.everything.filter(pk=data.pk).update(**values)


def _counted(data: Data, rows: list[dict[str, Any]]) -> set[str]:
    """The thumbnails of members of archives that an attempt that died has put, and counted, already."""
    members = [row["name"] for row in rows if row["id"] is None]
    if not members:
        return set()
    return {file.thumbnail_key for file in data.files.named(members).filter(has_thumbnail=True).only("data")}


def _source(run: RunFolder, file: str, fetched: str) -> Path:
    """The file to be moved. What was fetched stays, too: an attempt that dies here need not fetch it again."""
    path = run.path / file
    if not file.startswith(fetched):
        return path
    link = run.output / "fetched" / path.name
    link.parent.mkdir(exist_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system that cannot
        return path
    return link


@dataclass(frozen=True)
class _Copy:
    """A file of the workspace that comes under a second key; None: how large its thumbnail is, is not known."""

    key: str
    new_key: str
    size_bytes: int | None
    is_thumbnail: bool = False


def _copy(data: Data, copies: list[_Copy]) -> None:
    """Copy, and count what that takes on the disk. Thumbnails of unknown size are taken for such as the parent's."""
    linked = workspace().copy_files((each.key, each.new_key) for each in copies)
    unknown = 0
    for each in copies:
        is_linked = each.new_key in linked
        if not each.is_thumbnail:
            data.shared_bytes += (each.size_bytes or 0) if is_linked else 0
        elif not is_linked:
            data.thumbnail_bytes += each.size_bytes or 0
            unknown += each.size_bytes is None
    if unknown and data.parent is not None:
        of_parent = data.parent.files.filter(has_thumbnail=True).count()
        data.thumbnail_bytes += round(unknown * data.parent.thumbnail_bytes / max(of_parent, 1))


def _copies(data: Data, files: list[File], rows: list[dict[str, Any]]) -> Iterator[_Copy]:
    """What is in the workspace already: files carried over from the parent, and files that are their own thumbnails."""
    for file, row in zip(files, rows, strict=True):
        if row.get("carry") and data.parent is not None:
            name = row["name"]
            yield _Copy(f"{data.parent.files_key}/{name}", f"{data.files_key}/{name}", file.size_bytes)
            if file.has_thumbnail:
                yield _Copy(
                    f"{data.parent.thumbnails_key}/{row['id']}.jpg", file.thumbnail_key, None, is_thumbnail=True
                )
        elif row.get("is_thumbnail"):
            yield _Copy(f"{data.files_key}/{row['name']}", file.thumbnail_key, file.size_bytes, is_thumbnail=True)


def seal(data: Data) -> None:
    """Save the totals and the manifest's hash; part of the completing transaction.

    What was unpacked is no file of the data any more; archives that were refused stay as such.
    """
    from datasets.models import File

    data.files.filter(state=File.State.PENDING).exclude(source="").delete()
    data.save(
        update_fields=[
            "file_count",
            "rejected_count",
            "content",
            "manifest_sha256",
            "size_bytes",
            "shared_bytes",
            "changed_at",
        ]
    )


def tidy(data: Data) -> None:
    """Delete the bytes that the data does not need any more: of rejected uploads, and of what it was made from."""
    from datasets.models import File

    # SECURITY: a file refused for its name (`../x`) was never stored and has no hash; its name must not become a key.
    stored = data.files.filter(state=File.State.REJECTED).exclude(sha256="")
    names = stored.values_list("name", flat=True).iterator(chunk_size=BATCH)
    workspace().delete_files(f"{data.files_key}/{name}" for name in names)
    drop_sources(data)


def drop_sources(data: Data) -> None:
    """Delete archives and what was fetched; the files that came of it are in their places."""
    if data.parent_id is None:
        workspace().delete_tree(data.archives_key)
        shutil.rmtree(data_folder(data.pk), ignore_errors=True)


def nothing_sound(data: Data) -> UserError:
    """Why a data without a single sound file fails: the reasons of the first of them."""
    from datasets.models import File

    rejected = data.files.filter(state=File.State.REJECTED)
    lines: list[str] = [joined(": ", (file.name, file.error)) for file in rejected[:REASONS]]
    if data.rejected_count > REASONS:
        lines.append("…")
    if data.rejected_count == 1:
        what = _("The only file cannot be used. Make a new data from other files.")
    else:
        what = _(
            "None of the %(count)d files can be used. Make a new data from other files.", count=data.rejected_count
        )
    return UserError(joined("\n", (what, *lines)), reason="all_rejected")


def _write(data: Data, rows: list[dict[str, Any]], archives: dict[int, str]) -> list[File]:
    """Write the rows of the files, and answer them in order. `archives`: names of those that members came from."""
    from datasets.models import File

    files = [File(pk=row["id"], data_id=data.pk, name=row["name"], **_values(row)) for row in rows]
    if data.parent_id is not None:
        for file, row in zip(files, rows, strict=True):
            file.pk, file.label = None, row.get("label") or ""
        return File.objects.bulk_create(files)
    members: list[File] = []
    if unknown := {row["archive_id"] for row in rows if row["id"] is None} - archives.keys():
        archives |= dict(data.files.filter(pk__in=unknown).values_list("pk", "name"))
    for file, row in zip(files, rows, strict=True):
        if file.pk is None:
            file.label, file.source = row.get("label") or "", File.Source.ARCHIVE
            file.source_key = archives[row["archive_id"]]
            members.append(file)
    # The rows of what was uploaded or listed exist; those of members do, if an attempt died here.
    File.objects.bulk_create(
        [file for file in files if file.pk is not None],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=COMMON,
    )
    File.objects.bulk_create(members, update_conflicts=True, unique_fields=["data", "name"], update_fields=OF_MEMBERS)
    return files


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "state": row["state"],
        "error": from_json(row.get("error") or ""),
        "content": row.get("content") or "",
        "size_bytes": row.get("size_bytes") or 0,
        "sha256": row.get("sha256") or "",
        "width": row.get("width"),
        "height": row.get("height"),
        "mode": row.get("mode") or "",
        "format": row.get("format") or "",
        "fingerprint": row.get("fingerprint") or "",
        "has_thumbnail": bool(row.get("thumbnail") or row.get("has_thumbnail") or row.get("is_thumbnail")),
    }


def _total(data: Data) -> None:
    from datasets.models import File

    sound = data.files.filter(state=File.State.OK)
    contents = set(sound.order_by().values_list("content", flat=True).distinct())
    data.content = contents.pop() if len(contents) == 1 else ("mixed" if contents else "")
    data.rejected_count = data.files.filter(state=File.State.REJECTED).count()
    data.file_count = data.size_bytes = 0
    data.manifest_sha256 = _manifest_hash(
        data, sound.order_by("name").values_list("name", "size_bytes", "sha256", "label")
    )


def _manifest_hash(data: Data, rows: Any) -> str:
    digest = hashlib.sha256()
    name: str
    rows_in_chunks: Iterator[tuple[str, int, str, str]] = rows.iterator(chunk_size=5000)
    for name, size_bytes, sha256, label in rows_in_chunks:
        digest.update(f"{name}\0{size_bytes}\0{sha256}\0{label}\n".encode())
        data.file_count += 1
        data.size_bytes += size_bytes
    return digest.hexdigest()
