"""The lists of jobs and trainings."""

from typing import Any, ClassVar

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from jobs.durations import duration
from jobs.models import Job, Training
from jobs.titles import algorithm_title, instance_text


class JobTable(tables.Table):
    """Rows of `Job.objects.with_state()`."""

    kind = tables.Column(verbose_name=_("Kind"))
    name = tables.TemplateColumn(
        template_name="jobs/cells/job_name.html", verbose_name=_("Name"), attrs={"td": {"class": "dlm-cell-main"}}
    )
    algorithm = tables.Column(verbose_name=_("Algorithm"), default="–")
    instance = tables.Column(verbose_name=_("Instance"), accessor="instance_kind")
    status = tables.TemplateColumn(
        template_name="jobs/cells/job_status.html", verbose_name=_("Status"), orderable=False
    )
    creator = tables.Column(verbose_name=_("Creator"), accessor="creator__username", default="–")
    created_at = tables.TemplateColumn(template_name="jobs/cells/created.html", verbose_name=_("Created"))
    changed_at = tables.TemplateColumn(template_name="jobs/cells/changed.html", verbose_name=_("Changed"))
    actions = tables.TemplateColumn(
        template_name="jobs/cells/job_actions.html",
        verbose_name="",
        orderable=False,
        attrs={"td": {"class": "dlm-cell-actions"}},
    )

    class Meta:
        model = Job
        fields: ClassVar = (
            "kind",
            "name",
            "algorithm",
            "instance",
            "status",
            "creator",
            "created_at",
            "changed_at",
            "actions",
        )
        order_by = "-created_at"

    def __init__(self, *args: Any, can_edit: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_edit:
            self.columns.hide("actions")

    def render_algorithm(self, value: str) -> str:
        return algorithm_title(value)

    def render_instance(self, record: Job) -> str:
        return instance_text(record)


class TrainingTable(tables.Table):
    """Rows of `Training.objects.with_deployed()` of one job."""

    name = tables.Column(
        linkify=lambda record: record.get_absolute_url(),
        verbose_name=_("Name"),
        attrs={"td": {"class": "dlm-cell-main"}},
    )
    status = tables.TemplateColumn(template_name="jobs/cells/training_status.html", verbose_name=_("Status"))
    accuracy = tables.Column(verbose_name=_("Accuracy"), default="–")
    loss = tables.Column(verbose_name=_("Loss"), default="–")
    run_time = tables.Column(verbose_name=_("Run time"), accessor="run_time_s", orderable=False, default="–")
    deployed = tables.TemplateColumn(template_name="jobs/cells/deployed.html", verbose_name=_("Deployed"))
    creator = tables.Column(verbose_name=_("Creator"), accessor="creator__username", default="–")
    created_at = tables.TemplateColumn(template_name="jobs/cells/created.html", verbose_name=_("Created"))
    actions = tables.TemplateColumn(
        template_name="jobs/cells/training_actions.html",
        verbose_name="",
        orderable=False,
        attrs={"td": {"class": "dlm-cell-actions"}},
    )

    class Meta:
        model = Training
        fields: ClassVar = (
            "name",
            "status",
            "accuracy",
            "loss",
            "run_time",
            "deployed",
            "creator",
            "created_at",
            "actions",
        )
        order_by = "-created_at"

    def __init__(self, *args: Any, can_edit: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_edit:
            self.columns.hide("actions")

    def render_accuracy(self, value: float) -> str:
        return f"{value:.4f}"

    def render_loss(self, value: float) -> str:
        return f"{value:.4f}"

    def render_run_time(self, value: float) -> str:
        return duration(value)
