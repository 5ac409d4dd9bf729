"""Jobs: what is to be learned, from which data, and on what."""

from dataclasses import dataclass
from typing import ClassVar, Self

from django.apps import apps
from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from datasets.models import Data
from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import audited
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.work.models import Status
from projects.models import Project


class InstanceKind(models.TextChoices):
    CPU = "cpu", _("CPU")
    GPU = "gpu", _("GPU")


@dataclass(frozen=True)
class Instance:
    """What a training computes on. For cpu, count 1 = all cores of one worker; for gpu, whole GPUs."""

    kind: str = InstanceKind.CPU
    count: int = 1

    @property
    def resources(self) -> Resources:
        return Resources(kind="gpu" if self.kind == InstanceKind.GPU else "cpu", count=self.count)


class OnInstance(models.Model):
    """Runs on an instance."""

    instance_kind = models.CharField(_("instance kind"), max_length=3, choices=InstanceKind, default=InstanceKind.CPU)
    instance_count = models.PositiveSmallIntegerField(_("instance count"), default=1)

    class Meta:
        abstract = True

    @property
    def instance(self) -> Instance:
        return Instance(self.instance_kind, self.instance_count)


class JobQuerySet(ScopedQuerySet):
    def with_state(self) -> Self:
        """Adds what its trainings say of a job: `running`, `queued`, `training_count`, `last_status`."""
        trainings = apps.get_model("jobs", "Training").objects.filter(job=models.OuterRef("pk"))
        return self.annotate(
            running=models.Exists(trainings.filter(status=Status.RUNNING)),
            queued=models.Exists(trainings.filter(status=Status.QUEUED)),
            last_status=models.Subquery(trainings.order_by("-created_at", "-pk").values("status")[:1]),
            training_count=models.Count("trainings", distinct=True),
        ).order_by("-created_at", "-pk")  # grouping drops the model's own ordering


@audited()
class Job(OnInstance):
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
