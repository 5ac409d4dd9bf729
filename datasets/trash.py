"""Deleting datasets and data: into the trash, out of it again, or for ever.

A dataset takes its data along and brings exactly these back. A data that is not in the trash has its parent and its
dataset outside of it as well. Data are made in the dataset of their parent.
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, Sum
from django.utils.translation import gettext as _

from datasets.models import Data, Dataset, disk_bytes
from dlmodeler_site import trash
from dlmodeler_site.errors import Conflict
from dlmodeler_site.registry import Dependant, dependants, refuse_if_in_use
from dlmodeler_site.trash import GONE, TrashEntry, lock_kept
from dlmodeler_site.work.models import ACTIVE
from projects.models import Project

# -- Into the trash ------------------------------------------------------------------------------


def uses_of(data: Data) -> list[Dependant]:
    """What was made from the data or uses it, and so refuses its deletion."""
    children = [Dependant(_("data"), child.name) for child in data.children.all()]
    return children + dependants(data)


def uses_of_dataset(dataset: Dataset) -> list[Dependant]:
    """What uses the dataset or one of its data."""
    return dependants(dataset) + [use for data in dataset.data.for_lists() for use in dependants(data)]


def delete_data(data: Data, *, forever: bool = False) -> None:
    """Move the data to the trash, or past it. Raises Conflict while it is worked on or used."""
    with transaction.atomic():
        locked = lock_kept(data)
        _refuse_active([locked])
        refuse_if_in_use(locked.name, uses_of(locked))
        if forever:
            _refuse_children_in_trash(locked)
            trash.end(locked)
        else:
            trash.put_in(locked)


def delete_dataset(dataset: Dataset, *, forever: bool = False) -> None:
    """Move the dataset with its data to the trash, or past it. Raises Conflict while one of them is in use."""
    with transaction.atomic():
        locked = lock_kept(dataset)
        _refuse_active(list(locked.data.for_lists().select_for_update()))
        refuse_if_in_use(locked.name, uses_of_dataset(locked))
        trash.put_in(locked)
        locked.data.update(deleted_at=locked.deleted_at)  # by which they are known as those that went along
        if forever:
            trash.end(locked)


def _refuse_active(versions: list[Data]) -> None:
    if active := [data.name for data in versions if data.status in ACTIVE]:
        raise Conflict(
            _("%(names)s: queued or running. Stop it first, then delete.")
            % {"names": ", ".join(f"“{name}”" for name in active)},
            reason="running",
        )


def _refuse_children_in_trash(data: Data) -> None:
    children = Data.everything.filter(parent=data).exclude(deleted_at=GONE)
    refuse_if_in_use(data.name, [Dependant(_("data"), child.name) for child in children.for_lists()])


# -- In the trash --------------------------------------------------------------------------------


def trashed_datasets() -> Any:
    return trash.in_trash(Dataset.everything.select_related("project"))


def trashed_data() -> Any:
    """The data that were deleted on their own, not along with their dataset."""
    alone = trash.in_trash(Data.everything.for_lists().select_related("dataset__project"))
    return alone.exclude(dataset__deleted_at=GONE).exclude(dataset__deleted_at=F("deleted_at"))


def entries(projects: Iterable[Project]) -> list[TrashEntry]:
    """What is in the trash of the projects, newest first, in four queries."""
    here = [project.pk for project in projects]
    went_along = Q(data__deleted_at=F("deleted_at"))
    datasets = list(
        trashed_datasets()
        .filter(project__in=here)
        .annotate(contents=Count("data", filter=went_along), bytes=Sum(disk_bytes("data__"), filter=went_along))
    )
    data = list(trashed_data().filter(dataset__project__in=here))
    by = trash.deleters(datasets)
    listed = [
        TrashEntry(
            kind="dataset",
            pk=row.pk,
            name=row.name,
            deleted_at=row.deleted_at,
            deleted_by=by.get(row.pk, ""),
            size_bytes=row.bytes or 0,
            contents=row.contents,
            project_pk=row.project_id,
        )
        for row in datasets
    ]
    by = trash.deleters(data)
    listed += [
        TrashEntry(
            kind="data",
            pk=row.pk,
            name=row.name,
            deleted_at=row.deleted_at,
            deleted_by=by.get(row.pk, ""),
            size_bytes=row.disk_bytes,
            contents=row.file_count,
            project_pk=row.dataset.project_id,
            part_of=row.dataset.name,
        )
        for row in data
    ]
    return sorted(listed, key=lambda entry: entry.deleted_at, reverse=True)


# -- Out of the trash ----------------------------------------------------------------------------


def restore_data(data: Data) -> None:
    """Take the data out of the trash. Raises Conflict when what it belongs to, or was made from, is still in it."""
    with transaction.atomic():
        locked = Data.everything.select_for_update(of=("self",)).select_related("dataset", "parent").get(pk=data.pk)
        trash.require_in_trash(locked)
        for above, reason in ((locked.dataset, "dataset_in_trash"), (locked.parent, "parent_in_trash")):
            if above is not None and above.deleted_at is not None:
                raise Conflict(_refusal(reason) % {"name": locked.name, "above": above.name}, reason=reason)
        trash.take_out(locked)


def restore_dataset(dataset: Dataset) -> None:
    """Take the dataset out of the trash with the data that went along with it."""
    with transaction.atomic():
        locked = Dataset.everything.select_for_update().get(pk=dataset.pk)
        trash.require_in_trash(locked)
        Data.everything.filter(dataset=locked, deleted_at=locked.deleted_at).update(deleted_at=None)
        trash.take_out(locked)


def _refusal(reason: str) -> str:
    if reason == "dataset_in_trash":
        return _("“%(name)s” cannot be restored alone: its dataset “%(above)s” is in the trash. Restore that first.")
    return _("“%(name)s” was made from “%(above)s”, which is in the trash. Restore that first.")


# -- Past the trash ------------------------------------------------------------------------------


def end_data(data: Data) -> None:
    """Delete a data in the trash for ever. Raises Conflict while one that was made from it is in the trash."""
    with transaction.atomic():
        locked = Data.everything.select_for_update().get(pk=data.pk)
        trash.require_in_trash(locked)
        _refuse_children_in_trash(locked)
        trash.end(locked)


def end_dataset(dataset: Dataset) -> None:
    """Delete a dataset in the trash for ever, with everything that is in it."""
    with transaction.atomic():
        locked = Dataset.everything.select_for_update().get(pk=dataset.pk)
        trash.require_in_trash(locked)
        trash.end(locked)


def empty(project: Project) -> int:
    """Delete everything in the project's trash for ever; answers how many entries that were."""
    with transaction.atomic():
        datasets = list(trashed_datasets().filter(project=project).select_for_update(of=("self",)))
        data = list(trashed_data().filter(dataset__project=project).select_for_update(of=("self",)))
        for row in (*datasets, *data):
            trash.end(row)
    return len(datasets) + len(data)
