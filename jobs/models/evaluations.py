"""Measuring finished models, and foretelling what a training takes."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from datasets.models import Data
from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Work
from jobs.estimating import probing
from jobs.evaluating import evaluations
from jobs.models.jobs import Job, OnInstance
from jobs.models.trainings import Training
from projects.models import Project


class EvaluationQuerySet(ScopedQuerySet):
    to_project = "training__job__project"


@audited(exclude_fields=(*STATE_OF_WORK, "summary"))
class Evaluation(Work):
    """A model's answers to labelled data, through its bundle as it is served. Without `data`, to its training's own."""

    class Part(models.TextChoices):
        HELD_OUT = "held_out", _("Held out")
        TRAINING = "training", _("Trained on")
        OTHER = "other", _("Other data")

    training = models.ForeignKey(
        Training, verbose_name=_("training"), on_delete=models.CASCADE, related_name="evaluations"
    )
    data = models.ForeignKey(
        Data, verbose_name=_("data"), null=True, blank=True, on_delete=models.RESTRICT, related_name="evaluations"
    )
    labels_data = models.ForeignKey(
        Data,
        verbose_name=_("label data"),
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="evaluations_by_labels",
    )
    part = models.CharField(_("part"), max_length=8, choices=Part, default=Part.OTHER, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    summary = models.JSONField(
        _("summary"), default=dict, editable=False, help_text=_("Accuracy, confusions, calibration and the like.")
    )
    results_key = models.CharField(
        _("results key"),
        max_length=500,
        blank=True,
        editable=False,
        help_text=_("Where the answer to each sample lies in the workspace."),
    )

    objects = EvaluationQuerySet.as_manager()
    resumable: ClassVar[bool] = True

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["training"], condition=models.Q(data=None), name="one_evaluation_of_own_data"
            )
        ]

    def __str__(self) -> str:
        return f"{self.training}: {self.data or self.get_part_display()}"

    def get_absolute_url(self) -> str:
        return f"{reverse('jobs:evaluation', args=[self.training_id])}?of={self.pk}"

    @property
    def project(self) -> Project:
        return self.training.project

    @property
    def files_key(self) -> str:
        return f"{self.training.files_key}/evaluation/{self.pk}"

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "jobs.evaluation"

    @property
    def queue(self) -> str:
        return "cpu"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        return evaluations.stage(self, run)

    def publish(self, run: RunFolder) -> None:
        evaluations.publish(self, run)

    def record(self, run: RunFolder) -> None:
        evaluations.record(self, run)

    def settle(self) -> None:
        if self.checkpoint_key:
            workspace().delete_tree(self.checkpoint_key)


class EstimateQuerySet(ScopedQuerySet):
    to_project = "job__project"


class Estimate(OnInstance, Work):
    """What a training of the job with these hyperparameters would take, from a short probe on its data."""

    job = models.ForeignKey(Job, verbose_name=_("job"), on_delete=models.CASCADE, related_name="estimates")
    hyperparameters = models.JSONField(_("hyperparameters"), default=dict)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    seconds = models.FloatField(_("seconds"), null=True, editable=False)
    memory_bytes = models.BigIntegerField(_("peak memory in bytes"), null=True, editable=False)
    details = models.JSONField(_("details"), default=dict, editable=False)

    objects = EstimateQuerySet.as_manager()

    class Meta:
        verbose_name = _("estimate")
        verbose_name_plural = _("estimates")
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return str(self.job)

    @property
    def project(self) -> Project:
        return self.job.project

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
        return probing.stage(self, run)

    def record(self, run: RunFolder) -> None:
        probing.record(self, run)

    def settle(self) -> None:
        workspace().delete_tree(self.files_key)  # its log: nobody reads that of a probe that worked

    def as_told(self) -> dict[str, Any]:
        """What a training keeps of it."""
        return {"seconds": self.seconds, "memory_bytes": self.memory_bytes}
