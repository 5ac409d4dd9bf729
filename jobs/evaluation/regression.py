"""The figures of a regression, from its rows: two numbers are kept of each."""

from array import array
from typing import Any

import numpy as np

from dlmodeler_site.compute.row_file import Row

_BINS = 30
_POINTS = 2000
_WORST = 24
_NAMED = 20


class RegressionTally:
    """Collects targets and predictions; `summary` tells what they come to."""

    def __init__(self) -> None:
        self._targets, self._predicted = array("d"), array("d")
        self._places = array("q")
        self._names: list[tuple[int | None, str]] = []
        self._rows = self._without_target = self._unreadable_count = 0
        self._unreadable: list[str] = []

    def add(self, row: Row) -> None:
        place = self._rows
        self._rows += 1
        if row["error"]:
            self._unreadable_count += 1
            if len(self._unreadable) < _NAMED:
                self._unreadable.append(row["name"])
        elif row["target"] is None:
            self._without_target += 1
        else:
            self._targets.append(row["target"])
            self._predicted.append(row["predicted"])
            self._places.append(place)
            self._names.append((row["id"], row["name"]))

    @property
    def samples(self) -> int:
        return len(self._targets)

    def summary(self) -> dict[str, Any]:
        """The figures (docs/contracts.md, `evaluation.json`); those that nothing was measured for are None."""
        targets, predicted = np.array(self._targets), np.array(self._predicted)
        residuals = targets - predicted
        spread = float(np.sum((targets - targets.mean()) ** 2)) if self.samples else 0.0
        counts, edges = np.histogram(residuals, bins=_BINS) if self.samples else (np.array([]), np.array([]))
        # Evenly spread over the file, so that the same rows are shown each time.
        shown = np.unique(np.linspace(0, self.samples - 1, min(self.samples, _POINTS)).astype(np.int64))
        worst = np.argsort(-np.abs(residuals), kind="stable")[:_WORST]
        return {
            "samples": self.samples,
            "unknown_labels": {"count": self._without_target, "labels": []},
            "unreadable": {"count": self._unreadable_count, "names": self._unreadable},
            "r2": 1 - float(np.sum(residuals**2)) / spread if spread else None,
            "mae": float(np.mean(np.abs(residuals))) if self.samples else None,
            "rmse": float(np.sqrt(np.mean(residuals**2))) if self.samples else None,
            "residuals": {
                "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
                "points": [[float(predicted[index]), float(residuals[index])] for index in shown],
            },
            "worst": [
                {
                    "row": self._places[index],
                    "id": self._names[index][0],
                    "name": self._names[index][1],
                    "target": float(targets[index]),
                    "predicted": float(predicted[index]),
                    "residual": float(residuals[index]),
                }
                for index in worst
            ],
        }
