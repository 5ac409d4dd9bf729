"""The lists of jobs and trainings."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.tables import MAIN, SiteTable, cell, created_by, moment, named, row_actions, work_status
from jobs.durations import duration
from jobs.models import Job
from jobs.titles import algorithm_title, instance_text


class JobTable(SiteTable):
    """Rows of `Job.objects.with_state()`."""

    name = named()
    kind = tables.Column(verbose_name=_("Kind"))
    algorithm = tables.Column(verbose_name=_("Algorithm"), default="–")
    instance = tables.Column(verbose_name=_("Instance"), accessor="instance_kind")
    status = cell("jobs/job_status", verbose_name=_("Status"), orderable=False)
    creator = created_by()
    created_at = moment(_("Created"))
    changed_at = moment(_("Changed"))
    actions = row_actions("jobs/job_actions")

    class Meta:
        order_by = "-created_at"

    def render_algorithm(self, value: str) -> str:
        return algorithm_title(value)

    def render_instance(self, record: Job) -> str:
        return instance_text(record)


class ClassTable(SiteTable):
    """Rows of `evaluation_page.class_rows`."""

    name = cell("jobs/class_name", verbose_name=_("Class"), attrs=MAIN)
    precision = tables.Column(verbose_name=_("Precision"), default="–")
    recall = tables.Column(verbose_name=_("Recall"), default="–")
    f1 = tables.Column(verbose_name=_("F1"), default="–")
    support = tables.Column(verbose_name=_("Support"))

    class Meta:
        order_by = "f1"

    def render_precision(self, value: float) -> str:
        return f"{100 * value:.1f} %"

    render_recall = render_f1 = render_precision


class TrainingTable(SiteTable):
    """Rows of `Training.objects.with_deployed()` of one job."""

    compared = cell("jobs/training_choice", verbose_name="", orderable=False)
    name = tables.Column(linkify=True, verbose_name=_("Name"), attrs=MAIN)
    status = work_status()
    accuracy = cell("jobs/score", verbose_name=_("Accuracy / R²"))
    loss = tables.Column(verbose_name=_("Loss"), default="–")
    run_time = tables.Column(verbose_name=_("Run time"), accessor="run_time_s", orderable=False, default="–")
    deployed = cell("jobs/deployed", verbose_name=_("Deployed"))
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("jobs/training_actions")

    class Meta:
        order_by = "-created_at"

    def render_loss(self, value: float) -> str:
        return f"{value:.4f}"

    def render_run_time(self, value: float) -> str:
        return duration(value)
