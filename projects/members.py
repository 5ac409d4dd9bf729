"""Making and changing projects, and who is in them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from dlmodeler_site.access import Role
from dlmodeler_site.errors import UserError
from dlmodeler_site.slugs import unique_slug
from projects.models import Membership, Project


@dataclass(frozen=True)
class Member:
    """A user by name, and the role it shall have."""

    username: str
    role: str


def create_project(creator: User, *, name: str, description: str, members: Iterable[Member] = ()) -> Project:
    """Make a project; the creator is its owner."""
    with transaction.atomic():
        project = Project(name=name.strip(), description=description.strip(), creator=creator)
        project.slug = unique_slug(name, Project.objects.none())
        project.creator_slug = unique_slug(creator.username, Project.objects.none())
        project.save()
        Membership.objects.create(project=project, user=creator, role=Role.OWNER)
        set_members(project, [member for member in members if member.username != creator.username], keep=creator)
    return project


def set_members(project: Project, members: Iterable[Member], *, keep: User | None = None) -> None:
    """Make these the members, with these roles; `keep` stays as it is. A project is never left without an owner."""
    wanted = {member.username: member.role for member in members}
    if unknown_roles := set(wanted.values()) - set(Role.values):
        raise UserError(
            _("A role is one of %(roles)s; received “%(received)s”.")
            % {"roles": ", ".join(Role.values), "received": ", ".join(sorted(map(str, unknown_roles)))},
            reason="invalid_role",
            field="members",
        )
    users = {user.get_username(): user for user in get_user_model().objects.filter(username__in=wanted, is_active=True)}
    if unknown := sorted(set(wanted) - set(users)):
        raise UserError(
            _("There is no active user named %(names)s. An operator can invite people.")
            % {"names": ", ".join(f"“{name}”" for name in unknown)},
            reason="unknown_user",
            field="members",
        )
    with transaction.atomic():
        others = project.memberships.exclude(user=keep) if keep else project.memberships.all()
        others.exclude(user__username__in=wanted).delete()
        for username, role in wanted.items():
            Membership.objects.update_or_create(project=project, user=users[username], defaults={"role": role})
        if not project.memberships.filter(role=Role.OWNER).exists():
            raise UserError(
                _("A project needs at least one owner. Make one of the members an owner."),
                reason="no_owner",
                field="members",
            )


def update_project(
    project: Project,
    *,
    name: str | None = None,
    description: str | None = None,
    members: Iterable[Member] | None = None,
) -> None:
    """Change what is given. A new name never moves files."""
    with transaction.atomic():
        if name is not None:
            project.name = name.strip()
        if description is not None:
            project.description = description.strip()
        project.save()
        if members is not None:
            set_members(project, members)
