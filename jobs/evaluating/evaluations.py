"""Evaluations: those that trainings make of themselves, and those on other data that users ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder, read_json
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import FINAL, Status
from jobs.evaluating import rows

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from datasets.models import Data
    from jobs.models import Evaluation, Training

RESULTS = "evaluation"  # in the output of a run
_SUMMARY = "evaluation.json"


def create_evaluation(
    training: Training, *, data: Data, labels: Data | None = None, creator: User | None
) -> Evaluation:
    """Queue the measuring of the training's model on labelled data.

    Raises:
        UserError: the data is of another project, or nothing in it has a label.
        Conflict: there is no model yet, or the data is not completed.
    """
    from jobs.models import Evaluation
    from jobs.readers.registry import reader_of

    require_model(training)
    for field, each in (("data", data), ("labels", labels)):
        if each is not None:
            _require_usable(training, each, field)
    reader_of(training.job.algorithm).check_samples(training, data, labels)
    with transaction.atomic():
        # RACE: what is being deleted must not be used any more; the rows are the locks.
        lock_kept(training.project)
        for each in (data, labels):
            if each is not None:
                lock_kept(each)
        evaluation = Evaluation.objects.create(training=training, data=data, labels_data=labels, creator=creator)
        queue.submit(evaluation)
    return evaluation


def require_model(training: Training) -> None:
    """Raises Conflict while the training has no model."""
    if not training.export_key:
        raise Conflict(
            _("“%(name)s” has no model: it is %(status)s. A training has a model once it is completed.")
            % {"name": training.name, "status": training.get_status_display().lower()},
            reason="no_model",
        )


def _require_usable(training: Training, data: Data, field: str) -> None:
    if data.dataset.project_id != training.job.project_id:
        raise UserError(
            _("“%(data)s” belongs to another project than “%(training)s”. Choose data of the same project.")
            % {"data": data.name, "training": training.name},
            reason="other_project",
            field=field,
        )
    if data.status != Status.COMPLETED:
        raise Conflict(
            _("“%(data)s” is %(status)s. Choose data that is completed, or wait for it.")
            % {"data": data.name, "status": data.get_status_display().lower()},
            reason="data_not_completed",
            field=field,
        )


def stop_evaluation(evaluation: Evaluation) -> None:
    """Stop it; what it has measured so far is kept for going on."""
    if not evaluation.request_stop():
        evaluation.refresh_from_db()
        raise Conflict(
            _("The evaluation cannot be stopped: it is %(status)s.")
            % {"status": evaluation.get_status_display().lower()},
            reason="wrong_state",
        )


def resume_evaluation(evaluation: Evaluation) -> None:
    """Go on after a stop or a failure."""
    queue.submit(evaluation, of=(Status.CANCELLED, Status.FAILED))


def delete_evaluation(evaluation: Evaluation) -> None:
    """Delete the evaluation with its results. Raises Conflict while it runs, and for that which the training made."""
    from jobs.models import Evaluation

    if evaluation.data_id is None:
        raise Conflict(
            _("This evaluation belongs to the training and is deleted with it."), reason="belongs_to_training"
        )
    key = evaluation.files_key
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().filter(pk=evaluation.pk, status__in=FINAL).first()
        if locked is None:
            evaluation.refresh_from_db(fields=["status"])
            raise Conflict(
                _("The evaluation is %(status)s. Stop it first, then delete it.")
                % {"status": evaluation.get_status_display().lower()},
                reason="wrong_state",
            )
        locked.delete()
    workspace().delete_tree(key)


def own_evaluation(training: Training) -> Evaluation:
    """What the training measured of itself; otherwise the newest completed one on other data.

    Raises:
        Conflict: there is none (`no_evaluation`), with what to do.
    """
    completed = training.evaluations.filter(status=Status.COMPLETED)
    found: Evaluation | None = completed.filter(data=None).first() or completed.first()
    if found is not None:
        return found
    if training.is_active:
        message = _("“%(name)s” has no evaluation yet: it is %(status)s. It measures itself at its end.")
    elif training.export_key:
        message = _(
            "“%(name)s” has no evaluation: it is older than these. Evaluate it on labelled data: "
            'POST {"data": id} to its evaluations/.'
        )
    else:
        message = _("“%(name)s” has no evaluation: it is %(status)s and has no model. Resume it, or start a new one.")
    values = {"name": training.name, "status": training.get_status_display().lower()}
    raise Conflict(message % values, reason="no_evaluation")


def require_results(evaluation: Evaluation) -> None:
    """Raises Conflict until there are results."""
    if evaluation.status != Status.COMPLETED:
        raise Conflict(
            _("The evaluation has no results: it is %(status)s. Results are there once it is completed.")
            % {"status": evaluation.get_status_display().lower()},
            reason="not_completed",
        )


def samples_data(evaluation: Evaluation) -> Data | None:
    """The data that the samples are files or rows of; None where it is not there any more as it was."""
    from datasets.models import Data

    if evaluation.data is not None:
        return evaluation.data
    hashes: dict[str, str] = evaluation.training.record_of_run.get("data", {})
    if not hashes:
        return None
    # The inputs of a job can be changed afterwards, its data cannot.
    name, manifest = next(iter(hashes.items()))
    given = evaluation.training.job.input_data(name)
    if given is not None and given.manifest_sha256 == manifest:
        return given
    same = Data.objects.filter(dataset__project=evaluation.training.job.project_id, manifest_sha256=manifest)
    return same.select_related("dataset__project").for_lists().first()


# -- Work ---------------------------------------------------------------------------------------


def stage(evaluation: Evaluation, run: RunFolder) -> dict[str, Any]:
    """Write the labelled samples and answer the spec."""
    from jobs.readers.registry import reader_of

    training, data = evaluation.training, evaluation.data
    if data is None:
        raise UserError(_("The evaluation has no data to measure the model on."), reason="input_missing")
    staged = reader_of(training.job.algorithm).stage_samples(training, data, evaluation.labels_data, run)
    return {
        "bundle": str(workspace().local_tree(training.export_key)),
        "part": evaluation.part,
        "threads": cpu_count(),
        **staged,
    }


def publish(evaluation: Evaluation, run: RunFolder) -> None:
    """Put the results into the workspace, where every cell of the matrix is found at once."""
    evaluation.results_key = f"{evaluation.files_key}/results"
    evaluation.summary = _publish(run.output / RESULTS, evaluation.results_key)


def record(evaluation: Evaluation, run: RunFolder) -> None:
    """Save what it came to; part of the completing transaction."""
    evaluation.save(update_fields=["summary", "results_key"])


def publish_own(training: Training, run: RunFolder) -> None:
    """Put what a training measured of itself beside its model."""
    if (run.output / RESULTS / _SUMMARY).exists():
        _publish(run.output / RESULTS, _own_key(training))


def record_own(training: Training) -> None:
    """Save what a training measured of itself; part of the transaction that completes it."""
    from jobs.models import Evaluation

    key = f"{_own_key(training)}/{_SUMMARY}"
    if not workspace().exists(key):
        return
    with workspace().open(key) as file:
        summary = json.load(file)
    now = timezone.now()
    Evaluation.objects.update_or_create(
        training=training,
        data=None,
        defaults={
            "status": Status.COMPLETED,
            "progress": 1.0,
            "part": summary["part"],
            "summary": summary,
            "results_key": _own_key(training),
            "creator": training.creator,
            "started_at": now,
            "finished_at": now,
        },
    )


def _own_key(training: Training) -> str:
    return f"{training.files_key}/evaluation/own"


def _publish(results: Path, key: str) -> dict[str, Any]:
    summary: dict[str, Any] = read_json(results / _SUMMARY)
    rows.build(results, is_regression=summary.get("task") == "regression")
    workspace().put_tree(key, results)
    return summary
