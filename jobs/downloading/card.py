"""The model card: one page that says what a model was made from, how good it is and where its limits are."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from datasets.models import Data, File
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.algorithms.registry import UnknownAlgorithmError, manifest
from jobs.evaluating.evaluated import ShownSample, is_regression, worst
from jobs.evaluating.evaluations import require_model
from jobs.evaluating.page import baselines, class_rows, figures, matrix, most_confused, precision_words
from jobs.models import Evaluation, Training
from jobs.records.record import sections
from jobs.titles import algorithm_title, titled_inputs
from jobs.watching.curves import metric_title

RECORDED = ("run", "code", "hardware", "seed")  # sections of the record; the card tells the others in its own words
MISTAKES = 8
FEW_SAMPLES = 20
LOW_RECALL = 0.6
FAR_OFF = 0.1  # of probabilities


@dataclass(frozen=True)
class CardData:
    """A data that the model was made from; `is_changed`: the job reads another one by now."""

    title: str
    data: Data
    sha256: str

    @property
    def is_changed(self) -> bool:
        return self.sha256 != self.data.manifest_sha256


@dataclass(frozen=True)
class Mistake:
    """A sample that the model was wrong about; `picture` is a data URI, "" where there is none."""

    shown: ShownSample
    picture: str


def card(training: Training) -> dict[str, Any]:
    """What the card's template shows. Raises Conflict while there is no model."""
    require_model(training)
    evaluation = _evaluation(training)
    hashes: dict[str, str] = training.record_of_run.get("data", {})
    named = training.job.data_by_input()
    context: dict[str, Any] = {
        "training": training,
        "algorithm": algorithm_title(training.job.algorithm),
        "summary_of_algorithm": _summary(training),
        "data": [
            CardData(title, data, hashes.get(name, ""))
            for (title, data), name in zip(titled_inputs(training.job), named, strict=True)
        ],
        "split": _split(training, evaluation),
        "hyperparameters": list(training.hyperparameters.items()),
        "metrics": [
            (metric_title(name), f"{value:.4g}" if isinstance(value, float) else value)
            for name, value in training.result_metrics.items()
        ],
        "record": _record(training),
        "evaluation": evaluation,
        "limits": list(_limits(training, evaluation)),
    }
    if evaluation is not None:
        context |= {
            "figures": figures(evaluation),
            "matrix": matrix(evaluation),
            "classes": class_rows(evaluation),
            "most_confused": most_confused(evaluation)[:10],
            "baselines": baselines(evaluation),
            "precision_words": precision_words(evaluation),
            "mistakes": [Mistake(each, _picture(each.file)) for each in worst(evaluation, MISTAKES)],
            "is_regression": is_regression(evaluation),
        }
    return context


def _evaluation(training: Training) -> Evaluation | None:
    completed = training.evaluations.filter(status=Status.COMPLETED).select_related("training__job__project")
    return completed.filter(data=None).first() or completed.first()


def _summary(training: Training) -> str:
    try:
        return _(manifest(training.job.algorithm).summary)
    except UnknownAlgorithmError:
        return ""


def _split(training: Training, evaluation: Evaluation | None) -> str:
    share = training.hyperparameters.get("validation_split")
    if not share:
        return _("Trained on all samples; none was held out.")
    words = _("%(share)g %% of the samples of each class were held out, chosen with seed %(seed)s.") % {
        "share": 100 * float(share),
        "seed": training.seed,
    }
    if alike := training.record_of_run.get("kept_together"):
        words += " " + _("Images that look alike were kept together: %(images)s images in %(groups)s groups.") % alike
    if evaluation is not None and evaluation.part == Evaluation.Part.HELD_OUT:
        count = evaluation.summary.get("of", evaluation.summary["samples"])
        return f"{words} " + _("Held out: %(count)s samples.") % {"count": count}
    return words


def _record(training: Training) -> list[tuple[str, str]]:
    told = [section for section in sections(training) if section.name in RECORDED]
    return [(row.label, row.shown) for section in told for row in section.rows]


def _limits(training: Training, evaluation: Evaluation | None) -> Iterator[str]:
    """What whoever uses the model must know, from its figures."""
    if evaluation is None:
        yield _("The model has not been evaluated: nothing is known of how good it is on new data.")
        return
    summary = evaluation.summary
    if evaluation.part == Evaluation.Part.TRAINING:
        yield _("It was measured on data that it was trained on: how good it is on new data is not known.")
    else:
        yield _("The figures hold for data like those that it was measured on, and for no others.")
    if is_regression(evaluation):
        return
    yield _("It always answers one of its %(count)s classes, for samples that are of none of them too.") % {
        "count": len(summary["labels"])
    }
    rows = class_rows(evaluation)
    if few := [row["name"] for row in rows if row["support"] < FEW_SAMPLES]:
        yield _("Measured on fewer than %(count)s samples, and so hardly known: %(classes)s.") % {
            "count": FEW_SAMPLES,
            "classes": ", ".join(few[:20]),
        }
    if missed := [row["name"] for row in rows if row["recall"] is not None and row["recall"] < LOW_RECALL]:
        yield _("Finds fewer than %(share)g %% of: %(classes)s.") % {
            "share": 100 * LOW_RECALL,
            "classes": ", ".join(missed[:20]),
        }
    error = summary["calibration"]["ece"]
    if error is not None and error > FAR_OFF:
        yield _("Its probabilities are off by %(error).0f points on average: do not take them at their word.") % {
            "error": 100 * error
        }


def _picture(file: File | None) -> str:
    """The thumbnail inside the page, so that the card is one file."""
    if file is None or not file.has_thumbnail:
        return ""
    try:
        with workspace().open(file.thumbnail_key) as source:
            content = source.read()
    except FileNotFoundError:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
