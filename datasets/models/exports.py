"""Data on their way to an object storage."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from datasets.models.connections import Connection
from datasets.models.data import Data
from dlmodeler_site.access import ScopedQuerySet, User
from dlmodeler_site.audit import STATE_OF_WORK, audited
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.sentences import from_json
from dlmodeler_site.work.models import Work


class ExportQuerySet(ScopedQuerySet):
    to_project = "data__dataset__project"

    def visible_to(self, user: User) -> Self:
        return super().visible_to(user).filter(data__deleted_at=None)


@audited(exclude_fields=(*STATE_OF_WORK, "counts", "failures"))
class Export(Work):
    """Copies a data's files to an object storage."""

    resumable: ClassVar[bool] = True

    data = models.ForeignKey(Data, verbose_name=_("data"), on_delete=models.CASCADE, related_name="exports")
    connection = models.ForeignKey(
        Connection, verbose_name=_("connection"), null=True, on_delete=models.SET_NULL, related_name="exports"
    )
    prefix = models.CharField(
        _("prefix"), max_length=500, blank=True, help_text=_("Bucket and folder that the files go to.")
    )
    counts = models.JSONField(_("counts"), default=dict, editable=False, help_text=_("How much has arrived."))
    failures = models.JSONField(
        _("failures"), default=list, editable=False, help_text=_("The first files that were not taken, and why.")
    )
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.data} → {self.prefix}"

    @property
    def manifest_path(self) -> str:
        """The csv of the files, beside their folder: in it, it could be taken for one of them."""
        folder = self.prefix.removesuffix("/")
        bucket_only = not folder if self.connection and self.connection.bucket else "/" not in folder
        return f"{self.prefix}{self.data.slug}.manifest.csv" if bucket_only else f"{folder}.manifest.csv"

    @property
    def failed_files(self) -> list[tuple[str, str]]:
        """The first files that were not taken, each with the reason."""
        return [(failure["name"], from_json(failure["error"])) for failure in self.failures]

    # -- Work -----------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        return "datasets.exporting"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        from datasets import exports

        return exports.prepare_export(self, run)

    def collect(self, events: list[dict[str, Any]]) -> None:
        from datasets import exports

        exports.collect_export(self, events)
