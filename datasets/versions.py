"""Making datasets and data; committing, preprocessing and stopping data."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets import resumable
from datasets.models import Data, Dataset
from datasets.preprocessing.registry import StepError, validate_steps
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import Status
from projects.models import Project

# -- Making --------------------------------------------------------------------------------------


def create_dataset(project: Project, creator: User, *, name: str, description: str = "") -> Dataset:
    """Make an empty dataset."""
    with transaction.atomic():
        lock_kept(project)  # RACE: two of the same name get two slugs
        return Dataset.objects.create(
            project=project,
            creator=creator,
            name=name.strip(),
            slug=unique_slug(name, Dataset.everything.filter(project=project)),
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
        lock_kept(source)
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
    lock_kept(dataset)  # RACE: two of the same name get two slugs
    return Data.objects.create(
        dataset=dataset,
        creator=creator,
        name=name.strip(),
        slug=unique_slug(name, Data.everything.filter(dataset=dataset)),
        description=description.strip(),
        **values,
    )


# -- Work ----------------------------------------------------------------------------------------


def commit_data(data: Data) -> None:
    """No more files: queue the inspection. One that was stopped or failed is queued again for what is left."""
    if data.status == Status.UPLOADING:
        resumable.refuse_unfinished(data)
    waiting = data.is_to_inspect
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
