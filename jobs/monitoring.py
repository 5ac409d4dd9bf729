"""How far a training is."""

from dataclasses import dataclass
from typing import Any

from dlmodeler_site.work.models import Status
from jobs.models import Training

LAST_EPOCHS = 10


@dataclass(frozen=True)
class Progress:
    """The newest epoch with its metrics, and the seconds that the remaining ones will take where that is known."""

    epoch: int = 0
    metrics: dict[str, Any] | None = None
    eta_seconds: float | None = None


def progress_of(training: Training) -> Progress:
    """One query. The time to go is that of the last epochs times the epochs left."""
    rows = list(
        training.epoch_metrics.order_by("-epoch").values_list("epoch", "step", "seconds", "metrics")[:LAST_EPOCHS]
    )
    if not rows:
        return Progress()
    epoch, step, _seconds, metrics = rows[0]
    eta = None
    if training.status == Status.RUNNING:
        mean_s = sum(seconds for _epoch, _step, seconds, _metrics in rows) / len(rows)
        eta = round(mean_s * max(training.epochs - epoch, 0), 1)
    return Progress(epoch, {"epoch": epoch, "step": step, **metrics}, eta)
