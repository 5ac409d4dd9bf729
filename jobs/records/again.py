"""Running a training again exactly: starting that, what is different by now, and whether the result is the same."""

import re
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from dlmodeler_site.errors import Conflict
from dlmodeler_site.work.models import Status
from jobs import instances, submit
from jobs.algorithms import circumstances as here
from jobs.models import Training
from jobs.records.alignment import AlignedRow, AlignedSection, align, aligned
from jobs.records.record import circumstances, code_rows, hardware_rows, hyperparameter_rows

_SUFFIX = re.compile(r"-again(-\d+)?$")


@dataclass(frozen=True)
class Figure:
    """One number of the result of two trainings; `difference` is what the second has more."""

    label: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        return self.second - self.first

    @property
    def shown(self) -> str:
        return f"{self.first:.6g} → {self.second:.6g} ({self.difference:+.2g})"


@dataclass(frozen=True)
class Outcome:
    """What came of running a training again: the numbers of both, and what else differs between the two."""

    figures: tuple[Figure, ...]
    others: tuple[AlignedSection, ...]

    @property
    def unlike(self) -> list[Figure]:
        """The numbers that are not equal to the last digit."""
        return [figure for figure in self.figures if figure.difference]

    @property
    def is_same(self) -> bool:
        return bool(self.figures) and not self.unlike


def run_again(user: User, training: Training, name: str = "") -> Training:
    """Queue a training with the recorded hyperparameters and seed, on the same data and the same kind of instance.

    Raises:
        Conflict: it has not begun (`wrong_state`), its data was changed (`data_changed`), the name exists.
        UserError: what it was told or ran on is not to be had any more; reasons of `submit.create_trainings`.
    """
    require_repeatable(training)
    request = submit.TrainingRequest(
        name.strip() or free_name(training), training.hyperparameters, seed=training.seed, again_of=training
    )
    return submit.create_trainings(user, training.job, training.instance, [request])[0]


def require_repeatable(training: Training) -> None:
    """Raises UserError where nothing is recorded yet, the data is another one by now, or the instance is gone."""
    if not training.record_of_run.get("data"):
        raise Conflict(
            _("“%(name)s” has not begun: there is nothing recorded that could be run again.") % {"name": training.name},
            reason="wrong_state",
        )
    submit.require_same_data(training)
    instances.require(training.instance)


def free_name(training: Training) -> str:
    """ "sea-again", or "sea-again-2", …, whichever no training in the system has."""
    stem = _SUFFIX.sub("", training.name)[: submit.NAME_LENGTH - 12]
    taken = set(Training.objects.filter(name__startswith=f"{stem}-again").values_list("name", flat=True))
    name, number = f"{stem}-again", 1
    while name in taken:
        number += 1
        name = f"{stem}-again-{number}"
    return name


def changes(training: Training) -> tuple[AlignedRow, ...]:
    """What would not be as it was, each with its value then and now: hyperparameters, code, packages, hardware.

    Raises:
        UserError: the recorded hyperparameters cannot be used any more.
    """
    given = training.hyperparameters
    complete = submit.complete_hyperparameters(training.job, given)
    found = align([hyperparameter_rows(training.job, values) for values in (given, complete)])
    if told := circumstances(training):
        now = {"code": here.code(), "packages": here.packages(), "hardware": here.hardware()}
        code = [row for row in align([code_rows(told), code_rows(now)]) if row.differs]
        if all(row.key != "sha256" for row in code):  # what computes is the same in both versions
            code = [row for row in code if row.key != "version"]
        found += (*code, *align([hardware_rows(told), hardware_rows(now)]))
    return tuple(row for row in found if row.differs)


def outcome(training: Training) -> Outcome | None:
    """Both results side by side; None where it repeats nothing (any more) or one of the two has not completed."""
    original = training.again_of
    if original is None or {training.status, original.status} != {Status.COMPLETED}:
        return None
    parts = aligned([original, training])
    results = next(part for part in parts if part.name == "results")
    others = tuple(
        AlignedSection(part.name, part.title, tuple(row for row in part.rows if row.differs))
        for part in parts
        if part.differs and part.name != "results"
    )
    return Outcome(tuple(map(_figure, filter(_has_numbers, results.rows))), others)


def _has_numbers(row: AlignedRow) -> bool:
    return all(isinstance(value, int | float) for value in row.values)


def _figure(row: AlignedRow) -> Figure:
    return Figure(row.label, *row.values)
