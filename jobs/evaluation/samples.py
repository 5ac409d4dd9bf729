"""The samples that a model is measured on, and what their labels are called in its bundle."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlmodeler_site.compute.row_file import Row
from jobs.bundles.bundle import Label


@dataclass(frozen=True)
class Sample:
    """`label` is what the label data says, `target` the output of the network that it stands for, if there is one."""

    id: int | None
    name: str
    label: Any
    target: int | None


class Samples(Protocol):
    """All samples of an evaluation, in order; what a chunk is made of is theirs alone."""

    total: int

    def chunks(self, *, start: int) -> Iterator[list[Any]]:
        """Those from place `start` on."""

    def answer(self, chunk: list[Any]) -> list[Row]:
        """One row for each sample of the chunk, in order; called by several threads."""

    def paths(self, places: Sequence[int]) -> dict[int, Path]:
        """The files of the samples at these places, of those that are files."""


class LabelMap:
    """Finds the output of the network that a label belongs to: by its number or text, or by the class name."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._labels: dict[int | str, int] = {}
        self._names: dict[str, int] = {}
        for index, label in enumerate(labels):
            self._labels[label.label] = index
            if label.class_name:
                self._names.setdefault(label.class_name.strip(), index)
        lower = {name.casefold(): index for name, index in reversed(self._names.items())}
        self._lower: Mapping[str, int] = lower

    def index(self, label: Any) -> int | None:
        """The output that `label` (an integer, or a text as in a csv) stands for; None where the model has none."""
        if not isinstance(label, str):
            return self._labels.get(label)
        text = label.strip()
        number = _whole_number(text)
        if text in self._labels:
            return self._labels[text]
        if number is not None and number in self._labels:
            return self._labels[number]
        if text in self._names:
            return self._names[text]
        return self._lower.get(text.casefold())


def _whole_number(text: str) -> int | None:
    """The integer that a text like 7, 07 or 7.0 writes, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None
