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


class TrainingTable(SiteTable):
    """Rows of `Training.objects.with_deployed()` of one job."""

    name = tables.Column(linkify=True, verbose_name=_("Name"), attrs=MAIN)
    status = work_status()
    accuracy = tables.Column(verbose_name=_("Accuracy"), default="–")
    loss = tables.Column(verbose_name=_("Loss"), default="–")
    run_time = tables.Column(verbose_name=_("Run time"), accessor="run_time_s", orderable=False, default="–")
    deployed = cell("jobs/deployed", verbose_name=_("Deployed"))
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("jobs/training_actions")

    class Meta:
        order_by = "-created_at"

    def render_accuracy(self, value: float) -> str:
        return f"{value:.4f}"

    def render_loss(self, value: float) -> str:
        return f"{value:.4f}"

    def render_run_time(self, value: float) -> str:
        return duration(value)
