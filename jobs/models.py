"""Jobs, their trainings and the metrics of these."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from datasets.models import Data
from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.work.models import Status, Work
from jobs import collect, staging
from projects.models import Project


class InstanceKind(models.TextChoices):
    CPU = "cpu", _("CPU")
    GPU = "gpu", _("GPU")


@dataclass(frozen=True)
class Instance:
    """What a training computes on. For cpu, count 1 = all cores of one worker; for gpu, whole GPUs."""

    kind: str = InstanceKind.CPU
    count: int = 1


class JobQuerySet(ScopedQuerySet):
    def with_state(self) -> Self:
        """Adds what its trainings say of a job: `running`, `queued`, `training_count`, `last_status`."""
        trainings = Training.objects.filter(job=models.OuterRef("pk"))
        return self.annotate(
            running=models.Exists(trainings.filter(status=Status.RUNNING)),
            queued=models.Exists(trainings.filter(status=Status.QUEUED)),
            last_status=models.Subquery(trainings.order_by("-created_at", "-pk").values("status")[:1]),
            training_count=models.Count("trainings", distinct=True),
        ).order_by("-created_at", "-pk")  # grouping drops the model's own ordering


@audited()
class Job(models.Model):
    """A learning task: its kind, its data, its trainings."""

    class Kind(models.TextChoices):
        BASIC = "basic", _("Basic")
        CUSTOM = "custom", _("Custom")

    project = models.ForeignKey(Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="jobs")
    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    description = models.TextField(_("description"), max_length=2000, blank=True)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    kind = models.CharField(_("kind"), max_length=6, choices=Kind, default=Kind.BASIC)
    algorithm = models.CharField(_("algorithm"), max_length=50, blank=True)
    class_names = models.JSONField(
        _("class names"), default=dict, blank=True, help_text=_('A name for each label, such as {"0": "forest"}.')
    )
    instance_kind = models.CharField(_("instance kind"), max_length=3, choices=InstanceKind, default=InstanceKind.CPU)
    instance_count = models.PositiveSmallIntegerField(_("instance count"), default=1)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "slug"], name="job_slug_per_project")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=[self.pk])

    @property
    def files_key(self) -> str:
        return f"{self.project.files_key}/model/{self.slug}"

    @property
    def path(self) -> str:
        """The path that users see."""
        return f"/mnt/{self.files_key}"

    @property
    def status(self) -> str:
        """What its trainings are doing, "" without any; for rows of `with_state()`."""
        if getattr(self, "running", False):
            return Status.RUNNING
        return Status.QUEUED if getattr(self, "queued", False) else getattr(self, "last_status", None) or ""

    @property
    def instance(self) -> Instance:
        return Instance(self.instance_kind, self.instance_count)

    @property
    def input_ids(self) -> dict[str, int]:
        """Name of the input -> id of its data."""
        return {row.name: row.data_id for row in self.inputs.all()}

    def data_by_input(self) -> dict[str, Data]:
        """The data given for each of the algorithm's inputs ("images", "labels")."""
        rows = self.inputs.select_related("data__dataset__project").defer("data__profile", "data__source_keys")
        return {row.name: row.data for row in rows.order_by("pk")}

    def input_data(self, name: str) -> Data | None:
        return self.data_by_input().get(name)


class JobInput(models.Model):
    """The data that a job reads for one input of its algorithm."""

    job = models.ForeignKey(Job, verbose_name=_("job"), on_delete=models.CASCADE, related_name="inputs")
    name = models.CharField(_("input"), max_length=50)
    data = models.ForeignKey(Data, verbose_name=_("data"), on_delete=models.RESTRICT, related_name="job_inputs")

    class Meta:
        verbose_name = _("job input")
        verbose_name_plural = _("job inputs")
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "name"], name="one_data_per_input")]

    def __str__(self) -> str:
        return f"{self.name}: {self.data}"


class TrainingQuerySet(ScopedQuerySet):
    to_project = "job__project"

    def with_deployed(self) -> Self:
        """Adds `deployed`: whether a deployment serves its model (the app above gives the relation its name)."""
        return self.annotate(deployed=models.Count("deployments", distinct=True)).order_by("-created_at", "-pk")


@audited(exclude_fields=(*STATE_OF_WORK, "accuracy", "loss", "labels", "result_metrics", "record_of_run"))
class Training(Work):
    """One run of a job's algorithm with one set of hyperparameters."""

    resumable: ClassVar[bool] = True

    job = models.ForeignKey(Job, verbose_name=_("job"), on_delete=models.CASCADE, related_name="trainings")
    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    instance_kind = models.CharField(_("instance kind"), max_length=3, choices=InstanceKind, default=InstanceKind.CPU)
    instance_count = models.PositiveSmallIntegerField(_("instance count"), default=1)
    hyperparameters = models.JSONField(_("hyperparameters"), default=dict)
    seed = models.PositiveIntegerField(_("seed"), default=0)
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
    def instance(self) -> Instance:
        return Instance(self.instance_kind, self.instance_count)

    @property
    def model_files(self) -> list[str]:
        """The model files as users see them (the original's Pb file)."""
        return [f"/mnt/{self.export_key}/saved_model.pb"] if self.export_key else []

    @property
    def epochs(self) -> int:
        """The number of epochs asked for."""
        return int(self.hyperparameters.get("epochs", 0))

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "jobs.algorithms"

    @property
    def queue(self) -> str:
        return self.instance_kind

    @property
    def resources(self) -> Resources:
        return Resources(kind="gpu" if self.instance_kind == InstanceKind.GPU else "cpu", count=self.instance_count)

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
