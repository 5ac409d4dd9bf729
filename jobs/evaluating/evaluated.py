"""What pages and API show of an evaluation: its samples with their files, classes by name, what was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.http import FileResponse, Http404
from django.utils.translation import gettext as _

from datasets.content import browsers_show
from datasets.models import File
from dlmodeler_site.errors import UserError
from dlmodeler_site.storage import workspace
from jobs.evaluating.evaluations import require_results, samples_data
from jobs.evaluating.rows import AskedSample, Cell, Samples, Value
from jobs.models import Evaluation

_LISTED = 30
# As `jobs.evaluation` names them: the row of a file, or of the whole table of a training.
_ROW_OF_TABLE = re.compile(r"(?:(.+), row )?([0-9]+)", re.DOTALL)


class Summarised(Protocol):
    """What was measured: an evaluation, or predictions whose truth is known."""

    @property
    def summary(self) -> Any:
        """As in `evaluation.json` (docs/contracts.md)."""


@dataclass(frozen=True)
class ShownSample:
    """A sample, its file where it is one, and how its classes are called; `heatmap`: there is a picture of why."""

    sample: AskedSample
    file: File | None
    true_name: str
    predicted_name: str
    has_heatmap: bool

    @property
    def title(self) -> str:
        """What people call it: of a table its file and the number of its row, in the language of the request."""
        row = None if self.file else _ROW_OF_TABLE.fullmatch(self.sample.name)
        if row is None:
            return self.sample.name
        file, number = row.groups()
        if file is None:
            return _("Row %(row)s") % {"row": number}
        return _("%(file)s, row %(row)s") % {"file": file, "row": number}

    @property
    def is_viewable(self) -> bool:
        """Whether every browser can show the file itself."""
        return self.file is not None and browsers_show(self.file)

    @property
    def residual(self) -> float | None:
        """Truth minus prediction, of numbers."""
        true, predicted = self.sample.target, self.sample.predicted
        if isinstance(true, int | float) and isinstance(predicted, int | float):
            return true - predicted
        return None


def is_regression(evaluation: Summarised) -> bool:
    return bool(evaluation.summary.get("task") == "regression")


def class_names(evaluation: Summarised) -> dict[Value, str]:
    """Label -> how people call the class: its name, and the label itself where there is none."""
    rows = evaluation.summary.get("labels", [])
    return {row["label"]: row["class_name"] or str(row["label"]) for row in rows}


def asked_for(evaluation: Evaluation, given: Mapping[str, str]) -> Cell:
    """The samples that `?true=`, `?predicted=`, `?mistakes=1` or `?failed=1` ask for; all of them without.

    Raises:
        UserError: the label is none of the evaluation's, which are named.
    """
    return Cell(
        true=_label(evaluation, "true", given.get("true", "")),
        predicted=_label(evaluation, "predicted", given.get("predicted", "")),
        only_mistakes=given.get("mistakes") in ("1", "true"),
        only_failures=given.get("failed") in ("1", "true"),
    )


def _label(evaluation: Evaluation, field: str, text: str) -> Value | None:
    if not text:
        return None
    known = class_names(evaluation)
    for label in known:
        if str(label) == text:
            return label
    listed = ", ".join(str(label) for label in list(known)[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    raise UserError(
        _("?%(field)s= takes one of the labels %(labels)s; received “%(received)s”.")
        % {"field": field, "labels": listed or "–", "received": text[:50]},
        reason="unknown_label",
        field=field,
    )


def samples(evaluation: Evaluation, cell: Cell | None = None) -> Samples:
    """Those of the cell, worst first. Raises Conflict until there are results."""
    require_results(evaluation)
    return Samples(evaluation, cell or Cell())


def worst(evaluation: Evaluation, count: int) -> list[ShownSample]:
    """The mistakes of greatest loss; of a regression the numbers that are furthest off."""
    cell = Cell(only_mistakes=not is_regression(evaluation))
    return shown(evaluation, samples(evaluation, cell)[:count])


def shown(evaluation: Evaluation, found: Sequence[AskedSample]) -> list[ShownSample]:
    """The samples as they are shown; two queries for all of them."""
    data = samples_data(evaluation) if found else None
    named = data.files.named({each.name for each in found}) if data else ()
    files = {file.name: file for file in named}
    names = class_names(evaluation)
    heatmaps = _heatmaps(evaluation)
    return [
        ShownSample(
            each,
            files.get(each.name),
            _name(names, each.target if each.target is not None else each.label),
            _name(names, each.predicted),
            each.row in heatmaps,
        )
        for each in found
    ]


def _name(names: Mapping[Value, str], label: Any) -> str:
    if label is None:
        return ""
    return names.get(label) or (f"{label:.5g}" if isinstance(label, float) else str(label))


def _heatmaps(evaluation: Evaluation) -> dict[int, str]:
    """Place of a sample -> where its heat map lies, of those that have one."""
    return {each["row"]: each["heatmap"] for each in evaluation.summary.get("worst", []) if each.get("heatmap")}


def heatmap_file(evaluation: Evaluation, row: int) -> FileResponse:
    """The picture of why the sample at that place was answered so; 404 where there is none."""
    path = _heatmaps(evaluation).get(row)
    if path is None:
        raise Http404
    try:
        content = workspace().open(f"{evaluation.results_key}/{path}")
    except FileNotFoundError:
        raise Http404 from None
    answer = FileResponse(content, content_type="image/png")
    answer["Cache-Control"] = "private, max-age=86400, immutable"
    return answer
