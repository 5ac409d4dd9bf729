"""The tabs of a training's page: what each shows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.work import logs
from jobs.models import Training
from jobs.records.api import RecordSerializer
from jobs.titles import algorithm_title, instance_text, titled_inputs
from jobs.watching.boards import tensorboard_url
from jobs.watching.curves import curves

MOST_SHOWN = 20  # links to others


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
    return {
        "hyperparameters": list(training.hyperparameters.items()),
        "inputs": titled_inputs(training.job),
        "algorithm": algorithm_title(training.job.algorithm),
        "instance": instance_text(training),
    }


def _record(training: Training) -> dict[str, Any]:
    told = RecordSerializer(training).data
    return {
        "record": told,
        "record_json": json.dumps(told, ensure_ascii=False, indent=1),
        "runs_again": training.runs_again.all()[:MOST_SHOWN],
    }


TABS = (
    Tab("graph", "chart-line", _("Result graph"), _graph),
    Tab("evaluation", "target", _("Evaluation"), page="jobs:evaluation"),
    Tab("log", "file-text", _("Log"), _log),
    Tab("record", "history", _("Record"), _record),
    Tab("details", "info-circle", _("Details"), _details),
)


def tab_of(key: str) -> Tab:
    """The tab of that key; the first where there is none."""
    return next((tab for tab in TABS if tab.key == key), TABS[0])
