"""Starting trainings, stopping and resuming them, and deleting them."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import dependants, refuse_if_in_use
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import FINAL, Status
from jobs import instances
from jobs.algorithms.base import HyperparameterError, Manifest, validate_hyperparameters
from jobs.checking import preflight
from jobs.definition import algorithm
from jobs.estimating.estimates import known_estimate
from jobs.models import Instance, Job, Training
from jobs.readers.base import Examination

MOST_TRAININGS = 20  # in one request
NAME_LENGTH = 100
SEEDS = 2**31


@dataclass(frozen=True)
class TrainingRequest:
    """One training of a request. One that runs another one again has its seed, and all of its hyperparameters."""

    name: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    again_of: Training | None = None


def create_trainings(user: User, job: Job, instance: Instance, requests: Sequence[TrainingRequest]) -> list[Training]:
    """Queue a training of the job for each request: all of them, or none.

    Raises:
        UserError: `details["trainings"]` has, for each request at fault (its index as text), a sentence for each
            name or hyperparameter; or the check of the data failed (`preflight_failed`), or there is no such instance.
        Conflict: a name exists, in the whole system or twice in the request; or the job is no basic job.
    """
    require_basic(job)
    if not 1 <= len(requests) <= MOST_TRAININGS:
        raise UserError(
            _("Ask for 1 to %(most)s trainings at a time; received %(count)s.")
            % {"most": MOST_TRAININGS, "count": len(requests)},
            reason="invalid",
            field="trainings",
        )
    instances.require(instance)
    manifest = algorithm(job.algorithm)
    names = [request.name.strip() for request in requests]
    problems = _Problems()
    _check_names(names, problems)
    examination = preflight.examine_job(job)
    complete = [
        _hyperparameters(manifest, examination, index, request, problems) for index, request in enumerate(requests)
    ]
    problems.raise_if_any()
    examination.raise_errors()
    try:
        with transaction.atomic():
            lock_kept(job.project)
            return [
                _queue(user, job, instance, request, hyperparameters)
                for request, hyperparameters in zip(requests, complete, strict=True)
            ]
    except IntegrityError:
        # RACE: somebody took a name since it was looked up.
        _check_names(names, problems)
        problems.raise_if_any()
        raise


def complete_hyperparameters(job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """All hyperparameters of a training that is given these, as `create_trainings` makes them; raises as it does."""
    require_basic(job)
    problems = _Problems()
    examination = preflight.examine_job(job)
    complete = _hyperparameters(algorithm(job.algorithm), examination, 0, TrainingRequest("", given), problems)
    problems.raise_if_any()
    examination.raise_errors()
    return complete


def require_basic(job: Job) -> None:
    """Raises Conflict for a custom job."""
    if job.kind == Job.Kind.CUSTOM:
        raise Conflict(
            _("Custom jobs train in a notebook, and notebooks are not available on this site yet. Make a basic job."),
            reason="notebooks_unavailable",
        )


def free_name(job: Job) -> str:
    """A name for the next training of the job that no training in the system has."""
    stem = job.name[: NAME_LENGTH - 10]
    taken = set(Training.objects.filter(name__startswith=f"{stem}-").values_list("name", flat=True))
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def stop(training: Training) -> None:
    """Stop it: a queued one at once, a running one at its next step. Raises Conflict when it has ended already."""
    if not training.request_stop():
        training.refresh_from_db(fields=["status"])
        raise Conflict(
            _("“%(name)s” is %(status)s: there is nothing to stop.")
            % {"name": training.name, "status": training.get_status_display().lower()},
            reason="wrong_state",
        )


def resume(training: Training) -> None:
    """Go on with a stopped or failed training from its last checkpoint (from the start where there is none)."""
    require_same_data(training)
    instances.require(training.instance)
    queue.submit(training, of=(Status.CANCELLED, Status.FAILED))


def require_same_data(training: Training) -> None:
    """Raises Conflict (`data_changed`) when its job reads other data than the training was made from."""
    made_from = training.record_of_run.get("data")
    if made_from and made_from != preflight.manifest_hashes(training.job):
        raise Conflict(
            _("The data of the job was changed since “%(name)s” began. Start a new training.")
            % {"name": training.name},
            reason="data_changed",
        )


def delete_training(training: Training) -> None:
    """Delete the training with its model. Raises Conflict while it is queued, running or deployed."""
    refuse_if_in_use(training.name, dependants(training))
    key = training.files_key
    with transaction.atomic():
        locked = Training.objects.select_for_update().filter(pk=training.pk, status__in=FINAL).first()
        if locked is None:
            training.refresh_from_db(fields=["status"])
            raise Conflict(
                _("“%(name)s” is %(status)s. Stop it first, then delete it.")
                % {"name": training.name, "status": training.get_status_display().lower()},
                reason="wrong_state",
            )
        locked.delete()
    workspace().delete_tree(key)


@dataclass
class _Problems:
    """What is wrong with which request: index -> name of the field -> sentence."""

    found: dict[int, dict[str, str]] = field(default_factory=dict)
    reason: str = "name_exists"

    def add(self, index: int, name: str, sentence: str, *, reason: str) -> None:
        self.found.setdefault(index, {})[name] = sentence
        if self.reason == "name_exists":
            self.reason = reason

    def raise_if_any(self) -> None:
        if not self.found:
            return
        several = len(self.found) > 1 or min(self.found) > 0
        sentences = [
            (_("Training %(number)s: %(sentence)s") % {"number": index + 1, "sentence": sentence})
            if several
            else sentence
            for index, wrong in sorted(self.found.items())
            for sentence in wrong.values()
        ]
        details = {"trainings": {str(index): wrong for index, wrong in self.found.items()}}
        refusal = Conflict if self.reason == "name_exists" else UserError
        raise refusal(" ".join(sentences), reason=self.reason, details=details)


def _check_names(names: Sequence[str], problems: _Problems) -> None:
    taken = set(Training.objects.filter(name__in=names).values_list("name", flat=True))
    times = Counter(names)
    for index, name in enumerate(names):
        if not 1 <= len(name) <= NAME_LENGTH:
            sentence = _("A training needs a name of 1 to %(most)s characters; received %(count)s characters.") % {
                "most": NAME_LENGTH,
                "count": len(name),
            }
            problems.add(index, "name", sentence, reason="invalid")
        elif name in taken:
            sentence = _(
                "A training named “%(name)s” exists already. Names are unique in the whole system: choose another."
            )
            problems.add(index, "name", sentence % {"name": name}, reason="name_exists")
        elif times[name] > 1:
            sentence = _("The name “%(name)s” is given %(count)s times. Give each training a name of its own.")
            problems.add(index, "name", sentence % {"name": name, "count": times[name]}, reason="name_exists")


def _hyperparameters(
    manifest: Manifest, examination: Examination, index: int, request: TrainingRequest, problems: _Problems
) -> dict[str, Any]:
    """All hyperparameters, typed, those that follow from the data among them; with what does not fit the data told."""
    given = {name: value for name, value in request.hyperparameters.items() if value not in (None, "")}
    try:
        complete = validate_hyperparameters(manifest, {**examination.follows, **given})
    except HyperparameterError as error:
        wrong = dict(error.details)
        if examination.errors:  # What is missing may be so because the data is wrong, which is told then.
            wrong = {name: sentence for name, sentence in wrong.items() if name in given}
        for name, sentence in wrong.items():
            problems.add(index, name, sentence, reason="invalid_hyperparameters")
        return {}
    for finding in examination.findings_with(complete):
        if finding.severity == "error":
            problems.add(index, finding.hyperparameter, finding.message, reason=finding.code)
    return complete


def _queue(
    user: User, job: Job, instance: Instance, request: TrainingRequest, hyperparameters: dict[str, Any]
) -> Training:
    name = request.name.strip()
    seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    training = Training.objects.create(
        job=job,
        name=name,
        slug=unique_slug(name, job.trainings.all()),
        creator=user,
        instance_kind=instance.kind,
        instance_count=instance.count,
        hyperparameters=hyperparameters,
        seed=hyperparameters.get("seed", seed),
        estimate=known_estimate(job, instance, hyperparameters),
        again_of=request.again_of,
    )
    queue.submit(training)
    return training
