"""The figures of a classifier, from its rows; memory does not grow with them."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.row_file import Row
from jobs.bundles.bundle import Label

# A square of more classes than these is too large for a row of a database and for a page.
MAX_CONFUSION = 500
WORST = 24
_BINS = 10
_NAMED = 20


class ConfusionTally:
    """Counts what was taken for what, row by row; `summary` tells what it comes to."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = labels
        self._index = {label.label: index for index, label in enumerate(labels)}
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._unknown: Counter[str] = Counter()
        self._unreadable: list[str] = []
        self._rows = self._unreadable_count = 0

    def add(self, row: Row) -> bool:
        """Whether it counts in the figures: it was read, and the model knows its label."""
        self._rows += 1
        if row["error"]:
            self._unreadable_count += 1
            if len(self._unreadable) < _NAMED:
                self._unreadable.append(row["name"])
            return False
        if row["target"] is None:
            self._unknown["" if row["label"] is None else str(row["label"])] += 1
            return False
        self._pairs[self._index[row["target"]], self._index[row["predicted"]]] += 1
        return True

    @property
    def samples(self) -> int:
        return self._pairs.total()

    def summary(self) -> dict[str, Any]:
        """The figures (docs/contracts.md, `evaluation.json`); those that nothing was measured for are None."""
        right = sum(count for (true, predicted), count in self._pairs.items() if true == predicted)
        shown = self._shown()
        support, answers = Counter[int](), Counter[int]()
        for (true, predicted), count in self._pairs.items():
            support[true] += count
            answers[predicted] += count
        per_class = [self._of_class(index, support=support[index], answers=answers[index]) for index in shown]
        return {
            "samples": self.samples,
            "unknown_labels": {
                "count": sum(self._unknown.values()),
                "labels": [{"label": label, "count": count} for label, count in self._unknown.most_common(_NAMED)],
            },
            "unreadable": {"count": self._unreadable_count, "names": self._unreadable},
            "accuracy": _ratio(right, self.samples),
            "labels": [
                {"label": self._labels[index].label, "class_name": self._labels[index].class_name} for index in shown
            ],
            "confusion": self._confusion(shown).tolist() if len(shown) <= MAX_CONFUSION else None,
            "per_class": per_class,
            "macro": {name: _macro(per_class, name) for name in ("precision", "recall", "f1")},
            "most_confused": self._most_confused(),
        }

    def _shown(self) -> list[int]:
        """The outputs with a class name, and those that were asked for or answered."""
        met = {index for pair in self._pairs for index in pair}
        return [index for index, label in enumerate(self._labels) if label.class_name or index in met]

    def _of_class(self, index: int, *, support: int, answers: int) -> dict[str, Any]:
        hits = self._pairs[index, index]
        label = self._labels[index]
        return {
            "label": label.label,
            "class_name": label.class_name,
            "precision": _ratio(hits, answers),
            "recall": _ratio(hits, support),
            "f1": _ratio(2 * hits, support + answers),
            "support": support,
        }

    def _confusion(self, shown: Sequence[int]) -> NDArray[np.int64]:
        place = {index: position for position, index in enumerate(shown)}
        matrix = np.zeros((len(shown), len(shown)), np.int64)
        for (true, predicted), count in self._pairs.items():
            matrix[place[true], place[predicted]] = count
        return matrix

    def _most_confused(self) -> list[dict[str, Any]]:
        mistakes = Counter({pair: count for pair, count in self._pairs.items() if pair[0] != pair[1]})
        return [
            {"true": self._labels[true].label, "predicted": self._labels[predicted].label, "count": count}
            for (true, predicted), count in mistakes.most_common(_NAMED)
        ]


class ClassificationTally(ConfusionTally):
    """The same with loss, calibration and the worst mistakes, of rows with a loss."""

    def __init__(self, labels: Sequence[Label]) -> None:
        super().__init__(labels)
        self._loss_sum = 0.0
        self._bin_counts = np.zeros(_BINS, np.int64)
        self._bin_right = np.zeros(_BINS, np.int64)
        self._bin_confidence = np.zeros(_BINS)
        self._worst: list[tuple[float, int, Row]] = []

    def add(self, row: Row) -> bool:
        place = self._rows
        if not super().add(row):
            return False
        is_right = row["target"] == row["predicted"]
        self._loss_sum += row["loss"]
        number = min(int(row["probability"] * _BINS), _BINS - 1)
        self._bin_counts[number] += 1
        self._bin_right[number] += is_right
        self._bin_confidence[number] += row["probability"]
        if not is_right:
            mistake = (row["loss"], -place, row)
            if len(self._worst) < WORST:
                heapq.heappush(self._worst, mistake)
            else:
                heapq.heappushpop(self._worst, mistake)
        return True

    def summary(self) -> dict[str, Any]:
        return {
            **super().summary(),
            "loss": _ratio(self._loss_sum, self.samples),
            "calibration": self._calibration(),
            "worst": self._mistakes(),
        }

    def _calibration(self) -> dict[str, Any]:
        bins = []
        for number, count in enumerate(self._bin_counts):
            bins.append(
                {
                    "from": number / _BINS,
                    "to": (number + 1) / _BINS,
                    "count": int(count),
                    "confidence": _ratio(self._bin_confidence[number], count),
                    "accuracy": _ratio(self._bin_right[number], count),
                }
            )
        return {"bins": bins, "ece": _ratio(np.abs(self._bin_confidence - self._bin_right).sum(), self.samples)}

    def _mistakes(self) -> list[dict[str, Any]]:
        fields = ("id", "name", "target", "predicted", "probability", "loss")
        return [
            {"row": -place, **{field: row[field] for field in fields}, "heatmap": None}
            for _loss, place, row in sorted(self._worst, key=lambda mistake: mistake[:2], reverse=True)
        ]


def _ratio(value: Any, count: Any) -> float | None:
    return float(value / count) if count else None


def _macro(per_class: Iterable[dict[str, Any]], name: str) -> float | None:
    """The mean over the classes with support; what is undefined for one of them counts as 0."""
    values = [entry[name] or 0.0 for entry in per_class if entry["support"]]
    return _ratio(sum(values), len(values))
