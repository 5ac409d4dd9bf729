"""Deletes for ever what is GONE from the trash: rows of files in small batches, then the files, the data's row last.

It may be killed anywhere: the row stays until everything below it is deleted, and the next round goes on.
"""

import time
from typing import Any

from django.db import transaction

from datasets import resumable
from datasets.models import Data, Dataset, File
from datasets.results import drop_sources
from datasets.trash import uses_of
from dlmodeler_site.errors import Conflict
from dlmodeler_site.registry import refuse_if_in_use
from dlmodeler_site.trash import GONE, delete_each, delete_folders, end_expired

BATCH = 2000


def purge() -> None:
    """End what has been in the trash for long enough, and delete what is GONE."""
    end_expired(Dataset.everything.all(), Data.everything.all())
    delete_each(_without_profiles(Data.everything.filter(deleted_at=GONE)), _purge_data)
    delete_each(Dataset.everything.filter(deleted_at=GONE).select_related("project"), purge_dataset)


def purge_in_project(project: Any) -> None:
    """Delete the project's datasets, whether they are in the trash or not."""
    for dataset in Dataset.everything.filter(project=project.pk).select_related("project"):
        purge_dataset(dataset)


def purge_dataset(dataset: Dataset) -> None:
    """Delete a dataset that nobody sees any more, with all its data."""
    for data in _without_profiles(Data.everything.filter(dataset=dataset)):
        _purge_data(data)
    delete_folders(dataset.files_key)
    dataset.delete()


def _without_profiles(data: Any) -> list[Data]:
    """Children before their parents."""
    return list(data.for_lists().select_related("dataset__project").order_by("-pk"))


def _purge_data(data: Data) -> None:
    refuse_if_in_use(data.name, uses_of(data))
    if Data.everything.filter(parent=data).exists():
        raise Conflict(f"{data.name} has children", reason="in_use")
    _delete_file_rows(data)
    exports = [export.files_key for export in data.exports.all()]
    delete_folders(data.files_key, data.thumbnails_key, data.log_key.rpartition("/")[0], *exports)
    drop_sources(data)
    resumable.forget(data.pk)
    data.delete()


def _delete_file_rows(data: Data) -> None:
    """In batches of their own, with as much time for other writers between them: SQLite has one writer at a time."""
    while True:
        began = time.monotonic()
        with transaction.atomic():
            batch = list(File.objects.filter(data=data).order_by("pk").values_list("pk", flat=True)[:BATCH])
            # Nothing refers to the files of a data that nothing uses: one statement, and no row is loaded.
            files = File.objects.filter(pk__in=batch)
            files._raw_delete(files.db)
        if len(batch) < BATCH:
            return
        time.sleep(time.monotonic() - began)
