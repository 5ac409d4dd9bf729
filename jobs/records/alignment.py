"""The records of several trainings side by side, and where they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.models import Training
from jobs.records.record import Row, Section, sections_of


@dataclass(frozen=True)
class AlignedRow:
    """One fact of several trainings: `values` and `shown` in their order, None and "" where one has no such fact.

    `differs` says whether the values are unlike each other. What differs by nature never does: names and ids of data,
    moments, seconds, memory and speed (`Row.compared`).
    """

    key: str
    label: str
    values: tuple[Any, ...]
    shown: tuple[str, ...]
    differs: bool


@dataclass(frozen=True)
class AlignedSection:
    """The rows of one topic that any of the trainings has."""

    name: str
    title: str
    rows: tuple[AlignedRow, ...]

    @property
    def differs(self) -> bool:
        return any(row.differs for row in self.rows)


def aligned(trainings: Sequence[Training]) -> tuple[AlignedSection, ...]:
    """All sections of the records of at least one training, each row with the values of all.

    The number of queries does not grow with the trainings.
    """
    return tuple(_aligned(parts) for parts in zip(*sections_of(trainings), strict=True))


def differences(trainings: Sequence[Training]) -> tuple[AlignedSection, ...]:
    """Of `aligned` only the rows that differ, and only the sections that have such."""
    return tuple(
        replace(section, rows=tuple(row for row in section.rows if row.differs))
        for section in aligned(trainings)
        if section.differs
    )


def align(rows: Sequence[Iterable[Row]]) -> tuple[AlignedRow, ...]:
    """The same facts side by side, in the order in which they are first met."""
    by_key = [{row.key: row for row in of_one} for of_one in rows]
    keys = dict.fromkeys(key for of_one in by_key for key in of_one)
    return tuple(_row([of_one.get(key) for of_one in by_key]) for key in keys)


def _aligned(parts: Sequence[Section]) -> AlignedSection:
    return AlignedSection(parts[0].name, parts[0].title, align([part.rows for part in parts]))


def _row(rows: Sequence[Row | None]) -> AlignedRow:
    """The fact that at least one of them has."""
    known = next(row for row in rows if row)
    values = tuple(row.value if row else None for row in rows)
    shown = tuple(row.shown if row else "" for row in rows)
    differs = known.compared and any(value != values[0] for value in values[1:])
    return AlignedRow(known.key, known.label, values, shown, differs)
