"""Exporting: the files of a data are copied to an object storage, as work that goes on where it broke off."""

from __future__ import annotations

import csv
import mimetypes
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from datasets.connections import noting, storage_of
from datasets.inspection.names import NameRefused, check_name
from datasets.models import Connection, Data, Export, File
from datasets.object_storage import ObjectStorage
from dlmodeler_site.compute.run_folder import RunFolder, StopRequested, write_jsonl
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import ACTIVE, Status

MOST_AT_ONCE_BYTES = 5 << 30  # S3 takes what is larger in parts alone
MAX_KEY_BYTES = 1024
MAX_FAILURES = 1000  # that are kept; all are counted
_BATCH = 2000


def export_data(data: Data, creator: User, *, connection: Connection, prefix: str) -> Export:
    """Queue the copying of the data's sound files to a folder of the connection, which is tried out by writing.

    Raises UserError when that is refused, Conflict when the data is not completed or is being exported there already.
    """
    if data.status != Status.COMPLETED:
        raise Conflict(
            _(
                "“%(name)s” is %(status)s; only a completed data can be exported.",
                name=data.name,
                status=data.get_status_display().lower(),
            ),
            reason="not_completed",
        )
    storage = storage_of(connection)
    prefix = _checked_prefix(storage, prefix)
    storage.check_writing(prefix)
    with transaction.atomic():
        lock_kept(data)
        if data.exports.filter(connection=connection, prefix=prefix, status__in=ACTIVE).exists():
            raise Conflict(_("“%(name)s” is being exported there already.", name=data.name), reason="already_exporting")
        export = Export.objects.create(data=data, connection=connection, prefix=prefix, creator=creator)
        queue.submit(export)
    return export


def stop_export(export: Export) -> None:
    """Stop it; what has arrived stays, and is not sent again."""
    if not export.request_stop():
        export.refresh_from_db(fields=["status"])
        raise Conflict(
            _("The export is %(status)s; there is nothing to stop.", status=export.get_status_display().lower()),
            reason="not_running",
        )


def resume_export(export: Export) -> None:
    """Go on with what is missing, after a stop or a failure."""
    with transaction.atomic():
        queue.submit(export, of=(Status.CANCELLED, Status.FAILED))
        export.failures = []
        export.save(update_fields=["failures"])


def _checked_prefix(storage: ObjectStorage, prefix: str) -> str:
    """The prefix with a slash at its end: it is a folder."""
    prefix = prefix.strip().strip("/")
    if not prefix and not storage.access.bucket:
        raise UserError(_("Choose a bucket to export to."), reason="invalid_prefix", field="prefix")
    folder = storage.place(f"{prefix}/").key.strip("/")
    try:
        if folder and check_name(folder) != folder:
            raise NameRefused(_("“%(folder)s” is no plain path.", folder=folder))
    except NameRefused as error:
        raise UserError(error.message, reason="invalid_prefix", field="prefix") from error
    limit = Export._meta.get_field("prefix").max_length or 0
    if len(prefix) >= limit:
        raise UserError(
            _("The folder's path has at most %(most)d characters.", most=limit - 1),
            reason="invalid_prefix",
            field="prefix",
        )
    return f"{prefix}/" if prefix else ""


# -- In the work ---------------------------------------------------------------------------------


def prepare_export(export: Export, run: RunFolder) -> dict[str, Any]:
    """Write the manifest, with addresses and no key, and the csv that goes beside the files; answers the spec."""
    if export.connection is None:
        raise UserError(
            _("The connection that “%(name)s” was exported to was deleted. Make a new export.", name=export.data.name),
            reason="connection_deleted",
        )
    with noting(export.connection):
        storage = storage_of(export.connection, patient=True)
        there = _what_is_there(export, storage)
    with open(run.input / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "label", "sha256", "size"])
        count = write_jsonl(run.input / "files.jsonl", _rows(export, storage, there, table))
    return {
        "files": "input/files.jsonl",
        "count": count,
        "size_bytes": export.data.size_bytes,
        "manifest": "input/manifest.csv",
        "manifest_url": storage.url_to_put(export.manifest_path),
        "public_only": storage.endpoint.public_only,
    }


def _what_is_there(export: Export, storage: ObjectStorage) -> dict[str, str]:
    """The ETags of objects that lie where files are to go and are of the same size, by the files' names."""
    found: dict[str, str] = {}
    for listing in storage.walk(export.prefix):
        if Export.objects.filter(pk=export.pk, stop_requested=True).exists():
            raise StopRequested
        objects = {each.path[len(export.prefix) :]: each for each in listing.objects}
        sound = export.data.files.named(objects).filter(state=File.State.OK)
        for name, size_bytes in sound.values_list("name", "size_bytes"):
            if objects[name].size_bytes == size_bytes:
                found[name] = objects[name].etag
    return found


def _rows(export: Export, storage: ObjectStorage, there: dict[str, str], table: Any) -> Iterator[dict[str, Any]]:
    files = export.data.files.filter(state=File.State.OK).order_by("pk").iterator(chunk_size=_BATCH)
    while batch := list(islice(files, _BATCH)):
        paths = workspace().local_paths([(file.key_in(export.data), file.sha256) for file in batch])
        for file, path in zip(batch, paths, strict=True):
            table.writerow([file.name, file.label, file.sha256, file.size_bytes])
            target = f"{export.prefix}{file.name}"
            error = "" if len(storage.place(target).key.encode()) <= MAX_KEY_BYTES else _too_long()
            content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            in_parts = None
            if file.size_bytes > MOST_AT_ONCE_BYTES and not error:
                in_parts = asdict(storage.begin_parts(target, file.size_bytes, content_type=content_type))
            yield {
                "id": file.pk,
                "name": file.name,
                "path": str(path),
                "size_bytes": file.size_bytes,
                "url": "" if error else storage.url_to_put(target),
                "parts": in_parts,
                "is_there": file.name in there,
                "etag": there.get(file.name, ""),
                "content_type": content_type,
                "error": to_json(error),
            }


def _too_long() -> str:
    return _("With the folder its path is longer than the %(most)d bytes that a key may have.", most=MAX_KEY_BYTES)


def collect_export(export: Export, events: list[dict[str, Any]]) -> None:
    """Keep how far it is, and the first of the files that were not taken. Events may come again after a crash."""
    known = {failure["name"] for failure in export.failures}
    for event in events:
        if event["type"] == "exported":
            export.counts = {name: event[name] for name in ("files", "size_bytes", "present", "failed")}
        elif event["type"] == "failure" and event["name"] not in known and len(known) < MAX_FAILURES:
            known.add(event["name"])
            export.failures.append({"name": event["name"], "error": event["error"]})
    export.save(update_fields=["counts", "failures"])
