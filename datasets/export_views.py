"""The pages of exports to object storages."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets.connections import connections_for, usable_connection
from datasets.dataset_views import dataset_frame
from datasets.exports import export_data, resume_export, stop_export
from datasets.import_forms import ExportForm
from datasets.models import LARGE_OF_DATA, Data, Export
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.forms import errors_on
from dlmodeler_site.work.queue import waiting_reason
from projects.models import Project

_exports = Export.objects.select_related("data__dataset__project", "connection", "creator").defer(*LARGE_OF_DATA)


@login_required
def data_export(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose where the data's files are copied to."""
    data = get_editable(Data.objects.select_related("dataset__project"), request.user, pk=pk)
    form = ExportForm(request.POST or None, initial={"folder": data.slug})
    if form.is_valid():
        with errors_on(form):
            connection_pk, prefix = form.target()
            connection = usable_connection(request.user, connection_pk, project=data.project)
            export = export_data(data, request.user, connection=connection, prefix=prefix)  # type: ignore[arg-type]
            return redirect("datasets:export", export.pk)
    context = {
        "form": form,
        "connections": connections_for(data.project),
        "is_owner": Project.objects.owned_by(request.user).filter(pk=data.project.pk).exists(),
    }
    return render(request, "datasets/export_create.html", _frame(request, data, (_("Export"), None), **context))


@login_required
@require_safe
def export_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """An export: how far it is, and what was not taken."""
    export = get_visible(_exports, request.user, pk=pk)
    return render(request, "datasets/export.html", _state(request, export))


@login_required
@require_safe
def export_status(request: HttpRequest, pk: int) -> HttpResponse:
    """The state as a fragment."""
    export = get_visible(_exports, request.user, pk=pk)
    return render(request, "datasets/_export_status.html", _state(request, export))


@login_required
@require_POST
def export_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the export."""
    export = get_editable(_exports, request.user, pk=pk)
    stop_export(export)
    messages.info(request, _("The export is being stopped."))
    return redirect("datasets:export", export.pk)


@login_required
@require_POST
def export_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on with what is missing."""
    export = get_editable(_exports, request.user, pk=pk)
    resume_export(export)
    return redirect("datasets:export", export.pk)


def _state(request: HttpRequest, export: Export) -> dict[str, Any]:
    return _frame(request, export.data, (_("Export"), None), export=export, waiting=waiting_reason(export))


def _frame(request: HttpRequest, data: Data, crumb: tuple[str, str | None], **values: Any) -> dict[str, Any]:
    here = (data.name, reverse("datasets:data", args=[data.pk]))
    return dataset_frame(request, data.dataset, here, crumb, data=data, **values)
