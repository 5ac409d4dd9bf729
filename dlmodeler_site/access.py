"""Scoping: who may see and who may change. Every query that serves a request starts here."""

from typing import Any, ClassVar, Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

User = AbstractBaseUser | AnonymousUser


class Role(models.TextChoices):
    """A member's role in a project: owners manage it, editors change what is in it, viewers look."""

    OWNER = "owner", gettext_lazy("Owner")
    EDITOR = "editor", gettext_lazy("Editor")
    VIEWER = "viewer", gettext_lazy("Viewer")


EDITING_ROLES = (Role.OWNER, Role.EDITOR)


class ScopedQuerySet(models.QuerySet[Any]):
    """Rows of projects. `to_project` is the look-up from the row to its project ("" for the project itself)."""

    to_project: ClassVar[str] = "project"

    def visible_to(self, user: User) -> Self:
        """Rows of the projects that `user` is a member of."""
        return self._of_member(user, tuple(Role))

    def editable_by(self, user: User) -> Self:
        """Rows of the projects in which `user` is owner or editor."""
        return self._of_member(user, EDITING_ROLES)

    def owned_by(self, user: User) -> Self:
        """Rows of the projects in which `user` is an owner."""
        return self._of_member(user, (Role.OWNER,))

    def _of_member(self, user: User, roles: tuple[Role, ...]) -> Self:
        if not user.is_authenticated:
            return self.none()
        membership = self.model._meta.apps.get_model("projects", "Membership")
        members = membership.objects.filter(user=user, role__in=roles, project__deleted_at=None)
        look_up = f"{self.to_project}__in" if self.to_project else "pk__in"
        return self.filter(**{look_up: members.values("project")})


M = TypeVar("M", bound=models.Model)


class Kept(models.Manager[M]):
    """The rows that are not in the trash (`deleted_at`)."""

    def get_queryset(self) -> models.QuerySet[M]:
        return super().get_queryset().filter(deleted_at=None)


def get_visible(queryset: ScopedQuerySet, user: User, **look_up: Any) -> Any:
    """The one row, or 404 when it does not exist or `user` may not see it."""
    row = queryset.visible_to(user).filter(**look_up).first()
    if row is None:
        raise Http404
    return row


def get_editable(queryset: ScopedQuerySet, user: User, **look_up: Any) -> Any:
    """The one row: 404 for a stranger, 403 for a member without the right."""
    row = get_visible(queryset, user, **look_up)
    if not queryset.editable_by(user).filter(pk=row.pk).exists():
        raise PermissionDenied(
            _(
                "You are a viewer of this project: you may look, but not change anything. "
                "Ask an owner of the project to make you an editor."
            )
        )
    return row


def get_owned(queryset: ScopedQuerySet, user: User, **look_up: Any) -> Any:
    """The one row: 404 for a stranger, 403 for a member who is no owner."""
    row = get_visible(queryset, user, **look_up)
    if not queryset.owned_by(user).filter(pk=row.pk).exists():
        raise PermissionDenied(_("Only an owner of this project may do this. Ask an owner of the project."))
    return row
