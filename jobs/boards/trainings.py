"""The trainings that TensorBoard was told of, in memory."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TRAIN, VALIDATION = "train", "validation"
VALIDATION_PREFIX = "val_"
ROW = ("epoch", "time")  # what an epoch has beside its metrics


@dataclass
class Told:
    """One training. `points`: (part, metric) to {epoch: (seconds since 1970, value)}, in the order of being told."""

    name: str
    hyperparameters: Mapping[str, Any]
    points: dict[tuple[str, str], dict[int, tuple[float, float]]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """One epoch; one that is told again, by a training that went on, takes its former place."""
        epoch, time = row["epoch"], row["time"]
        for key, value in row.items():
            if key not in ROW and isinstance(value, int | float):  # not the name of a stage, not what was no number
                tag = key.removeprefix(VALIDATION_PREFIX)
                part = TRAIN if tag == key else VALIDATION
                self.points.setdefault((part, tag), {})[epoch] = (time, float(value))


class Trainings:
    """What is known of each training, by its id. The site decides what is kept; see `tell`."""

    def __init__(self) -> None:
        self._told: dict[int, Told] = {}
        self._lock = threading.Lock()

    def tell(self, news: Mapping[str, Any]) -> None:
        """Take in `{"forget": [id, …], "trainings": [{"id", "name", "hyperparameters", "whole", "epochs"}, …]}`.

        `epochs` are `{"epoch", "time": seconds since 1970, metric: value, …}`; with `whole` they replace all that was
        told before.
        """
        with self._lock:
            for pk in news["forget"]:
                self._told.pop(pk, None)
            for each in news["trainings"]:
                known = self._told.get(each["id"])
                told = Told(each["name"], each["hyperparameters"])
                if known and not each["whole"]:
                    told.points = {key: dict(points) for key, points in known.points.items()}
                for row in each["epochs"]:
                    told.add(row)
                self._told[each["id"]] = told

    def of(self, ids: str) -> Sequence[Told]:
        """Those of an address such as `12-15`; what was not told is left out."""
        return [told for pk in _numbers(ids) if (told := self._told.get(pk))]


def _numbers(ids: str) -> Iterable[int]:
    return (int(each) for each in ids.split("-") if each.isdecimal())
