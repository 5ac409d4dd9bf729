"""The pages of connections to object storages."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets.connection_forms import ConnectionForm
from datasets.connections import (
    check_connection,
    connections_for,
    delete_connection,
    save_connection,
    usable_connection,
)
from datasets.models import Connection
from datasets.tables import ConnectionTable
from dlmodeler_site.access import get_owned, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on
from dlmodeler_site.lists import is_searched, paged, searched
from projects.models import Project
from projects.pages import frame

_connections = Connection.objects.select_related("project", "creator")


@login_required
@require_safe
def connection_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The connections that the project's members may use: its own and those of all projects."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    is_owner = Project.objects.owned_by(request.user).filter(pk=project.pk).exists()
    connections = connections_for(project).select_related("project", "creator")
    table = ConnectionTable(searched(connections, request, fields=("name", "endpoint", "bucket")), can_edit=is_owner)
    context = frame(request, project, "data", (_("Connections"), None), is_owner=is_owner)
    context |= {"table": paged(table, request), "is_searched": is_searched(request)}
    return render(request, "datasets/connections.html", context)


@login_required
def connection_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Make a connection of the project; owners only."""
    project = get_owned(Project.objects.all(), request.user, pk=project_pk)
    return _form(request, Connection(project=project, creator_id=request.user.pk), _("Add a connection"))


@login_required
def connection_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a connection of the project; owners only."""
    return _form(request, get_owned(_connections, request.user, pk=pk), _("Edit connection"))


def _form(request: HttpRequest, connection: Connection, title: str) -> HttpResponse:
    form = ConnectionForm(request.POST or None, connection=connection)
    if form.is_valid():
        with errors_on(form):
            save_connection(connection, secret_key=form.fill(connection))
            messages.success(request, _("The connection “%(name)s” works and was saved.") % {"name": connection.name})
            return redirect("datasets:connections", connection.project_id)
    project: Project = connection.project  # type: ignore[assignment]  # those of no project have no owner
    here = (_("Connections"), reverse("datasets:connections", args=[project.pk]))
    context = frame(request, project, "data", here, (title, None), form=form, title=title)
    return render(request, "datasets/connection_form.html", context)


@login_required
@require_POST
def connection_check(request: HttpRequest, project_pk: int, pk: int) -> HttpResponse:
    """List and get again."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    connection = usable_connection(request.user, pk, project=project)
    try:
        check_connection(connection)
        messages.success(request, _("The connection “%(name)s” works.") % {"name": connection.name})
    except UserError as error:
        messages.error(request, error.message)
    return redirect("datasets:connections", project.pk)


@login_required
@require_POST
def connection_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a connection of the project; owners only."""
    connection = get_owned(_connections, request.user, pk=pk)
    delete_connection(connection)
    messages.success(request, _("The connection “%(name)s” was deleted.") % {"name": connection.name})
    return redirect("datasets:connections", connection.project_id)
