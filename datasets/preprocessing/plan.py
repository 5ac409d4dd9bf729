"""Steps in the order in which they are run: selections of files first, then what is done to each image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from datasets.preprocessing.operation import ExpandingOperation, ImageOperation, SelectionOperation, Step, Values
from datasets.preprocessing.registry import OPERATIONS


class Change(NamedTuple):
    """An image operation and its values."""

    operation: ImageOperation
    values: Values


class Expansion(NamedTuple):
    """An expanding operation and its values."""

    operation: ExpandingOperation
    values: Values


@dataclass(frozen=True)
class Plan:
    """What is to be done: `selections` on the list of files; on each image `before`, `expansion`, `after`."""

    selections: tuple[Step, ...]
    before: tuple[Change, ...]
    expansion: Expansion | None
    after: tuple[Change, ...]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> "Plan":
        selections: list[Step] = []
        before: list[Change] = []
        after: list[Change] = []
        expansion: Expansion | None = None
        for step in steps:
            operation = OPERATIONS[step.op]
            if isinstance(operation, SelectionOperation):
                selections.append(step)
            elif isinstance(operation, ExpandingOperation):
                expansion = Expansion(operation, step.values)
            elif isinstance(operation, ImageOperation):
                (before if expansion is None else after).append(Change(operation, step.values))
        return cls(tuple(selections), grayscale_first(before), expansion, grayscale_first(after))

    @property
    def keeps_originals(self) -> bool:
        """Whether each file is carried over as it is, bytes and all, beside the variants that are made of it."""
        return not self.before and not self.after

    @property
    def copies(self) -> int:
        """How many variants are made of each image, beside itself."""
        return self.expansion.operation.count(self.expansion.values) if self.expansion else 0


def grayscale_first(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The same with grayscale before the geometric operations that it follows: equal within rounding, and faster.

    Not done: decoding only the luma plane of a JPEG. It differs by up to 34 grey levels from grayscale of the decoded
    colours where those were clamped, which happens in nine photos of ten.
    """
    ordered: list[Change] = []
    for change in changes:
        place = len(ordered)
        if change.operation.name == "grayscale":
            while place and ordered[place - 1].operation.is_geometric:
                place -= 1
        ordered.insert(place, change)
    return tuple(ordered)
