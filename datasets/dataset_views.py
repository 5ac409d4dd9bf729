"""The pages of a project's datasets."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets import versions
from datasets.browse import data_nodes, dataset_nodes
from datasets.forms import NewDatasetForm
from datasets.lineage import drawn, lineage_of_dataset
from datasets.models import Data, Dataset, disk_bytes
from datasets.tables import DatasetTable, DataTable
from datasets.trash import delete_dataset
from dlmodeler_site import tree
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import NamedForm, errors_on
from dlmodeler_site.lists import is_searched, paged, searched
from dlmodeler_site.parameters import as_whole_number, whole_number
from dlmodeler_site.slugs import unique_slug
from projects.models import Project
from projects.pages import Crumb, frame


def dataset_frame(request: HttpRequest, dataset: Dataset, *crumbs: Crumb, **values: Any) -> dict[str, Any]:
    """The frame of the pages of a dataset and its data."""
    here = (dataset.name, reverse("datasets:dataset", args=[dataset.pk]))
    return frame(request, dataset.project, "data", here, *crumbs, dataset=dataset, **values)


@login_required
@require_safe
def dataset_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The project's datasets, each with the status of its newest data."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    newest = Data.objects.filter(dataset=OuterRef("pk")).order_by("-pk")
    datasets = project.datasets.select_related("creator").annotate(
        data_count=Count("data", filter=Q(data__deleted_at=None)),
        size_bytes=Sum(disk_bytes("data__"), filter=Q(data__deleted_at=None), default=0),
        newest_pk=Subquery(newest.values("pk")[:1]),
        newest_status=Subquery(newest.values("status")[:1]),
    )
    found = searched(datasets, request, fields=("name", "description"))
    context = frame(request, project, "data", is_searched=is_searched(request))
    table = paged(DatasetTable(found, can_edit=context["can_edit"]), request)
    return render(request, "datasets/list.html", context | {"table": table})


@login_required
def dataset_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Make a dataset and its first data; the page then uploads the files into it."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    form = NewDatasetForm(request.POST or None)
    if request.method == "POST":
        if not form.is_valid():
            return JsonResponse({"errors": form.errors}, status=400)
        given = form.cleaned_data
        dataset = versions.create_dataset(
            project,
            request.user,  # type: ignore[arg-type]
            name=given["dataset_name"],
            description=given["dataset_description"],
        )
        return upload_target(
            versions.create_raw_data(
                dataset,
                request.user,  # type: ignore[arg-type]
                name=given["name"],
                description=given["description"],
            )
        )
    context = frame(request, project, "data", (_("Create data"), None), form=form)
    return render(request, "datasets/create.html", context)


def upload_target(data: Data, *, resumes: bool = False) -> JsonResponse:
    """Tells the page where its files go, where to go after them, and whether some may be there already."""
    done_url = reverse("datasets:data", args=[data.pk])
    return JsonResponse({"data_id": data.pk, "done_url": done_url, "resumes": resumes})


@login_required
@require_safe
def path_preview(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The path that data of these names would get."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    names = [request.GET.get(name, "").strip()[:100] for name in ("dataset_name", "name")]
    dataset = project.datasets.filter(pk=whole_number(request, "dataset")).first()
    datasets, data = Dataset.everything.filter(project=project), Data.everything.filter(dataset=dataset)
    slugs = [
        dataset.slug if dataset else (unique_slug(names[0], datasets) if names[0] else "…"),
        unique_slug(names[1], data) if names[1] else "…",
    ]
    path = f"/mnt/{project.files_key}/data/{'/'.join(slugs)}"
    return render(request, "datasets/_path.html", {"path": path})


@login_required
@require_safe
def dataset_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A dataset with its data."""
    dataset = get_visible(Dataset.objects.select_related("project", "creator"), request.user, pk=pk)
    data = dataset.data.for_lists().select_related("creator", "dataset__project")
    table = paged(DataTable(searched(data, request, fields=("name", "description"))), request)
    roots, is_cut = lineage_of_dataset(dataset, request.user)
    context = dataset_frame(
        request,
        dataset,
        table=table,
        is_searched=is_searched(request),
        size_bytes=dataset.data.aggregate(total=Sum(disk_bytes(), default=0))["total"],
        **drawn(roots, is_cut=is_cut),
    )
    return render(request, "datasets/dataset.html", context)


@login_required
def dataset_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change name and description."""
    dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=pk)
    initial = {"name": dataset.name, "description": dataset.description}
    form = NamedForm(request.POST or None, initial=initial)
    if form.is_valid():
        with errors_on(form):
            versions.update_dataset(dataset, **form.cleaned_data)
            messages.success(request, _("The dataset was saved."))
            return redirect("datasets:dataset", dataset.pk)
    return render(request, "datasets/edit.html", dataset_frame(request, dataset, (_("Edit"), None), form=form))


@login_required
@require_POST
def dataset_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Move a dataset with all its data to the trash."""
    dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=pk)
    delete_dataset(dataset)
    messages.success(request, _("“%(name)s” was moved to the trash.") % {"name": dataset.name})
    return redirect("datasets:list", dataset.project_id)


@login_required
@require_POST
def dataset_bulk_delete(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Move the ticked datasets to the trash; each that is in use stays and says why."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    chosen = [pk for value in request.POST.getlist("row") if (pk := as_whole_number(value)) is not None]
    deleted = 0
    for dataset in project.datasets.select_related("project").filter(pk__in=chosen):
        try:
            delete_dataset(dataset)
            deleted += 1
        except UserError as error:
            messages.error(request, error.message)
    if deleted:
        messages.success(request, _("Datasets moved to the trash: %(count)s.") % {"count": deleted})
    return redirect("datasets:list", project.pk)


@login_required
@require_safe
def browse(request: HttpRequest, project_pk: int) -> HttpResponse:
    """A level of the tree of data; `?content=image|table` says which can be chosen."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    content = request.GET.get("content", "")
    if (dataset_pk := whole_number(request, "dataset")) is None:
        return tree.answer(request, dataset_nodes(project, content=content))
    dataset = get_visible(project.datasets.all(), request.user, pk=dataset_pk)
    return tree.answer(request, data_nodes(dataset, content=content))
