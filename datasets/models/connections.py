"""Keys to object storages."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import ScopedQuerySet, User
from dlmodeler_site.audit import audited
from dlmodeler_site.fields import SentenceField
from projects.models import Project


class ConnectionQuerySet(ScopedQuerySet):
    """Connections of a project are its editors' to use and its owners' to change; those of no project are for all."""

    def visible_to(self, user: User) -> Self:
        return self._of_all(user) | super().visible_to(user)

    def usable_by(self, user: User) -> Self:
        """What the user may browse, import from and export to."""
        return self._of_all(user) | super().editable_by(user)

    def _of_all(self, user: User) -> Self:
        return self.filter(project=None) if user.is_authenticated else self.none()


@audited(exclude_fields=("ciphertext", "checked_at", "error"))
class Connection(models.Model):
    """An S3-compatible object storage with the key to it; made by operators for all projects or by an owner for one."""

    project = models.ForeignKey(
        Project, verbose_name=_("project"), null=True, blank=True, on_delete=models.CASCADE, related_name="connections"
    )
    name = models.CharField(_("name"), max_length=100)
    endpoint = models.CharField(_("endpoint"), max_length=255, blank=True, help_text=_("Blank for AWS."))
    region = models.CharField(_("region"), max_length=50, blank=True)
    bucket = models.CharField(_("bucket"), max_length=63, blank=True, help_text=_("Blank for all buckets of the key."))
    access_key = models.CharField(_("access key"), max_length=255)
    ciphertext = models.BinaryField(_("secret key"), editable=False, help_text=_("Encrypted."))
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    checked_at = models.DateTimeField(_("checked at"), null=True, editable=False)
    error = SentenceField(_("error"), blank=True, editable=False)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="connection_name_per_project"),
            models.UniqueConstraint(fields=["name"], condition=models.Q(project=None), name="connection_name_of_all"),
        ]

    def __str__(self) -> str:
        return self.name
