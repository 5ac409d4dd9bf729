"""Takes over what inspection and preprocessing put out: files into the workspace, rows into the database.

Rows are written in batches before the data is completed: nobody is shown the files of a data that is not, and one
transaction over 100,000 rows would keep every other writer waiting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import from_json, joined
from dlmodeler_site.storage import Put, workspace

if TYPE_CHECKING:
    from datasets.models import Data, File

BATCH = 1000
REASONS = 5
COMMON = ("state", "error", "content", "size_bytes", "sha256", "width", "height", "mode", "format", "has_thumbnail")


def publish(data: Data, run: RunFolder) -> None:
    """Put files, thumbnails and rows in place and fill in the data's totals (saved by `seal`)."""
    rows = read_jsonl(run.output / "files.jsonl")
    if data.parent_id is not None:
        data.files.all().delete()  # of an attempt that died here
    while batch := list(islice(rows, BATCH)):
        # What is not there any more was moved by that attempt.
        workspace().put_files(
            Put(f"{data.files_key}/{row['name']}", run.path / row["file"], row.get("sha256") or "")
            for row in batch
            if row.get("file") and (run.path / row["file"]).exists()
        )
        workspace().put_files(
            Put(file.thumbnail_key, run.path / row["thumbnail"])
            for file, row in zip(_write(data, batch), batch, strict=True)
            if row.get("thumbnail") and (run.path / row["thumbnail"]).exists()
        )
    _total(data)


def seal(data: Data) -> None:
    """Save the totals and the manifest's hash; part of the completing transaction."""
    data.save(update_fields=["file_count", "rejected_count", "content", "manifest_sha256", "size_bytes", "changed_at"])


def drop_rejected(data: Data) -> None:
    """Delete the bytes of rejected uploads; their rows stay and say why."""
    from datasets.models import File

    # SECURITY: a file refused for its name (`../x`) was never stored and has no hash; its name must not become a key.
    stored = data.files.filter(state=File.State.REJECTED).exclude(sha256="")
    names = stored.values_list("name", flat=True).iterator(chunk_size=BATCH)
    workspace().delete_files(f"{data.files_key}/{name}" for name in names)


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


def _write(data: Data, rows: list[dict[str, Any]]) -> list[File]:
    from datasets.models import File

    if data.parent_id is None:  # the rows exist, one for each uploaded file
        files = [File(pk=row["id"], data_id=data.pk, name=row["name"], **_values(row)) for row in rows]
        return File.objects.bulk_create(files, update_conflicts=True, unique_fields=["id"], update_fields=COMMON)
    return File.objects.bulk_create(
        [File(data_id=data.pk, name=row["name"], label=row.get("label") or "", **_values(row)) for row in rows]
    )


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
        "has_thumbnail": bool(row.get("thumbnail")),
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
