"""The target column: classes or numbers, and which rows have one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.values import MISSING
from dlmodeler_site.compute.run_folder import RunError
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.tabular.kinds import fits, number_style, parse_number

FEWEST_ROWS = 10
MOST_CLASSES = 1000
# A target of whole numbers is taken for classes where it has at most so many values, each of several rows.
_WHOLE_CLASSES, _ROWS_PER_CLASS = 20, 5
_EXAMPLES = 5


@dataclass(frozen=True)
class Target:
    """What each row of the table is to be told as.

    Attributes:
        rows: int64, the rows that have a target, in order.
        values: of those rows: int32 indexes into `classes`, or float64 numbers.
        classes: as they stand in the table; empty for a regression.
        missing: rows left out for an empty target. mismatched: those left out for one that is no number.
    """

    task: str
    rows: NDArray[np.int64]
    values: NDArray[Any]
    classes: tuple[str, ...]
    missing: int
    mismatched: int

    @property
    def is_classification(self) -> bool:
        return self.task == "classification"


def read_target(cells: Sequence[str], *, column: str, task: str) -> Target:
    """The targets of all rows of a table; `task` "auto" is decided by them.

    Raises:
        RunError: too few rows have one, there is one class or too many, or they are no numbers for a regression.
    """
    stripped = [cell.strip() for cell in cells]
    counted = Counter(stripped)
    for word in MISSING:
        counted.pop(word, None)
    present = counted.total()
    if present < FEWEST_ROWS:
        raise _too_few(column, present, len(cells))
    decimal_comma, numbers = number_style(counted)
    if task == "auto":
        task = "regression" if fits(numbers, present) and _is_measured(counted, decimal_comma) else "classification"
    if task == "classification":
        return _classes(stripped, counted, column)
    if not fits(numbers, present):
        odd = [value for value in counted if parse_number(value, decimal_comma=decimal_comma) is None]
        raise RunError(
            _(
                "A regression estimates a number, but %(count)d of %(rows)d values of %(column)s are none, for example "
                "%(values)s. Choose classification as task, or another target.",
                count=present - numbers,
                rows=present,
                column=repr(column),
                values=", ".join(map(repr, odd[:_EXAMPLES])),
            ),
            reason="target_is_no_number",
        )
    return _numbers(stripped, column, decimal_comma=decimal_comma)


def _is_measured(counted: Counter[str], decimal_comma: bool) -> bool:
    """Whether numbers are more likely an amount than the names of classes."""
    if len(counted) <= 2:
        return False
    values = {parse_number(value, decimal_comma=decimal_comma) for value in counted}
    if any(value is not None and not value.is_integer() for value in values):
        return True
    return len(counted) > _WHOLE_CLASSES or counted.total() < _ROWS_PER_CLASS * len(counted)


def _classes(stripped: list[str], counted: Counter[str], column: str) -> Target:
    if len(counted) == 1:
        raise RunError(
            _(
                "All %(rows)d rows have the same value in %(column)s, %(value)s: there is nothing to tell apart. "
                "Choose another target.",
                rows=counted.total(),
                column=repr(column),
                value=repr(next(iter(counted))),
            ),
            reason="one_class",
        )
    most = min(MOST_CLASSES, counted.total() // 2)
    if len(counted) > most:
        raise RunError(
            _(
                "%(column)s has %(classes)d different values in %(rows)d rows; a classification tells at most %(most)d "
                "classes apart here. Choose regression as task if it is a number, or another target.",
                column=repr(column),
                classes=len(counted),
                rows=counted.total(),
                most=most,
            ),
            reason="too_many_classes",
        )
    classes = tuple(sorted(counted, key=_class_order))
    index = {value: place for place, value in enumerate(classes)}
    rows = [row for row, value in enumerate(stripped) if value in index]
    values = np.array([index[stripped[row]] for row in rows], np.int32)
    return Target("classification", np.array(rows, np.int64), values, classes, len(stripped) - len(rows), 0)


def _class_order(value: str) -> tuple[bool, float, str]:
    """Numbers by their size before texts by the alphabet."""
    number = parse_number(value, decimal_comma=False)
    return (True, 0.0, value) if number is None else (False, number, value)


def _numbers(stripped: list[str], column: str, *, decimal_comma: bool) -> Target:
    missing = sum(value in MISSING for value in stripped)
    pairs = [
        (row, number)
        for row, value in enumerate(stripped)
        if (number := parse_number(value, decimal_comma=decimal_comma)) is not None
    ]
    rows = np.array([row for row, _number in pairs], np.int64)
    values = np.array([number for _row, number in pairs], np.float64)
    if len(rows) < FEWEST_ROWS:
        raise _too_few(column, len(rows), len(stripped))
    if values.min() == values.max():
        raise RunError(
            _(
                "All %(rows)d rows have the same value in %(column)s, %(value)s: there is nothing to estimate. "
                "Choose another target.",
                rows=len(rows),
                column=repr(column),
                value=f"{values[0]:g}",
            ),
            reason="constant_target",
        )
    return Target("regression", rows, values, (), missing, len(stripped) - missing - len(rows))


def _too_few(column: str, present: int, rows: int) -> RunError:
    return RunError(
        _(
            "%(present)d of %(rows)d rows have a value in the target %(column)s; at least %(fewest)d are needed. "
            "Fill it in, or choose another target.",
            present=present,
            rows=rows,
            column=repr(column),
            fewest=FEWEST_ROWS,
        ),
        reason="too_few_rows",
    )
