"""The tabs of a training's page: what each shows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.work import logs
from jobs.models import Training
from jobs.titles import algorithm_title, instance_text, titled_inputs
from jobs.watching.boards import tensorboard_url
from jobs.watching.curves import curves

SHOWN_ELSEWHERE = ("data", "hyperparameters", "seed", "ended")  # of the record of a run


@dataclass(frozen=True)
class Tab:
    """One tab: `?tab=key`, rendered by `jobs/training_<key>.html` with what `context` gives; or `page`, of its own."""

    key: str
    icon: str
    title: Promise
    context: Callable[[Training], Mapping[str, Any]] = lambda _training: {}
    page: str = ""


def _graph(training: Training) -> dict[str, Any]:
    return {"curves": curves([training]), "tensorboard": tensorboard_url([training])}


def _log(training: Training) -> dict[str, Any]:
    return {"has_log": not training.is_final or logs.size(training) > 0}


def _details(training: Training) -> dict[str, Any]:
    shown = {key: value for key, value in training.record_of_run.items() if key not in SHOWN_ELSEWHERE}
    return {
        "hyperparameters": list(training.hyperparameters.items()),
        "inputs": titled_inputs(training.job),
        "data_hashes": list(training.record_of_run.get("data", {}).items()),
        "record": list(flat(shown)),
        "algorithm": algorithm_title(training.job.algorithm),
        "instance": instance_text(training),
    }


def flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in record.items():
        if isinstance(value, dict):
            pairs += flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


TABS = (
    Tab("graph", "chart-line", _("Result graph"), _graph),
    Tab("evaluation", "target", _("Evaluation"), page="jobs:evaluation"),
    Tab("log", "file-text", _("Log"), _log),
    Tab("details", "info-circle", _("Details"), _details),
)


def tab_of(key: str) -> Tab:
    """The tab of that key; the first where there is none."""
    return next((tab for tab in TABS if tab.key == key), TABS[0])
