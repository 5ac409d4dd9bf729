"""Takes over what a training puts out: epochs as rows, the bundle into the workspace."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from dlmodeler_site.compute.run_folder import RunFolder, read_json
from dlmodeler_site.storage import workspace
from jobs.evaluating import evaluations

if TYPE_CHECKING:
    from jobs.models import Training

FINITE_MAX = 1e300  # JSON and databases know no NaN and no infinity


def take_over(training: Training, events: list[dict[str, Any]]) -> None:
    """Epoch events as rows keyed on (training, epoch), and the latest metrics onto the training."""
    from jobs.models import EpochMetrics

    _record_of_run(training, events)
    rows = {
        event["epoch"]: EpochMetrics(
            training=training,
            epoch=event["epoch"],
            attempt=training.attempt,
            step=event.get("step", 0),
            time=datetime.datetime.fromtimestamp(event["time"], tz=datetime.UTC),
            seconds=event.get("seconds", 0),
            metrics=_metrics(event),
        )
        for event in events
        if event["type"] == "epoch"
    }
    if not rows:
        return
    EpochMetrics.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["training", "epoch"],
        update_fields=["attempt", "step", "time", "seconds", "metrics"],
    )
    latest = rows[max(rows)].metrics
    training.accuracy, training.loss = latest.get("accuracy"), latest.get("loss")
    type(training).objects.filter(pk=training.pk).update(accuracy=training.accuracy, loss=training.loss)


def _record_of_run(training: Training, events: list[dict[str, Any]]) -> None:
    """What the process told of itself: how many epochs there are to be, what this attempt ran on and what it took."""
    told = dict(training.record_of_run)
    for event in events:
        if event["type"] == "plan":
            told |= {"planned_epochs": event["epochs"], "planned_stages": event.get("stages", [])}
        elif event["type"] in ("circumstances", "spent"):
            attempts, number = told.get("attempts", {}), str(training.attempt)
            facts = {name: value for name, value in event.items() if name not in ("type", "time")}
            told["attempts"] = {**attempts, number: {**attempts.get(number, {}), **facts}}
    if told != training.record_of_run:
        training.record_of_run = told
        training.save(update_fields=["record_of_run"])


def publish(training: Training, run: RunFolder) -> None:
    """Put the bundle at the original's path: model/<job>/<training>/export/<timestamp>/."""
    bundle = run.output / "bundle"
    told = read_json(bundle / "bundle.json")
    made = datetime.datetime.fromisoformat(told["model"]["created_at"])
    training.labels = training.labels or told.get("labels", [])  # an algorithm of tables finds them itself
    training.export_key = f"{training.files_key}/export/{int(made.timestamp())}"
    workspace().put_tree(training.export_key, bundle)
    evaluations.publish_own(training, run)


def record(training: Training, run: RunFolder) -> None:
    """Save what the training came to; part of the completing transaction."""
    result = run.result() or {}
    training.result_metrics = {name: _finite(value) for name, value in result.get("metrics", {}).items()}
    training.record_of_run = {**training.record_of_run, **result.get("record", {}), "ended": timezone.now().isoformat()}
    training.accuracy = training.result_metrics.get("accuracy", training.accuracy)
    training.loss = training.result_metrics.get("loss", training.loss)
    training.save(update_fields=["result_metrics", "record_of_run", "accuracy", "loss", "labels", "export_key"])
    evaluations.record_own(training)


def _metrics(event: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: _finite(value) for name, value in event["metrics"].items()}
    return {**metrics, "stage": event["stage"]} if event.get("stage") else metrics


def _finite(value: float) -> float | None:
    return float(value) if abs(value) < FINITE_MAX else None
