"""Making datasets and data; committing, preprocessing and stopping data."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets import resumable
from datasets.models import Data, Dataset
from datasets.preprocessing.augment import OPERATION as AUGMENT
from datasets.preprocessing.operation import Step
from datasets.preprocessing.registry import StepError, validate_steps
from datasets.preprocessing.split import OPERATION as SPLIT
from datasets.preprocessing.split import PARTS
from datasets.selections import check_names
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import Status
from projects.models import Project

_MAX_NAME = Data._meta.get_field("name").max_length or 0

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
    (data,) = _derive(source, creator, {name: checked_steps(steps)}, description=description, on_error=on_error)
    return data


def split_data(
    source: Data,
    creator: User,
    *,
    name: str,
    description: str = "",
    steps: Sequence[dict[str, Any]],
    on_error: str = Data.OnError.FAIL,
) -> list[Data]:
    """Queue the making of a data for each part of a split that gets a share: training, validation, test.

    `steps` hold one split without its part. All parts go through the others, except that only the training data is
    augmented: the others are to tell how well a model does on what it will be given.
    """
    parts = dict(split_steps(steps))
    names = {part: f"{name.strip()}-{part}" for part in parts}
    if len(max(names.values(), key=len)) > _MAX_NAME:
        raise UserError(
            _("The name is too long: with the name of a part it must have at most %(most)d characters.")
            % {"most": _MAX_NAME},
            reason="invalid",
            field="name",
        )
    wanted = {names[part]: checked_steps(each) for part, each in parts.items()}
    return _derive(source, creator, wanted, description=description, on_error=on_error)


def split_steps(steps: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For each part of the split in `steps` that gets a share, its steps; at least for the training part."""
    place = next(place for place, step in enumerate(steps) if step["op"] == SPLIT.name)
    defaults = {parameter.name: parameter.fallback for parameter in SPLIT.parameters}
    given = {**defaults, **steps[place]}
    for part in [part for part in PARTS if given[part]] or PARTS[:1]:
        before, after = steps[:place], steps[place + 1 :]
        chosen = [*before, {**steps[place], "part": part}, *after]
        yield part, [step for step in chosen if part == PARTS[0] or step["op"] != AUGMENT.name]


def whole_steps(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps with the first part of the split that gets a share, if they hold a split without its part."""
    without = any(step["op"] == SPLIT.name and "part" not in step for step in steps)
    return next(split_steps(steps))[1] if without else list(steps)


def suggested_name(data: Data) -> str:
    """The data's name with the next number that no data of the dataset has."""
    taken = set(Data.everything.filter(dataset=data.dataset_id).values_list("name", flat=True))
    stem = re.sub(r"-[0-9]{1,6}$", "", data.name)
    number = 2
    while (name := f"{stem[: _MAX_NAME - len(str(number)) - 1]}-{number}") in taken:
        number += 1
    return name


def checked_steps(steps: Any) -> tuple[Step, ...]:
    """The steps as they came from outside, checked; UserError names every mistake."""
    try:
        return validate_steps(steps)
    except StepError as error:
        raise UserError(
            error.message, reason="invalid_steps", field="steps", details={"steps": error.details}
        ) from error


def _derive(
    source: Data, creator: User, wanted: dict[str, tuple[Step, ...]], *, description: str, on_error: str
) -> list[Data]:
    """Queue a new data of the dataset for each name and its steps: all of them or none."""
    if source.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” is %(status)s; only a completed data can be preprocessed.")
            % {"name": source.name, "status": source.get_status_display().lower()},
            reason="not_completed",
        )
    made = []
    for steps in wanted.values():
        check_names(source, steps)
    with transaction.atomic():
        lock_kept(source)
        for name, steps in wanted.items():
            data = _create_data(
                source.dataset,
                creator,
                name=name,
                description=description,
                kind=Data.Kind.PROCESSED,
                parent=source,
                steps=[step.as_dict() for step in steps],
                on_error=on_error,
            )
            queue.submit(data, of=(Status.UPLOADING,))
            made.append(data)
    return made


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
