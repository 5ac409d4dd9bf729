"""The results of a prediction job: rows to page through, and files of all of them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Avg, Count, F, Max, Min, Q
from django.http import FileResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from datasets.content import browsers_show
from datasets.models import File
from deployments.models import Prediction, PredictionJob, PredictionQuerySet
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status

LINES_AT_ONCE = 1000
_OF_LINE = ("label", "class_name", "probability", "value", "target", "top", "error")


@dataclass(frozen=True)
class PredictedClass:
    """A class, and how many files or rows were predicted to be of it."""

    label: int | str
    class_name: str
    count: int

    @property
    def text(self) -> str:
        """The label as an address asks for it."""
        return str(self.label)

    @property
    def name(self) -> str:
        """What people call the class."""
        return self.class_name or self.text


@dataclass(frozen=True)
class ShownPrediction:
    """A prediction of a file, with its classes as people call them; `true_name` is "" where the truth is not known."""

    prediction: Prediction
    predicted_name: str
    true_name: str

    @property
    def file(self) -> File:
        return self.prediction.file

    @property
    def is_wrong(self) -> bool:
        found = self.prediction
        return found.target is not None and found.label is not None and found.target != found.label

    @property
    def is_viewable(self) -> bool:
        """Whether every browser can show the file itself."""
        return browsers_show(self.file)


def shown(job: PredictionJob, rows: Iterable[Prediction]) -> list[ShownPrediction]:
    """The predictions as they are shown."""
    names = {each["label"]: each["class_name"] or str(each["label"]) for each in job.version.bundle_info["labels"]}

    def name(label: int | str | None) -> str:
        return "" if label is None else names.get(label, str(label))

    return [ShownPrediction(row, name(row.label), name(row.target)) for row in rows]


def results_of(
    job: PredictionJob,
    *,
    label: str | None = None,
    true: str | None = None,
    wrong: str | None = None,
    failed: str | None = None,
) -> PredictionQuerySet:
    """The predictions in the order of the files: those of one class, of one true class, that are wrong, or that failed.

    Raises:
        UserError: a label that no prediction can have.
    """
    rows: PredictionQuerySet = job.predictions.select_related("file")
    if job.status != Status.COMPLETED:
        return rows.none()  # rows are written before the completion
    if failed in ("1", "true"):
        rows = rows.exclude(error="")
    if wrong in ("1", "true"):
        rows = rows.filter(target__isnull=False, label__isnull=False).exclude(label=F("target"))
    if label:
        rows = rows.filter(_is_label("label", label, job))
    if true:
        rows = rows.filter(_is_label("target", true, job))
    return rows


def _is_label(field: str, text: str, job: PredictionJob) -> Q:
    """Of the class that is written so: an integer, or the text itself."""
    is_integer = text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20
    if is_integer:
        return Q((field, int(text))) | Q((field, text))
    if job.version.takes_tables:
        return Q((field, text))
    raise UserError(
        _("A label must be a whole number; received “%(received)s”.") % {"received": text[:100]},
        reason="invalid",
        field="label",
    )


def predicted_classes(job: PredictionJob) -> list[PredictedClass]:
    """The classes that were predicted, the most frequent first."""
    counted = (
        job.predictions.filter(label__isnull=False)
        .order_by()
        .values("label", "class_name")
        .annotate(count=Count("pk"))
        .order_by("-count", "label")
    )
    return [PredictedClass(**row) for row in counted]


def values_of(job: PredictionJob) -> dict[str, float | None]:
    """The least, the mean and the greatest value that a regression answered; None where there is none."""
    found: dict[str, float | None] = job.predictions.aggregate(
        least=Min("value"), mean=Avg("value"), greatest=Max("value")
    )
    return found


def results_file(job: PredictionJob) -> FileResponse:
    """The results as csv."""
    _require_results(job)
    return FileResponse(
        workspace().open(job.results_key), as_attachment=True, filename=f"{job.slug}.csv", content_type="text/csv"
    )


def results_lines(job: PredictionJob) -> StreamingHttpResponse:
    """The results as JSON lines, made while they are sent."""
    _require_results(job)
    headers = {
        "Content-Disposition": content_disposition_header(as_attachment=True, filename=f"{job.slug}.jsonl") or ""
    }
    return StreamingHttpResponse(_lines(job), content_type="application/jsonl", headers=headers)


def _lines(job: PredictionJob) -> Iterator[bytes]:
    # A page of rows at a time: a slow client holds neither memory nor a transaction.
    fields = ("pk", "file__name", "file_id", "row", *_OF_LINE)
    rows, last = job.predictions.order_by("pk"), 0
    while page := list(rows.filter(pk__gt=last).values(*fields)[:LINES_AT_ONCE]):
        last = page[-1]["pk"]
        lines = (
            {"file": row["file__name"], "file_id": row["file_id"], "row": row["row"] or None}
            | {name: None if row[name] == "" else row[name] for name in _OF_LINE}
            for row in page
        )
        yield "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _require_results(job: PredictionJob) -> None:
    if job.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” has no results: it is %(status)s. Results are there once it is completed.")
            % {"name": job.name, "status": job.get_status_display().lower()},
            reason="not_completed",
        )
