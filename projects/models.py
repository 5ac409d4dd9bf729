"""Projects and who may see and change what is in them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import Kept, Role, ScopedQuerySet
from dlmodeler_site.audit import audited


class ProjectQuerySet(ScopedQuerySet):
    to_project = ""


@audited()
class Project(models.Model):
    """Where a team keeps its data, jobs and deployments. Only its members see it."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("slug"), max_length=100, editable=False)
    description = models.TextField(_("description"), max_length=2000)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("creator"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="created_projects",
        editable=False,
    )
    creator_slug = models.CharField(
        _("creator's slug"), max_length=150, editable=False, help_text=_("Part of the path; it is never changed.")
    )
    members: models.ManyToManyField = models.ManyToManyField(
        settings.AUTH_USER_MODEL, verbose_name=_("members"), through="Membership", related_name="projects"
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, editable=False)

    objects = Kept.from_queryset(ProjectQuerySet)()
    everything = ProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def files_key(self) -> str:
        """The project's folder in the workspace: `project/<name>_<id>_<owner>`."""
        return f"project/{self.slug}_{self.pk}_{self.creator_slug}"


class MembershipQuerySet(ScopedQuerySet):
    pass


@audited()
class Membership(models.Model):
    """A user's role in a project."""

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=6, choices=Role, default=Role.EDITOR)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "user"], name="one_role_per_member")]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"
