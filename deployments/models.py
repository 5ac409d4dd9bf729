"""Deployments, their tokens, and prediction jobs."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from datasets.models import Data, File
from deployments import batch
from deployments.traffic.models import LoggedRequest as LoggedRequest
from deployments.traffic.models import Traffic as Traffic
from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.fields import SentenceField
from dlmodeler_site.sentences import from_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Work
from jobs.models import InstanceKind, Training
from projects.models import Project


class DeploymentQuerySet(ScopedQuerySet):
    pass


@audited(exclude_fields=("status", "error", "active_at"))
class Deployment(models.Model):
    """A trained model behind a REST address, answered by a model server process of its own.

    `version` is the model that answers; `next_version` is started beside it, and the keeper makes it the `version` as
    soon as it answers. `wanted` is what people asked for; `status` is what is, written by the keeper alone:

        starting -> active -> stopped
           |  ^       |
           |  +-------+          (its process died: started again)
           +----> failed         (too often in a row)      any of them -> starting, when wanted again
    """

    class Wanted(models.TextChoices):
        RUNNING = "running", _("Running")
        STOPPED = "stopped", _("Stopped")

    class Status(models.TextChoices):
        STARTING = "starting", _("Starting")
        ACTIVE = "active", _("Active")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="deployments"
    )
    name = models.CharField(_("name"), max_length=100)
    description = models.TextField(_("description"), max_length=2000, blank=True)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    # Null only in the transaction that makes both rows.
    version: "models.ForeignKey[DeploymentVersion, DeploymentVersion]" = models.ForeignKey(  # type: ignore[misc]
        "DeploymentVersion",
        verbose_name=_("version"),
        null=True,
        on_delete=models.RESTRICT,
        related_name="serving",
        editable=False,
        help_text=_("The model that answers."),
    )
    next_version = models.ForeignKey(
        "DeploymentVersion",
        verbose_name=_("next version"),
        null=True,
        on_delete=models.RESTRICT,
        related_name="+",
        editable=False,
        help_text=_("Takes over as soon as it answers."),
    )
    instance_kind = models.CharField(_("instance kind"), max_length=3, choices=InstanceKind, default=InstanceKind.CPU)
    instance_count = models.PositiveSmallIntegerField(_("instance count"), default=1)
    wanted = models.CharField(_("wanted state"), max_length=7, choices=Wanted, default=Wanted.RUNNING, editable=False)
    generation = models.PositiveIntegerField(
        _("generation"), default=1, editable=False, help_text=_("A higher one restarts the model server.")
    )
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.STARTING, editable=False)
    error = SentenceField(_("error"), blank=True, editable=False)
    active_at = models.DateTimeField(_("active since"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("deployments:detail", args=[self.pk])

    @property
    def takes_tables(self) -> bool:
        """Predicts rows of tables and not images; all its versions do."""
        return self.version.takes_tables

    @property
    def is_wanted(self) -> bool:
        return self.wanted == self.Wanted.RUNNING

    @property
    def is_stopping(self) -> bool:
        """Asked to stop, but its model server has not ended yet."""
        return self.wanted == self.Wanted.STOPPED and self.status != self.Status.STOPPED

    @property
    def is_changing(self) -> bool:
        """On its way to another state or version by itself."""
        return self.is_stopping or self.status == self.Status.STARTING or self.is_changing_model

    @property
    def is_changing_model(self) -> bool:
        """Another version is being started beside the one that serves."""
        return self.next_version_id is not None and self.is_wanted

    @property
    def can_start(self) -> bool:
        return not self.is_wanted or self.status == self.Status.FAILED


class DeploymentVersionQuerySet(ScopedQuerySet):
    to_project = "deployment__project"


@audited(exclude_fields=("error", "activated_at", "bundle_info"))
class DeploymentVersion(models.Model):
    """A model that a deployment serves, has served or was to serve. What it was made of never changes.

    Its status is not written down but follows from where the deployment points to: no change can be left half-made.
    """

    class Status(models.TextChoices):
        CURRENT = "current", _("Current")
        STARTING = "starting", _("Starting")
        PREVIOUS = "previous", _("Served before")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Called off")

    deployment = models.ForeignKey(
        Deployment, verbose_name=_("deployment"), on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField(_("number"), help_text=_("From 1 on, counted in its deployment."))
    training = models.ForeignKey(
        Training, verbose_name=_("training"), on_delete=models.RESTRICT, related_name="deployment_versions"
    )
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    bundle_key = models.CharField(
        _("bundle key"), max_length=500, editable=False, help_text=_("Where the served bundle lies in the workspace.")
    )
    bundle_info = models.JSONField(
        _("bundle information"),
        default=dict,
        editable=False,
        help_text=_("Input, task, labels and engine, from its bundle.json."),
    )
    preprocess = models.BooleanField(
        _("preprocess requests"),
        default=False,
        help_text=_("Requests go through the preprocessing of the training data."),
    )
    steps = models.JSONField(
        _("preprocessing steps"), default=list, editable=False, help_text=_("What requests go through.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    activated_at = models.DateTimeField(
        _("took over at"), null=True, editable=False, help_text=_("When it last began to serve.")
    )
    error = SentenceField(_("error"), blank=True, editable=False)

    objects = DeploymentVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("deployment version")
        verbose_name_plural = _("deployment versions")
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "number"], name="one_version_of_a_number")
        ]

    def __str__(self) -> str:
        return str(_("version %(number)s") % {"number": self.number})

    @property
    def status(self) -> str:
        """What it is to its deployment."""
        if self.pk == self.deployment.version_id:
            return self.Status.CURRENT
        if self.pk == self.deployment.next_version_id:
            return self.Status.STARTING
        if self.error:
            return self.Status.FAILED
        return self.Status.PREVIOUS if self.activated_at else self.Status.CANCELLED

    @property
    def status_title(self) -> str:
        return str(self.Status(self.status).label)

    @property
    def model_file(self) -> str:
        return f"/mnt/{self.bundle_key}/saved_model.pb"

    @property
    def engine(self) -> dict[str, Any]:
        """That of the bundle, and as it last ran: `fallback` says why that was another one."""
        engine = {"fallback": "", **self.bundle_info.get("engine", {}), **self.bundle_info.get("running", {})}
        return engine | {"fallback": from_json(engine["fallback"])}

    @property
    def model_info(self) -> dict[str, Any]:
        """The model, as predictions name it."""
        return {
            "name": self.training.name,
            "algorithm": self.training.job.algorithm,
            "version": self.number,
            "deployment": self.deployment_id,
        }

    @property
    def takes_tables(self) -> bool:
        """Predicts rows of tables and not images."""
        return bool(self.bundle_info.get("input", {}).get("kind") == "table")

    @property
    def is_regression(self) -> bool:
        """Answers numbers and not classes."""
        return bool(self.bundle_info.get("task") == "regression")


class DeploymentTokenQuerySet(ScopedQuerySet):
    to_project = "deployment__project"

    def valid(self) -> "DeploymentTokenQuerySet":
        """Tokens that open their deployment now."""
        return self.filter(revoked_at=None).filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))


@audited(exclude_fields=("digest", "ciphertext", "last_used_at"))
class DeploymentToken(models.Model):
    """A key to one deployment: a digest to look it up by, a ciphertext to show it to editors again."""

    deployment = models.ForeignKey(
        Deployment, verbose_name=_("deployment"), on_delete=models.CASCADE, related_name="tokens"
    )
    name = models.CharField(_("name"), max_length=100)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    ciphertext = models.BinaryField(_("ciphertext"), editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    rotated_at = models.DateTimeField(_("rotated at"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)

    objects = DeploymentTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("deployment token")
        verbose_name_plural = _("deployment tokens")
        ordering: ClassVar = ["created_at", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class PredictionJobQuerySet(ScopedQuerySet):
    to_project = "deployment__project"


@audited(exclude_fields=(*STATE_OF_WORK, "summary"))
class PredictionJob(Work):
    """Predicts every sound file of a data, or every row of its csv files, with a deployment's bundle."""

    resumable: ClassVar[bool] = True

    deployment = models.ForeignKey(
        Deployment, verbose_name=_("deployment"), on_delete=models.CASCADE, related_name="prediction_jobs"
    )
    data = models.ForeignKey(Data, verbose_name=_("data"), on_delete=models.RESTRICT, related_name="prediction_jobs")
    labels_data = models.ForeignKey(
        Data,
        verbose_name=_("label data"),
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="+",
        help_text=_("What the files are in truth, in csv files; labels on the files themselves need none."),
    )
    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    description = models.TextField(_("description"), max_length=2000, blank=True)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    version = models.ForeignKey(
        DeploymentVersion,
        verbose_name=_("version"),
        on_delete=models.RESTRICT,
        related_name="prediction_jobs",
        editable=False,
        help_text=_("It predicts with this one to the end, whatever the deployment changes to."),
    )
    file_count = models.PositiveIntegerField(_("number of files"), default=0, editable=False)
    row_count = models.PositiveIntegerField(
        _("number of rows"), default=0, editable=False, help_text=_("Of all csv files; 0 for images.")
    )
    failed_count = models.PositiveIntegerField(
        _("number of failures"), default=0, editable=False, help_text=_("Files or rows that could not be predicted.")
    )
    summary = models.JSONField(
        _("summary"),
        default=dict,
        editable=False,
        help_text=_("How right the predictions are; empty where nothing has a label."),
    )

    objects = PredictionJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("prediction job")
        verbose_name_plural = _("prediction jobs")
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("deployments:prediction", args=[self.pk])

    @property
    def project(self) -> Project:
        return self.deployment.project

    @property
    def files_key(self) -> str:
        return f"{self.deployment.project.files_key}/predict/{self.slug}"

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "deployments.modelserver.batch"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        return batch.stage(self, run)

    def publish(self, run: RunFolder) -> None:
        batch.publish(self, run)

    def record(self, run: RunFolder) -> None:
        batch.record(self, run)

    def settle(self) -> None:
        if self.checkpoint_key:
            workspace().delete_tree(self.checkpoint_key)

    @property
    def path(self) -> str:
        """The path that users see."""
        return f"/mnt/{self.files_key}"

    @property
    def results_key(self) -> str:
        return f"{self.files_key}/{batch.RESULTS_NAME}"


class PredictionQuerySet(ScopedQuerySet):
    to_project = "prediction_job__deployment__project"


class Prediction(models.Model):
    """What the model said of one file, or of one row of it, or why it could say nothing."""

    prediction_job = models.ForeignKey(
        PredictionJob, verbose_name=_("prediction job"), on_delete=models.CASCADE, related_name="predictions"
    )
    file = models.ForeignKey(File, verbose_name=_("file"), on_delete=models.CASCADE, related_name="+")
    row = models.PositiveIntegerField(
        _("row"), default=0, help_text=_("Of a csv file, from 1 on; 0 stands for the whole file.")
    )
    label = models.JSONField(_("label"), null=True, help_text=_("An integer, or the text of a class of rows."))
    value = models.FloatField(_("value"), null=True, help_text=_("What a regression answered."))
    target = models.JSONField(
        _("true label"), null=True, help_text=_("What it is in truth, where that is known: a label, or a number.")
    )
    class_name = models.CharField(_("class name"), max_length=200, blank=True)
    probability = models.FloatField(_("probability"), null=True)
    top = models.JSONField(_("top classes"), default=list)
    error = SentenceField(_("error"), blank=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        verbose_name = _("prediction")
        verbose_name_plural = _("predictions")
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prediction_job", "file", "row"], name="one_prediction_per_row")
        ]

    def __str__(self) -> str:
        return f"{self.file}: {self.label if self.value is None else self.value}"
