"""Deleting projects: into the trash with everything in them, out of it again, or for ever."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext as _

from dlmodeler_site import trash
from dlmodeler_site.access import Role
from dlmodeler_site.registry import counts, delete_contents, dependants, refuse_if_in_use
from dlmodeler_site.trash import GONE, TrashEntry, delete_each, delete_folders, end_expired, lock_kept
from projects.models import Project, ProjectQuerySet


def delete_project(project: Project, *, forever: bool = False) -> None:
    """Move the project to the trash, or past it. Raises Conflict while something in it runs."""
    with transaction.atomic():
        locked = lock_kept(project)
        refuse_if_in_use(locked.name, dependants(locked))
        if forever:
            trash.end(locked)
        else:
            trash.put_in(locked)


# -- In the trash --------------------------------------------------------------------------------


def trashed_projects(user: User) -> ProjectQuerySet:
    """The projects in the trash that the user is an owner of: the others' members see them no more."""
    owned = Project.everything.filter(memberships__user=user, memberships__role=Role.OWNER)
    return trash.in_trash(owned)  # type: ignore[return-value]


def get_trashed(user: User, pk: int) -> Project:
    """The project in the trash: 404 for who is no member of it, 403 for who is no owner."""
    project: Project | None = trash.in_trash(Project.everything.filter(memberships__user=user)).filter(pk=pk).first()
    if project is None:
        raise Http404
    if not trashed_projects(user).filter(pk=pk).exists():
        raise PermissionDenied(_("Only an owner of this project may do this. Ask an owner of the project."))
    return project


def entries(user: User) -> list[TrashEntry]:
    """The projects in the user's trash, newest first."""
    projects = list(trashed_projects(user).order_by("-deleted_at"))
    by, numbers = trash.deleters(projects), counts([project.pk for project in projects])
    return [
        TrashEntry(
            kind="project",
            pk=project.pk,
            name=project.name,
            deleted_at=project.deleted_at,
            deleted_by=by.get(project.pk, ""),
            size_bytes=sum(numbers[name].get(project.pk, 0) for name in ("bytes", "trash_bytes")),
            contents=numbers["data"].get(project.pk, 0),
            project_pk=project.pk,
        )
        for project in projects
    ]


def restore_project(project: Project) -> None:
    """Take the project out of the trash, with everything that was in it."""
    with transaction.atomic():
        locked = Project.everything.select_for_update().get(pk=project.pk)
        trash.require_in_trash(locked)
        trash.take_out(locked)


def end_project(project: Project) -> None:
    """Delete a project in the trash for ever."""
    with transaction.atomic():
        locked = Project.everything.select_for_update().get(pk=project.pk)
        trash.require_in_trash(locked)
        trash.end(locked)


def empty(user: User) -> int:
    """Delete all projects in the user's trash for ever; answers how many that were."""
    with transaction.atomic():
        projects = list(trashed_projects(user).select_for_update(of=("self",)))
        for project in projects:
            trash.end(project)
    return len(projects)


# -- Past the trash ------------------------------------------------------------------------------


def purge() -> None:
    """End what has been in the trash for long enough, and delete what is GONE."""
    end_expired(Project.everything.all())
    delete_each(Project.everything.filter(deleted_at=GONE), _purge_project)


def _purge_project(project: Project) -> None:
    refuse_if_in_use(project.name, dependants(project))
    delete_contents(project)
    delete_folders(project.files_key)
    project.delete()
