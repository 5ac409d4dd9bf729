"""Importing objects from an object storage: what was chosen is listed into rows, which the inspection then fetches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from datasets.connections import noting, storage_of
from datasets.inspection.names import MAX_NAME_BYTES, NameRefused, TakenNames, check_name, is_junk, last_folder
from datasets.models import Connection, Data, Dataset, File
from datasets.object_storage import ObjectStorage, StoredObject
from datasets.versions import create_raw_data
from dlmodeler_site.compute.run_folder import StopRequested
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import Status

MAX_KEYS = 10_000
_MAX_KEY = 1100  # a bucket and the longest key
_LOOKED_FOR = 20


def import_data(
    dataset: Dataset,
    creator: User,
    *,
    name: str,
    description: str = "",
    connection: Connection,
    keys: list[str],
    labels_from_folders: bool = False,
    unzip: bool = False,
) -> Data:
    """Queue the making of a raw data from objects: keys, and folders, which end with a slash, with all that is in them.

    Raises UserError when the connection does not work or one of the first keys leads to nothing.
    """
    chosen = checked_keys(keys)
    storage = storage_of(connection)
    for key in chosen[:_LOOKED_FOR]:
        _look_for(storage, key)
    with transaction.atomic():
        data = create_raw_data(dataset, creator, name=name, description=description)
        data.connection, data.source_keys = connection, chosen
        data.source_options = {"labels_from_folders": labels_from_folders, "unzip": unzip}
        data.save(update_fields=["connection", "source_keys", "source_options"])
        queue.submit(data, of=(Status.UPLOADING,))
    return data


def checked_keys(keys: list[str]) -> list[str]:
    """The keys without those that are below another one."""
    if not keys:
        raise UserError(_("Choose at least one file or folder."), reason="no_keys", field="keys")
    if len(keys) > MAX_KEYS:
        raise UserError(
            _(
                "At most %(most)d keys in one import; received %(count)d. Choose the folders that they are in.",
                most=MAX_KEYS,
                count=len(keys),
            ),
            reason="too_many_keys",
            field="keys",
        )
    for key in keys:
        if len(key) > _MAX_KEY or "\0" in key or key.startswith("/"):
            raise UserError(
                _("“%(key)s” is no key of an object: it begins with a slash or is too long.", key=key[:100]),
                reason="invalid_key",
                field="keys",
            )
    whole = {key for key in keys if _is_folder(key)}
    return [key for key in dict.fromkeys(keys) if whole.isdisjoint(_folders_above(key))]


def _look_for(storage: ObjectStorage, key: str) -> None:
    if not _is_folder(key):
        storage.find(key)
    elif not any(listing.objects for listing in storage.walk(key, most=1)):
        raise _nothing([key])


# -- In the work ---------------------------------------------------------------------------------


def list_objects(data: Data) -> None:
    """Give every object its row, once. What cannot be taken has a rejected row, or is junk that is only counted.

    Raises UserError when the storage refuses or there is nothing or too much, StopRequested.
    """
    if data.is_listed:
        return
    with noting(connection_of(data)):
        skipped = size_bytes = 0
        data.files.all()._raw_delete(data.files.db)  # what a killed attempt has listed
        rows = _Rows(data)
        for objects in _found(storage_of(connection_of(data), patient=True), data.source_keys):
            if Data.objects.filter(pk=data.pk, stop_requested=True).exists():
                raise StopRequested
            wanted = [each for each in objects if not _is_skipped(each)]
            skipped += len(objects) - len(wanted)
            size_bytes += sum(each.size_bytes for each in wanted)
            # RACE: an attempt that lost its lease while it listed writes the same rows.
            File.objects.bulk_create([rows.row_of(each) for each in wanted], ignore_conflicts=True)
            _check_count(rows.count)
    if rows.count == 0:
        raise _nothing(data.source_keys)
    data.is_listed = True
    data.source_options |= {"skipped": skipped, "files": rows.count, "size_bytes": size_bytes}
    data.save(update_fields=["is_listed", "source_options"])


def objects_to_fetch(data: Data) -> tuple[Iterator[dict[str, Any]], dict[str, Any]]:
    """The manifest of the objects that have rows, with addresses but no key to fetch them; and options of the spec."""
    storage = storage_of(connection_of(data))
    is_unpacked = bool(data.source_options.get("unzip"))
    waiting = data.files.filter(state=File.State.PENDING, source=File.Source.OBJECT).order_by("pk")

    def rows() -> Iterator[dict[str, Any]]:
        for file in waiting.iterator(chunk_size=2000):
            yield {
                "id": file.pk,
                "name": file.name,
                "label": file.label,
                "url": storage.url_to_get(file.source_key),
                "size_bytes": file.size_bytes,
                "etag": file.etag,
                "archive": is_unpacked,
                "labelled_by_folder": file.labelled_by_folder,
            }

    spec = {"public_only": storage.endpoint.public_only, "skipped": data.source_options.get("skipped", 0)}
    return rows(), spec


def connection_of(data: Data) -> Connection:
    if data.connection is None:
        raise UserError(
            _("The connection that “%(name)s” was imported from was deleted. Make a new import.", name=data.name),
            reason="connection_deleted",
        )
    return data.connection


class _Rows:
    """Makes the objects' rows: each under the name that it will have, or with the reason why it cannot have it."""

    def __init__(self, data: Data) -> None:
        self.count = 0
        self._data = data
        self._base = len(base_of(data.source_keys))
        self._before_key = 0 if connection_of(data).bucket else 1
        self._is_labelled = bool(data.source_options.get("labels_from_folders"))
        self._names = TakenNames()

    def row_of(self, found: StoredObject) -> File:
        self.count += 1
        row = File(data=self._data, source_key=found.path, size_bytes=found.size_bytes)
        given = found.path[self._base :]
        try:
            row.name = check_name(given)
            if refused := self._names.claim(row.name):
                raise NameRefused(_clash(refused))
        except NameRefused as error:
            row.name, row.state, row.error = self._free(given), File.State.REJECTED, error.message
            return row
        row.source, row.etag = File.Source.OBJECT, found.etag if len(found.etag) <= 64 else ""
        row.labelled_by_folder = self._is_labelled
        if self._is_labelled:
            row.label = last_folder(found.path.split("/", self._before_key)[-1])[:255]
        return row

    def _free(self, given: str) -> str:
        """A name to show of what was refused for its name, as no other row has."""
        text = "".join(each if each.isprintable() else "\ufffd" for each in given)
        name = text.encode("utf-8", "replace")[: MAX_NAME_BYTES - 10].decode("utf-8", "ignore")
        number, shown = 1, name
        while shown in self._names:
            number += 1
            shown = f"{name} ({number})"
        self._names.reserve(shown)
        return shown


def _clash(kind: str) -> str:
    if kind == "taken":
        return _("Another object has the same name here; rename one of them.")
    return _("A file and a folder have the same name here; rename one of them.")


def _found(storage: ObjectStorage, keys: list[str]) -> Iterator[list[StoredObject]]:
    for key in keys:
        if _is_folder(key):
            for listing in storage.walk(key):
                yield listing.objects
        else:
            yield [storage.find(key)]


def base_of(keys: list[str]) -> str:
    """The folder that names are relative to: the only one chosen, or the lowest one that all chosen ones are in."""
    if len(keys) == 1 and _is_folder(keys[0]):
        return keys[0]
    parts = [key.removesuffix("/").split("/")[:-1] for key in keys]
    common: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return "".join(f"{part}/" for part in common)


def _is_folder(key: str) -> bool:
    return key == "" or key.endswith("/")


def _folders_above(key: str) -> list[str]:
    parts = key.removesuffix("/").split("/")[:-1]
    return ([""] if key else []) + ["/".join(parts[: count + 1]) + "/" for count in range(len(parts))]


def _is_skipped(found: StoredObject) -> bool:
    return (found.path.endswith("/") and found.size_bytes == 0) or is_junk(found.path)


def _check_count(count: int) -> None:
    if count > settings.DLM_IMPORT_MAX_OBJECTS:
        raise UserError(
            _(
                "More than %(most)d objects: too many for one data. Choose folders with fewer.",
                most=settings.DLM_IMPORT_MAX_OBJECTS,
            ),
            reason="too_many_objects",
        )


def _nothing(keys: list[str]) -> UserError:
    return UserError(
        _("There is no object in %(keys)s.", keys=", ".join(f"“{key or '/'}”" for key in keys[:5])),
        reason="no_such_object",
        field="keys",
    )
