"""Making, committing, preprocessing, stopping and deleting datasets and their data."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets import resumable
from datasets.models import Data, Dataset, File
from datasets.preprocessing.registry import StepError, validate_steps
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import Dependant, dependants, refuse_if_in_use
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.storage import workspace
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import ACTIVE, Status
from projects.models import Project

# -- Making --------------------------------------------------------------------------------------


def create_dataset(project: Project, creator: User, *, name: str, description: str = "") -> Dataset:
    """Make an empty dataset."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)  # RACE: two of the same name get two slugs
        return Dataset.objects.create(
            project=project,
            creator=creator,
            name=name.strip(),
            slug=unique_slug(name, project.datasets.all()),
            description=description.strip(),
        )


def update_dataset(dataset: Dataset, *, name: str | None = None, description: str | None = None) -> None:
    """Change what is given. A new name never moves files."""
    if name is not None:
        dataset.name = name.strip()
    if description is not None:
        dataset.description = description.strip()
    dataset.save(update_fields=["name", "description", "changed_at"])


def create_raw_data(dataset: Dataset, creator: User, *, name: str, description: str = "") -> Data:
    """Make a data that takes files until it is committed."""
    with transaction.atomic():
        return _create_data(dataset, creator, name=name, description=description, kind=Data.Kind.RAW)


def preprocess_data(
    source: Data,
    creator: User,
    *,
    name: str,
    description: str = "",
    steps: Any,
    on_error: str = Data.OnError.FAIL,
) -> Data:
    """Queue the making of a new data of the same dataset from a completed one."""
    valid = checked_steps(steps)
    if source.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” is %(status)s; only a completed data can be preprocessed.")
            % {"name": source.name, "status": source.get_status_display().lower()},
            reason="not_completed",
        )
    with transaction.atomic():
        data = _create_data(
            source.dataset,
            creator,
            name=name,
            description=description,
            kind=Data.Kind.PROCESSED,
            parent=source,
            steps=valid,
            on_error=on_error,
        )
        queue.submit(data, of=(Status.UPLOADING,))
    return data


def checked_steps(steps: Any) -> list[dict[str, Any]]:
    """The steps as they came from outside, checked; UserError names every mistake."""
    try:
        return [step.as_dict() for step in validate_steps(steps)]
    except StepError as error:
        raise UserError(
            error.message, reason="invalid_steps", field="steps", details={"steps": error.details}
        ) from error


def _create_data(dataset: Dataset, creator: User, *, name: str, description: str, **values: Any) -> Data:
    Dataset.objects.select_for_update().get(pk=dataset.pk)  # RACE: two of the same name get two slugs
    return Data.objects.create(
        dataset=dataset,
        creator=creator,
        name=name.strip(),
        slug=unique_slug(name, dataset.data.all()),
        description=description.strip(),
        **values,
    )


# -- Work ----------------------------------------------------------------------------------------


def commit_data(data: Data) -> None:
    """No more files: queue the inspection. One that was stopped or failed is queued again for what is left."""
    if data.status == Status.UPLOADING:
        resumable.refuse_unfinished(data)
    waiting = data.kind == Data.Kind.RAW and data.files.filter(state=File.State.PENDING).exists()
    if data.status == Status.UPLOADING and not waiting:
        refused = data.files.count()
        message = (
            _("All %(count)s files of “%(name)s” were refused. Upload others, then commit.")
            if refused
            else _("“%(name)s” has no files yet. Upload at least one, then commit.")
        )
        raise UserError(message % {"count": refused, "name": data.name}, reason="no_files", field="files")
    queue.submit(data, of=(Status.UPLOADING, Status.CANCELLED, Status.FAILED) if waiting else (Status.UPLOADING,))


def stop_data(data: Data) -> None:
    """Stop the inspection or preprocessing."""
    if not data.request_stop():
        data.refresh_from_db(fields=["status"])
        raise Conflict(
            _("“%(name)s” is %(status)s; there is nothing to stop.")
            % {"name": data.name, "status": data.get_status_display().lower()},
            reason="not_running",
        )


# -- Deleting ------------------------------------------------------------------------------------


def uses_of(data: Data) -> list[Dependant]:
    """What was made from the data or uses it, and so refuses its deletion."""
    children = [Dependant(_("data"), child.name) for child in data.children.all()]
    return children + dependants(data)


def delete_data(data: Data) -> None:
    """Delete the data with its files. Raises Conflict while it is worked on or used."""
    folders = _folders(data)
    with transaction.atomic():
        locked = Data.objects.select_for_update().get(pk=data.pk)
        _refuse_active([locked])
        refuse_if_in_use(locked.name, uses_of(locked))
        _delete_rows(locked)
    for folder in folders:
        workspace().delete_tree(folder)


def delete_dataset(dataset: Dataset) -> None:
    """Delete the dataset with all its data. Raises Conflict while one of them is worked on or used elsewhere."""
    folders = [dataset.files_key]
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        versions = list(dataset.data.select_for_update().order_by("-pk"))  # children before their parents
        _refuse_active(versions)
        refuse_if_in_use(dataset.name, dependants(dataset) + [use for data in versions for use in dependants(data)])
        for data in versions:
            folders += _folders(data)
            _delete_rows(data)
        dataset.delete()
    for folder in folders:
        workspace().delete_tree(folder)


def _refuse_active(versions: list[Data]) -> None:
    if active := [data.name for data in versions if data.status in ACTIVE]:
        raise Conflict(
            _("%(names)s: queued or running. Stop it first, then delete.")
            % {"names": ", ".join(f"“{name}”" for name in active)},
            reason="running",
        )


def _folders(data: Data) -> list[str]:
    """Everything of the data in the workspace."""
    return [data.files_key, data.thumbnails_key, data.log_key.rpartition("/")[0]]


def _delete_rows(data: Data) -> None:
    # Nothing can refer to the files of a data that nothing uses: one statement, instead of loading 100,000 rows.
    files = data.files.all()
    files._raw_delete(files.db)
    data.delete()
