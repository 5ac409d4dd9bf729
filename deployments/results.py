"""The results of a prediction job: rows to page through, and the csv."""

from dataclasses import dataclass

from django.db.models import Avg, Count, Max, Min, Q
from django.http import FileResponse
from django.utils.translation import gettext as _

from deployments.models import PredictionJob, PredictionQuerySet
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status


@dataclass(frozen=True)
class PredictedClass:
    """A class, and how many files or rows were predicted to be of it."""

    label: int | str
    class_name: str
    count: int


def results_of(job: PredictionJob, *, label: str | None = None, failed: str | None = None) -> PredictionQuerySet:
    """The predictions in the order of the files: of one class, or of the files that could not be predicted."""
    rows: PredictionQuerySet = job.predictions.select_related("file")
    if job.status != Status.COMPLETED:
        return rows.none()  # rows are written before the completion
    if failed in ("1", "true"):
        rows = rows.exclude(error="")
    if label:
        rows = rows.filter(_is_label(label, job))
    return rows


def _is_label(text: str, job: PredictionJob) -> Q:
    """Predicted to be of the class that is written so: an integer, or the text itself."""
    is_integer = text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20
    if is_integer:
        return Q(label=int(text)) | Q(label=text)
    if job.version.takes_tables:
        return Q(label=text)
    raise UserError(
        _("label must be a whole number; received “%(received)s”.") % {"received": text[:100]},
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
    if job.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” has no results: it is %(status)s. Results are there once it is completed.")
            % {"name": job.name, "status": job.get_status_display().lower()},
            reason="not_completed",
        )
    return FileResponse(
        workspace().open(job.results_key), as_attachment=True, filename=f"{job.slug}.csv", content_type="text/csv"
    )
