"""Trainings and what is known of them while they run."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.work.models import Work
from jobs import collect, staging
from jobs.models.jobs import Job, OnInstance
from projects.models import Project


class TrainingQuerySet(ScopedQuerySet):
    to_project = "job__project"

    def with_deployed(self) -> Self:
        """Adds `deployed`: whether a deployment serves its model (the app above names the relations)."""
        deployed = models.Count("deployment_versions__serving", distinct=True)
        return self.annotate(deployed=deployed).order_by("-created_at", "-pk")


@audited(exclude_fields=(*STATE_OF_WORK, "accuracy", "loss", "labels", "result_metrics", "record_of_run", "estimate"))
class Training(OnInstance, Work):
    """One run of a job's algorithm with one set of hyperparameters."""

    resumable: ClassVar[bool] = True

    job = models.ForeignKey(Job, verbose_name=_("job"), on_delete=models.CASCADE, related_name="trainings")
    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    hyperparameters = models.JSONField(_("hyperparameters"), default=dict)
    seed = models.PositiveIntegerField(_("seed"), default=0)
    estimate = models.JSONField(
        _("estimate"), default=dict, editable=False, help_text=_("Seconds and bytes of memory it was thought to take.")
    )
    again_of = models.ForeignKey(
        "self",
        verbose_name=_("runs again"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="runs_again",
        editable=False,
        help_text=_("The training that this one repeats exactly."),
    )
    labels = models.JSONField(
        _("labels"), default=list, editable=False, help_text=_("In the order of the network's outputs.")
    )
    accuracy = models.FloatField(_("accuracy"), null=True, editable=False)
    loss = models.FloatField(_("loss"), null=True, editable=False)
    result_metrics = models.JSONField(_("result metrics"), default=dict, editable=False)
    record_of_run = models.JSONField(
        _("record of the run"),
        default=dict,
        editable=False,
        help_text=_("Versions, hardware, seed and hashes of the data."),
    )
    export_key = models.CharField(
        _("export key"),
        max_length=500,
        blank=True,
        editable=False,
        help_text=_("Where the model's bundle lies in the workspace."),
    )

    objects = TrainingQuerySet.as_manager()

    class Meta:
        verbose_name = _("training")
        verbose_name_plural = _("trainings")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "slug"], name="training_slug_per_job")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("jobs:training", args=[self.pk])

    @property
    def project(self) -> Project:
        return self.job.project

    @property
    def files_key(self) -> str:
        return f"{self.job.files_key}/{self.slug}"

    @property
    def model_files(self) -> list[str]:
        """The model files as users see them (the original's Pb file)."""
        return [f"/mnt/{self.export_key}/saved_model.pb"] if self.export_key else []

    @property
    def scores(self) -> list[tuple[str, float | None]]:
        """How good it is, under titles: accuracy and loss, or of a regression R² and mean error (held out, if so)."""
        found = self.result_metrics
        if "r2" not in found:
            return [(gettext("Accuracy"), self.accuracy), (gettext("Loss"), self.loss)]
        r2, mae = (found.get(f"val_{name}", found.get(name)) for name in ("r2", "mae"))
        return [(gettext("R²"), r2), (gettext("Mean error"), mae)]

    @property
    def epochs(self) -> int:
        """The number of epochs asked for, of all stages once it has begun."""
        return int(self.record_of_run.get("planned_epochs") or self.hyperparameters.get("epochs", 0))

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "jobs.algorithms"

    @property
    def queue(self) -> str:
        return self.instance_kind

    @property
    def resources(self) -> Resources:
        return self.instance.resources

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        return staging.stage(self, run)

    def collect(self, events: list[dict[str, Any]]) -> None:
        collect.take_over(self, events)

    def publish(self, run: RunFolder) -> None:
        collect.publish(self, run)

    def record(self, run: RunFolder) -> None:
        collect.record(self, run)


class EpochMetricsQuerySet(ScopedQuerySet):
    to_project = "training__job__project"


class EpochMetrics(models.Model):
    """The metrics of one epoch; a later attempt that repeats the epoch replaces them."""

    training = models.ForeignKey(
        Training, verbose_name=_("training"), on_delete=models.CASCADE, related_name="epoch_metrics"
    )
    epoch = models.PositiveIntegerField(_("epoch"))
    attempt = models.PositiveIntegerField(_("attempt"))
    step = models.PositiveIntegerField(_("step"), default=0)
    time = models.DateTimeField(_("time"))
    seconds = models.FloatField(_("duration in seconds"), default=0)
    metrics = models.JSONField(_("metrics"), default=dict, help_text=_("Such as loss, accuracy and val_loss."))

    objects = EpochMetricsQuerySet.as_manager()

    class Meta:
        verbose_name = _("epoch metrics")
        verbose_name_plural = _("epoch metrics")
        ordering: ClassVar = ["epoch"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["training", "epoch"], name="one_row_per_epoch")]

    def __str__(self) -> str:
        return gettext("%(training)s, epoch %(epoch)s") % {"training": self.training, "epoch": self.epoch}
