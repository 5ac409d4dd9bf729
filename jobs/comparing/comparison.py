"""Trainings side by side: their records, what differs, and which came to the best results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.models import Training
from jobs.records.alignment import AlignedRow, AlignedSection, aligned

BETTER = {"accuracy": max, "r2": max, "loss": min, "mae": min}  # by the metric, `val_` apart


@dataclass(frozen=True)
class Comparison:
    """What is known of the trainings; with `only_differences` of what is unlike only."""

    trainings: Sequence[Training]
    sections: tuple[AlignedSection, ...]
    only_differences: bool = False

    @classmethod
    def of(cls, trainings: Sequence[Training], *, only_differences: bool = False) -> "Comparison":
        """The number of queries does not grow with the trainings."""
        return cls(trainings, aligned(trainings), only_differences)

    @property
    def shown(self) -> list[tuple[AlignedSection, list[tuple[AlignedRow, list[tuple[str, bool]]]]]]:
        """The sections, results first, with their rows: of each the text of every training and whether it is best."""
        found = []
        for section in sorted(self.sections, key=lambda section: section.name != "results"):
            rows = [row for row in section.rows if row.differs or not self.only_differences]
            if rows:
                found.append((section, [(row, _cells(section, row)) for row in rows]))
        return found

    @property
    def is_live(self) -> bool:
        return any(not training.is_final for training in self.trainings)


def best(section: AlignedSection, row: AlignedRow) -> list[int]:
    """The places of the trainings that did best in this row; none where it is no result or all did the same."""
    better = BETTER.get(row.key.removeprefix("val_")) if section.name == "results" else None
    values = [value for value in row.values if _is_number(value)]
    if better is None or len(set(values)) < 2:
        return []
    return [place for place, value in enumerate(row.values) if value == better(values)]


def _cells(section: AlignedSection, row: AlignedRow) -> list[tuple[str, bool]]:
    places = best(section, row)
    return [(shown, place in places) for place, shown in enumerate(row.shown)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
