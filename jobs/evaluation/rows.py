"""One row of `evaluation.jsonl` for each sample: what was asked, what was answered."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.sentences import to_json
from jobs.bundles.bundle import Label
from jobs.evaluation.samples import Sample

TOP = 5
_DIGITS = 6
# A probability of 0 would make the mean loss infinite; this is also Keras's least one.
_LEAST_PROBABILITY = 1e-7


def classification_rows(
    samples: Sequence[Sample], probabilities: NDArray[np.float32], labels: Sequence[Label]
) -> list[Row]:
    """Rows of the samples, whose answers are `probabilities` (sample, class)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    rows = []
    for sample, answered, best in zip(samples, probabilities, order, strict=True):
        top = [{"label": labels[index].label, "probability": _rounded(answered[index])} for index in best]
        target, loss = None, None
        if sample.target is not None:
            target = labels[sample.target].label
            loss = _rounded(-np.log(np.maximum(answered[sample.target], _LEAST_PROBABILITY, dtype=np.float64)))
        rows.append(
            {
                "id": sample.id,
                "name": sample.name,
                "label": sample.label,
                "target": target,
                "predicted": top[0]["label"],
                "probability": top[0]["probability"],
                "top": top,
                "loss": loss,
                "error": "",
            }
        )
    return rows


def regression_rows(samples: Sequence[Sample], targets: Sequence[float | None], values: NDArray[Any]) -> list[Row]:
    """Rows of samples whose `targets` (None: it is no number) are answered by `values` (sample,)."""
    return [
        {
            "id": sample.id,
            "name": sample.name,
            "label": sample.label,
            "target": target,
            "predicted": float(value),
            "error": "",
        }
        for sample, target, value in zip(samples, targets, values, strict=True)
    ]


def unreadable_row(sample: Sample, why: str) -> Row:
    """The row of a sample that could not be read, `why` in words for the user."""
    return {
        "id": sample.id,
        "name": sample.name,
        "label": sample.label,
        "target": None,
        "predicted": None,
        "probability": None,
        "top": [],
        "loss": None,
        "error": to_json(why),
    }


def _rounded(value: Any) -> float:
    return round(float(value), _DIGITS)
