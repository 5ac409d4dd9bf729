"""The trash of a project: its datasets and data that can be restored, and what a deletion would take with it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets import trash
from datasets.models import Data, Dataset, disk_bytes
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.lists import paged
from dlmodeler_site.registry import Dependant
from dlmodeler_site.tables import TrashTable
from dlmodeler_site.trash import trash_days
from dlmodeler_site.work.models import ACTIVE
from projects.models import Project
from projects.pages import frame


@login_required
@require_safe
def project_trash(request: HttpRequest, project_pk: int) -> HttpResponse:
    """What of the project can be restored."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    context = frame(request, project, "data", (_("Trash"), None), days=trash_days())
    table = paged(TrashTable(trash.entries([project]), can_edit=context["can_edit"]), request)
    return render(request, "datasets/trash.html", context | {"table": table})


@login_required
@require_POST
def project_trash_empty(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Delete everything in the project's trash for ever."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    trash.empty(project)
    messages.success(request, _("The trash was emptied."))
    return redirect("datasets:trash", project.pk)


@login_required
@require_POST
def dataset_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a dataset out of the trash."""
    dataset = get_editable(trash.trashed_datasets(), request.user, pk=pk)
    trash.restore_dataset(dataset)
    messages.success(request, _("“%(name)s” was restored.") % {"name": dataset.name})
    return redirect("datasets:trash", dataset.project_id)


@login_required
@require_POST
def dataset_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a dataset in the trash for ever."""
    dataset = get_editable(trash.trashed_datasets(), request.user, pk=pk)
    trash.end_dataset(dataset)
    messages.success(request, _("“%(name)s” is being deleted for ever.") % {"name": dataset.name})
    return redirect("datasets:trash", dataset.project_id)


@login_required
@require_POST
def data_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a data out of the trash."""
    data = get_editable(trash.trashed_data(), request.user, pk=pk)
    trash.restore_data(data)
    messages.success(request, _("“%(name)s” was restored.") % {"name": data.name})
    return redirect("datasets:trash", data.dataset.project_id)


@login_required
@require_POST
def data_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a data in the trash for ever."""
    data = get_editable(trash.trashed_data(), request.user, pk=pk)
    trash.end_data(data)
    messages.success(request, _("“%(name)s” is being deleted for ever.") % {"name": data.name})
    return redirect("datasets:trash", data.dataset.project_id)


# -- Before a deletion ---------------------------------------------------------------------------


@login_required
@require_safe
def dataset_delete_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What goes along with the dataset, as a fragment."""
    dataset = get_visible(Dataset.objects.all(), request.user, pk=pk)
    numbers = dataset.data.aggregate(
        data=Count("pk"),
        files=Sum("file_count"),
        size=Sum("size_bytes"),
        shared=Sum("shared_bytes"),
        bytes=Sum(disk_bytes()),
    )
    return _preview(request, dataset.data.all(), trash.uses_of_dataset(dataset), **numbers)


@login_required
@require_safe
def data_delete_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What goes along with the data, as a fragment."""
    data = get_visible(Data.objects.for_lists().select_related("parent"), request.user, pk=pk)
    numbers = {"files": data.file_count, "size": data.size_bytes, "bytes": data.disk_bytes, "shared": data.shared_bytes}
    if data.parent is not None:
        numbers["shared_with"] = data.parent.name
    return _preview(request, Data.objects.filter(pk=pk), trash.uses_of(data), **numbers)


def _preview(request: HttpRequest, versions: Any, used_by: list[Dependant], **numbers: Any) -> HttpResponse:
    running = versions.filter(status__in=ACTIVE).values_list("name", flat=True)
    in_the_way = [Dependant(_("data in work"), name) for name in running] + used_by
    names = list(dict.fromkeys(map(str, in_the_way)))
    return render(request, "datasets/_delete_preview.html", {"used_by": names, "days": trash_days()} | numbers)
