"""The lists of deployments, prediction jobs and predictions."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from deployments.models import PredictionJob, PredictionQuerySet
from dlmodeler_site.tables import MAIN, TEXT, SiteTable, cell, created_by, moment, named, row_actions, work_status

NUMBER = {"td": {"class": "text-nowrap"}}
CLASS_COLUMNS = ("label", "probability")


class DeploymentTable(SiteTable):
    name = named()
    status = cell("deployments/status", verbose_name=_("Status"))
    address = cell("deployments/address", verbose_name=_("Address"), orderable=False)
    training = cell("deployments/model", verbose_name=_("Model"), order_by="version__training__name", attrs=TEXT)
    accuracy = cell(
        "deployments/accuracy", verbose_name=_("Result"), order_by="version__training__accuracy", attrs=NUMBER
    )
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("deployments/actions")

    class Meta:
        order_by = "-created_at"


class PredictionJobTable(SiteTable):
    name = named()
    status = work_status()
    data = tables.Column(accessor="data__name", verbose_name=_("Test data"), attrs=TEXT)
    run_time = cell("deployments/run_time", verbose_name=_("Run time"), orderable=False)
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("deployments/prediction_job_actions")

    class Meta:
        order_by = "-created_at"


class PredictionTable(SiteTable):
    thumbnail = cell("deployments/thumbnail", verbose_name=_("Image"), orderable=False)
    file = tables.Column(accessor="file__name", order_by="file__name", verbose_name=_("File"), attrs=MAIN)
    label = cell("deployments/label", verbose_name=_("Class"))
    class_name = tables.Column(verbose_name=_("Class name"), default="–", empty_values=(None, ""))
    probability = cell("deployments/probability", verbose_name=_("Probability"))


class RowPredictionTable(SiteTable):
    """Predictions of the rows of csv files."""

    row = tables.Column(verbose_name=_("Row"), attrs=NUMBER)
    file = tables.Column(accessor="file__name", order_by="file__name", verbose_name=_("File"), attrs=MAIN)
    label = cell("deployments/label", verbose_name=_("Class"))
    probability = cell("deployments/probability", verbose_name=_("Probability"))
    value = cell("deployments/value", verbose_name=_("Value"))

    def render_row(self, value: int) -> str:
        return str(value or "–")


def prediction_table(job: PredictionJob, rows: PredictionQuerySet) -> SiteTable:
    """The predictions of a job with the columns that there is something in."""
    if not job.version.takes_tables:
        return PredictionTable(rows)
    return RowPredictionTable(rows, exclude=CLASS_COLUMNS if job.version.is_regression else ("value",))
