"""How far a training is, and its metrics epoch by epoch."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max
from django.utils import timezone

from dlmodeler_site.work.models import Status
from jobs.models import Training

LAST_EPOCHS = 10
ROW = ("epoch", "step", "time", "seconds")
FOLLOW = ("learning_rate", "images_per_second", "memory_bytes")  # their extremes are not kept when rows are left out
EXTREMES = 8  # rows that an interval of epochs comes to: the least and greatest of four curves


@dataclass(frozen=True)
class Progress:
    """The newest epoch with its metrics, and the seconds that the remaining ones will take where that is known."""

    epoch: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    eta_seconds: float | None = None

    @property
    def stage(self) -> str:
        return str(self.metrics.get("stage", ""))

    @property
    def images_per_second(self) -> float | None:
        return self.metrics.get("images_per_second")

    @property
    def memory_bytes(self) -> int | None:
        return self.metrics.get("memory_bytes")


def progress_of(training: Training) -> Progress:
    """One query. The time to go is that of the stage's last epochs by the plan; before the first, as estimated."""
    rows = list(training.epoch_metrics.order_by("-epoch").values_list(*ROW, "metrics")[:LAST_EPOCHS])
    running = training.status == Status.RUNNING
    if not rows:
        estimate = training.estimate.get("seconds")
        if not running or estimate is None:
            return Progress()
        return Progress(eta_seconds=round(max(estimate - (training.run_time_s or 0), 0), 1))
    epoch, step, ended_at, _seconds, metrics = rows[0]
    eta = None
    if running:
        stage = metrics.get("stage")
        # The median: a first epoch takes longer than those after it.
        epoch_s = statistics.median(row[3] for row in rows if row[4].get("stage") == stage)
        to_come = _to_come(training, epoch, stage, epoch_s)
        next_s = next((each_s for count, each_s in to_come if count), 0)
        begun_s = min((timezone.now() - ended_at).total_seconds(), next_s)  # of the epoch that is on its way
        eta = round(sum(count * each_s for count, each_s in to_come) - begun_s, 1)
    return Progress(epoch, {"epoch": epoch, "step": step, **metrics}, eta)


def _to_come(training: Training, epoch: int, stage: str | None, epoch_s: float) -> list[tuple[int, float]]:
    """For each stage the epochs after this one and the seconds of each, when one of this stage takes `epoch_s`."""
    stages = training.record_of_run.get("planned_stages", [])
    cost = next((each["cost"] for each in stages if each["name"] == stage), None)
    if cost is None:
        return [(max(training.epochs - epoch, 0), epoch_s)]
    begins = [0, *(each["last_epoch"] for each in stages)]
    return [
        (max(each["last_epoch"] - max(epoch, begin), 0), epoch_s * each["cost"] / cost)
        for begin, each in zip(begins, stages, strict=False)
    ]


def epochs(training: Training, *, since: int = 0, points: int = 0) -> Iterator[dict[str, Any]]:
    """The epochs after `since` with their metrics; with `points` about so many, with the extremes of each curve."""
    queryset = training.epoch_metrics.filter(epoch__gt=since).order_by("epoch")
    values = queryset.values_list(*ROW, "metrics").iterator(chunk_size=2000)
    rows = ({**dict(zip(ROW, row[:4], strict=True)), **row[4]} for row in values)
    if not points:
        return rows
    last = training.epoch_metrics.aggregate(last=Max("epoch"))["last"] or 0
    return thinned(rows, span=last - since, points=points)


def thinned(rows: Iterable[dict[str, Any]], *, span: int, points: int) -> Iterator[dict[str, Any]]:
    """Rows whose epochs span `span`: all of them up to `points`, else each interval's first, least and greatest."""
    if span <= points:
        yield from rows
        return
    width = math.ceil(span * EXTREMES / points)
    interval: list[dict[str, Any]] = []
    for row in rows:
        if interval and (
            row["epoch"] // width != interval[0]["epoch"] // width or row.get("stage") != interval[0].get("stage")
        ):
            yield from _extremes(interval)
            interval = []
        interval.append(row)
    kept = _extremes(interval)
    yield from kept
    if interval and interval[-1] is not kept[-1]:  # the newest is always told: polls go on from it
        yield interval[-1]


def _extremes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = {0} if rows else set()
    for name in {name for row in rows for name in row} - {*ROW, *FOLLOW, "stage"}:
        values = [(row[name], place) for place, row in enumerate(rows) if row.get(name) is not None]
        if values:
            kept |= {min(values)[1], max(values)[1]}
    return [rows[place] for place in sorted(kept)]
