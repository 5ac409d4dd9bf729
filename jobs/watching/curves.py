"""What the graphs of trainings are drawn from: which trainings, and the words beside the lines."""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from jobs.models import Training


def stage_title(name: str) -> str:
    """What pages call a stage of a training; its own name where they do not know it."""
    return {"head": _("Head"), "fine_tuning": _("Fine-tuning"), "training": _("Training")}.get(name, name)


def phase_title(name: str) -> str:
    """What pages call a part of a run: a stage, or what is before and after the stages."""
    titles = {
        "start": _("Start"),
        "decoding": _("Decoding"),
        "preparing": _("Preparing"),
        "export": _("Export"),
        "measuring": _("Measuring"),
    }
    return titles.get(name) or stage_title(name) or name


def metric_title(name: str) -> str:
    titles = {
        "loss": _("Loss"),
        "accuracy": _("Accuracy"),
        "val_loss": _("Validation loss"),
        "val_accuracy": _("Validation accuracy"),
        "mae": _("Mean absolute error"),
        "val_mae": _("Validation mean absolute error"),
        "r2": _("R²"),
        "val_r2": _("Validation R²"),
        "learning_rate": _("Learning rate"),
        "images_per_second": _("Images per second"),
        "rows_per_second": _("Rows per second"),
        "memory_bytes": _("Memory"),
    }
    return titles.get(name, name)


def curves(trainings: Iterable[Training]) -> dict[str, Any]:
    """What `curves.js` reads: the addresses of the metrics, and words."""
    metrics = ("loss", "accuracy", "mae", "r2", "learning_rate", "images_per_second", "rows_per_second", "memory_bytes")
    return {
        "runs": [
            {
                "id": training.pk,
                "name": training.name,
                "url": reverse("api-training-metrics", args=[training.pk]),
                "best": training.record_of_run.get("kept_epoch"),
                "final": training.is_final,
            }
            for training in trainings
        ],
        "words": {
            "training": _("Training"),
            "validation": _("Validation"),
            "epoch": _("Epoch"),
            "best": _("Best"),
            "failed": _("The graph could not be loaded."),
            "stages": {name: stage_title(name) for name in ("head", "fine_tuning", "training")},
            "metrics": {name: metric_title(name) for name in metrics},
        },
    }
