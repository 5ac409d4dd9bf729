"""What the samples of a prediction job are in truth, and how right its predictions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets.models import Data, File
from jobs.bundles.bundle import Label
from jobs.evaluation.classification import ConfusionTally
from jobs.evaluation.regression import RegressionTally
from jobs.evaluation.samples import LabelMap
from jobs.readers.evaluated_images import labelled

if TYPE_CHECKING:
    from deployments.models import PredictionJob

# Of a regression: charts of an evaluation, which a prediction job does not show.
_LEFT_OUT = ("worst", "residuals")


class Truth:
    """Finds the true label, or number, of each row of `predictions.jsonl`, and counts how right the rows are.

    An image's label is that of its file, or of the job's label data; a row's is in the column that the model predicts.
    """

    def __init__(self, job: PredictionJob) -> None:
        info = job.version.bundle_info
        labels = [Label(each["label"], each["class_name"]) for each in info["labels"]]
        self._labels = labels
        self._outputs = LabelMap(labels)
        self._is_regression = job.version.is_regression
        self._of_files = {} if job.version.takes_tables else _labels_of_images(job)
        self._tally = RegressionTally() if self._is_regression else ConfusionTally(labels)
        self._asked = 0

    def target_of(self, row: dict[str, Any]) -> int | str | float | None:
        """The truth as the model would put it; None where it is not known, or no label of the model's."""
        truth = self._of_files.get(row["name"], row.get("truth"))
        if truth is None:
            return None
        target = truth
        if not self._is_regression:
            output = self._outputs.index(truth)
            target = None if output is None else self._labels[output].label
        self._asked += 1
        predicted = row.get("value") if self._is_regression else row.get("label")
        self._tally.add(
            {
                "id": row["id"],
                "name": row["name"],
                "label": truth,
                "target": target,
                "predicted": predicted,
                "error": row["error"],
            }
        )
        return target

    def summary(self) -> dict[str, Any]:
        """The figures of an evaluation (docs/contracts.md) as far as they are known; {} where nothing has a label."""
        if not self._asked:
            return {}
        told = {name: value for name, value in self._tally.summary().items() if name not in _LEFT_OUT}
        return {"task": "regression" if self._is_regression else "classification", "of": self._asked, **told}


def _labels_of_images(job: PredictionJob) -> dict[str, str]:
    """File name -> label text."""
    if job.labels_data is not None:
        return labelled(job.data, job.labels_data)
    files = job.data.files.filter(state=File.State.OK, content=Data.Content.IMAGE).exclude(label="")
    return dict(files.values_list("name", "label"))
