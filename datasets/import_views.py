"""The pages that make data from objects of an object storage."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets.browsing import browse
from datasets.connections import connections_for, usable_connection
from datasets.dataset_views import dataset_frame
from datasets.import_forms import ImportForm, NewDatasetImportForm
from datasets.imports import import_data
from datasets.models import Connection, Data, Dataset
from datasets.versions import create_dataset
from dlmodeler_site import tree
from dlmodeler_site.access import get_editable
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on
from dlmodeler_site.parameters import whole_number
from projects.models import Project
from projects.pages import frame


@login_required
def dataset_import(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Make a dataset and its first data from an object storage."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    form = NewDatasetImportForm(request.POST or None, initial=request.GET)
    if form.is_valid():
        with errors_on(form), transaction.atomic():
            given = form.cleaned_data
            dataset = create_dataset(
                project,
                request.user,  # type: ignore[arg-type]
                name=given["dataset_name"],
                description=given["dataset_description"],
            )
            return redirect("datasets:data", _imported(request, dataset, form).pk)
    context = frame(request, project, "data", (_("Create data"), None), **_page(request, project, form))
    return render(request, "datasets/import_create.html", context)


@login_required
def data_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a data from an object storage to a dataset."""
    dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=pk)
    form = ImportForm(request.POST or None, initial=request.GET)
    if form.is_valid():
        with errors_on(form):
            return redirect("datasets:data", _imported(request, dataset, form).pk)
    context = dataset_frame(request, dataset, (_("Add data"), None), **_page(request, dataset.project, form))
    return render(request, "datasets/import_create.html", context)


def _imported(request: HttpRequest, dataset: Dataset, form: ImportForm) -> Data:
    connection_pk, keys = form.chosen()
    return import_data(
        dataset,
        request.user,  # type: ignore[arg-type]
        name=form.cleaned_data["name"],
        description=form.cleaned_data["description"],
        connection=usable_connection(request.user, connection_pk, project=dataset.project),
        keys=keys,
        labels_from_folders=form.cleaned_data["labels_from_folders"],
        unzip=form.cleaned_data["unzip"],
    )


def _page(request: HttpRequest, project: Project, form: ImportForm) -> dict[str, Any]:
    return {
        "form": form,
        "connections": connections_for(project),
        "is_owner": Project.objects.owned_by(request.user).filter(pk=project.pk).exists(),
    }


# -- The tree ------------------------------------------------------------------------------------


@login_required
@require_safe
def objects(request: HttpRequest, project_pk: int) -> HttpResponse:
    """A level of the tree connection > bucket > folder > object.

    `?search=`, the beginning of a key in `?connection=`, begins it where that leads; a blank one, where it began.
    `?folders=` leaves the objects out, where a place to write to is wanted.
    """
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    connection_pk = whole_number(request, "connection")
    search = request.GET.get("search", "").lstrip("/")
    if connection_pk is None or not (search or "prefix" in request.GET):
        return tree.answer(request, _roots(request, project))
    connection = usable_connection(request.user, connection_pk, project=project)
    try:
        level = _level(request, project, connection, search or request.GET.get("prefix", ""))
    except UserError as error:
        level = tree.Level([], error.message)
    return tree.answer(request, level)


def _roots(request: HttpRequest, project: Project) -> tree.Level:
    nodes = [
        tree.Node(
            connection.name,
            url=_address(request, project, connection=connection.pk, prefix=""),
            value=f"{connection.pk}:" if connection.bucket else "",
            path=connection.name,
            note=connection.bucket,
            icon="server",
        )
        for connection in connections_for(project)
    ]
    return tree.Level(nodes, _("There is no connection yet."))


def _level(request: HttpRequest, project: Project, connection: Connection, prefix: str) -> tree.Level:
    found = browse(connection, prefix, cursor=request.GET.get("cursor", ""))
    nodes = [
        tree.Node(
            folder.name,
            url=_address(request, project, connection=connection.pk, prefix=folder.key),
            value=f"{connection.pk}:{folder.key}",
            path=f"{connection.name}/{folder.key}",
        )
        for folder in found.folders
    ]
    if "folders" not in request.GET:
        nodes += [
            tree.Node(
                each.name,
                value=f"{connection.pk}:{each.key}",
                path=f"{connection.name}/{each.key}",
                note=filesizeformat(each.size_bytes),
            )
            for each in found.objects
        ]
    more = ""
    if found.next_cursor:
        more = _address(request, project, connection=connection.pk, prefix=prefix, cursor=found.next_cursor)
    return tree.Level(nodes, _("There is nothing here."), more)


def _address(request: HttpRequest, project: Project, **values: Any) -> str:
    if "folders" in request.GET:
        values["folders"] = 1
    return f"{reverse('datasets:objects', args=[project.pk])}?{urlencode(values)}"
