"""The pages of projects."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import Role, get_owned
from dlmodeler_site.forms import errors_on
from dlmodeler_site.lists import paged
from dlmodeler_site.registry import counts, dependants
from dlmodeler_site.tables import TrashTable
from dlmodeler_site.trash import trash_days
from projects import trash
from projects.forms import ProjectForm
from projects.members import create_project, update_project
from projects.models import Project


@login_required
@require_safe
def project_list(request: HttpRequest) -> HttpResponse:
    """A card for each project of the user."""
    search = request.GET.get("search", "").strip()
    projects = Project.objects.visible_to(request.user).select_related("creator").prefetch_related("memberships__user")
    if search:
        projects = projects.filter(Q(name__icontains=search) | Q(description__icontains=search))
    numbers = counts([project.pk for project in projects])
    cards = [
        {
            "project": project,
            "members": project.memberships.all(),
            "owned": any(m.user_id == request.user.pk and m.role == Role.OWNER for m in project.memberships.all()),
            "counts": {name: number.get(project.pk, 0) for name, number in numbers.items()},
        }
        for project in projects
    ]
    return render(request, "projects/list.html", {"cards": cards, "search": search})


@login_required
def project_create(request: HttpRequest) -> HttpResponse:
    """Make a project."""
    form = ProjectForm(request.POST or None, user=request.user)
    if form.is_valid():
        with errors_on(form):
            project = create_project(
                request.user,  # type: ignore[arg-type]
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                members=form.members(),
            )
            messages.success(request, _("The project “%(name)s” was made.") % {"name": project.name})
            return redirect("datasets:list", project.pk)
    crumbs = [(_("Projects"), reverse("projects:list")), (_("Create project"), None)]
    return render(request, "projects/form.html", {"form": form, "breadcrumbs": crumbs, "roles": Role.choices})


@login_required
def project_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change name, description and members; owners only."""
    project = get_owned(Project.objects.all(), request.user, pk=pk)
    form = ProjectForm(request.POST or None, user=request.user, project=project)
    if form.is_valid():
        with errors_on(form):
            update_project(
                project,
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                members=form.members(),
            )
            messages.success(request, _("The project was saved."))
            return redirect("projects:list")
    crumbs = [(_("Projects"), reverse("projects:list")), (project.name, None)]
    context = {"form": form, "breadcrumbs": crumbs, "roles": Role.choices, "edited": project}
    return render(request, "projects/form.html", context)


@login_required
def project_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what a deletion takes with it, and move the project to the trash."""
    project = get_owned(Project.objects.all(), request.user, pk=pk)
    if request.method == "POST":
        trash.delete_project(project)
        messages.success(request, _("“%(name)s” was moved to the trash.") % {"name": project.name})
        return redirect("projects:list")
    numbers = {name: number.get(project.pk, 0) for name, number in counts([project.pk]).items()}
    context = {
        "deleted": project,
        "used_by": [str(each) for each in dependants(project)],
        "days": trash_days(),
        "counts": numbers,
        "bytes": numbers["bytes"] + numbers["trash_bytes"],
        "breadcrumbs": [(_("Projects"), reverse("projects:list")), (project.name, None)],
    }
    return render(request, "projects/delete.html", context)


@login_required
@require_safe
def project_trash(request: HttpRequest) -> HttpResponse:
    """The projects that the user can restore or delete for ever."""
    table = paged(TrashTable(trash.entries(request.user)), request)  # type: ignore[arg-type]
    crumbs = [(_("Projects"), reverse("projects:list")), (_("Trash"), None)]
    return render(request, "projects/trash.html", {"table": table, "days": trash_days(), "breadcrumbs": crumbs})


@login_required
@require_POST
def project_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a project out of the trash."""
    project = trash.get_trashed(request.user, pk)  # type: ignore[arg-type]
    trash.restore_project(project)
    messages.success(request, _("“%(name)s” was restored.") % {"name": project.name})
    return redirect("projects:trash")


@login_required
@require_POST
def project_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a project in the trash for ever."""
    project = trash.get_trashed(request.user, pk)  # type: ignore[arg-type]
    trash.end_project(project)
    messages.success(request, _("“%(name)s” is being deleted for ever.") % {"name": project.name})
    return redirect("projects:trash")


@login_required
@require_POST
def project_trash_empty(request: HttpRequest) -> HttpResponse:
    """Delete all projects in the user's trash for ever."""
    trash.empty(request.user)  # type: ignore[arg-type]
    messages.success(request, _("The trash was emptied."))
    return redirect("projects:trash")
