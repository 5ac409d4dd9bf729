"""Models in other formats than the SavedModel, for use elsewhere."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.work.models import Work
from jobs.downloading import downloads
from jobs.models.trainings import Training
from projects.models import Project


class DownloadQuerySet(ScopedQuerySet):
    to_project = "training__job__project"


class Download(Work):
    """A training's model in one other format, made when it is first asked for and kept beside the bundle."""

    class Format(models.TextChoices):
        ONNX = "onnx", "ONNX"
        LITERT = "litert", "LiteRT"

    training = models.ForeignKey(
        Training, verbose_name=_("training"), on_delete=models.CASCADE, related_name="downloads"
    )
    format = models.CharField(_("format"), max_length=6, choices=Format)
    file_key = models.CharField(_("file key"), max_length=500, blank=True, editable=False)

    objects = DownloadQuerySet.as_manager()

    class Meta:
        verbose_name = _("download")
        verbose_name_plural = _("downloads")
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["training", "format"], name="one_download_per_format")]

    def __str__(self) -> str:
        return f"{self.training}: {self.get_format_display()}"

    @property
    def project(self) -> Project:
        return self.training.project

    @property
    def files_key(self) -> str:
        return f"{self.training.files_key}/downloads/{self.format}"

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "jobs.bundles"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        return downloads.stage(self)

    def publish(self, run: RunFolder) -> None:
        downloads.publish(self, run)

    def record(self, run: RunFolder) -> None:
        self.save(update_fields=["file_key"])
