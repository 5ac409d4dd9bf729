"""The pages of one data: its files, its state, its lineage."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets import versions
from datasets.dataset_views import dataset_frame, upload_target
from datasets.download import download_answer
from datasets.forms import DataForm
from datasets.lineage import drawn, lineage_of
from datasets.models import LARGE, Data, Dataset, File
from datasets.previews import first_rows
from datasets.profile import profile
from datasets.samples import random_files
from datasets.steps import effects_of, left_out
from datasets.trash import delete_data
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason

SAMPLE_FILES = 12
_BARS = 50

_data = Data.objects.select_related("dataset__project", "creator", "parent__dataset__project", "connection").defer(
    "profile", "steps", *(f"parent__{name}" for name in LARGE)
)


@login_required
def data_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a raw data to a dataset; the page then uploads the files into it."""
    dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=pk)
    form = DataForm(request.POST or None, initial=request.GET)
    if request.method == "POST":
        if not form.is_valid():
            return JsonResponse({"errors": form.errors}, status=400)
        name, description = form.cleaned_data["name"], form.cleaned_data["description"]
        return upload_target(
            versions.create_raw_data(dataset, request.user, name=name, description=description)  # type: ignore[arg-type]
        )
    return render(
        request, "datasets/data_create.html", dataset_frame(request, dataset, (_("Add data"), None), form=form)
    )


@login_required
@require_safe
def data_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A data at a glance: state, sample, facts, lineage."""
    data = get_visible(_data, request.user, pk=pk)
    context = dataset_frame(request, data.dataset, (data.name, None), **_state(data))
    if data.status == Status.UPLOADING:
        context["is_labelled"] = data.files.filter(~Q(label="") | Q(labelled_by_folder=True)).exists()
    if data.status == Status.COMPLETED:
        context |= _sample(data) | {"has_labels": data.files.exclude(label="").exists()}
    context |= {"left_out": left_out(data), "effects": effects_of(data)}
    context["exports"] = data.exports.select_related("connection")[:10]
    lineage = lineage_of(data, request.user)
    context |= drawn([lineage.tree()], is_cut=lineage.is_cut)
    return render(request, "datasets/data.html", context)


def data_frame(request: HttpRequest, data: Data, title: str, **values: Any) -> dict[str, Any]:
    """The frame of a page below the data's own."""
    here = (data.name, reverse("datasets:data", args=[data.pk]))
    return dataset_frame(request, data.dataset, here, (title, None), **_state(data), **values)


def _counts(data: Data) -> dict[str, int]:
    """How many files are in each state."""
    if data.status == Status.COMPLETED:  # counted once and for all
        return {File.State.OK: data.file_count, File.State.REJECTED: data.rejected_count}
    return dict(data.files.order_by().values_list("state").annotate(Count("pk")))


def _state(data: Data) -> dict[str, Any]:
    uploaded = {}
    if data.status == Status.UPLOADING:
        counted = _counts(data)
        uploaded = {"taken": counted.get(File.State.PENDING, 0), "refused": counted.get(File.State.REJECTED, 0)}
    can_retry = data.status in (Status.FAILED, Status.CANCELLED) and data.is_to_inspect
    is_listing = data.status == Status.RUNNING and bool(data.source_keys) and not data.is_listed
    listed = data.files.count() if is_listing else 0
    return {
        "data": data,
        "waiting": waiting_reason(data),
        "uploaded": uploaded,
        "can_retry": can_retry,
        "listed": listed,
    }


@login_required
@require_safe
def data_status(request: HttpRequest, pk: int) -> HttpResponse:
    """The state as a fragment; at the end it has the page loaded anew."""
    data = get_visible(_data, request.user, pk=pk)
    answer = render(request, "datasets/_status.html", dataset_frame(request, data.dataset, **_state(data)))
    if data.is_final:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_safe
def data_status_cell(request: HttpRequest, pk: int) -> HttpResponse:
    """The status alone, for lists."""
    data = get_visible(Data.objects.all(), request.user, pk=pk)
    return render(request, "datasets/_status_cell.html", {"pk": data.pk, "status": data.status})


@login_required
@require_safe
def data_sample(request: HttpRequest, pk: int) -> HttpResponse:
    """Other random files of the data."""
    data = get_visible(_data, request.user, pk=pk)
    return render(request, "datasets/_sample.html", {"data": data} | _sample(data))


def _sample(data: Data) -> dict[str, Any]:
    files = random_files(data, SAMPLE_FILES)
    tables = [file for file in files if file.content == Data.Content.TABLE]
    rows = first_rows(data, tables[0]) if tables else []
    return {
        "sample": [file for file in files if file not in tables[:1]],
        "table_file": tables[0] if tables else None,
        "rows": rows,
    }


@login_required
@require_safe
def data_balance(request: HttpRequest, pk: int) -> HttpResponse:
    """How many files each label has, for the chart."""
    labels = profile(get_visible(Data.objects.all(), request.user, pk=pk))["labels"][:_BARS]
    return JsonResponse({"labels": [each["label"] for each in labels], "values": [each["count"] for each in labels]})


@login_required
@require_safe
def data_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The data's files as a zip."""
    return download_answer(get_visible(_data, request.user, pk=pk), request)


@login_required
@require_POST
def data_upload(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on with an upload that was left unfinished."""
    return upload_target(get_editable(Data.objects.all(), request.user, pk=pk), resumes=True)


@login_required
@require_POST
def data_commit(request: HttpRequest, pk: int) -> HttpResponse:
    """Finish the upload, or inspect again what was stopped."""
    data = get_editable(_data, request.user, pk=pk)
    versions.commit_data(data)
    return redirect("datasets:data", data.pk)


@login_required
@require_POST
def data_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the inspection or preprocessing."""
    data = get_editable(_data, request.user, pk=pk)
    versions.stop_data(data)
    messages.info(request, _("“%(name)s” is being stopped.") % {"name": data.name})
    return redirect("datasets:data", data.pk)


@login_required
@require_POST
def data_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Move a data to the trash."""
    data = get_editable(_data, request.user, pk=pk)
    delete_data(data)
    messages.success(request, _("“%(name)s” was moved to the trash.") % {"name": data.name})
    return redirect("datasets:dataset", data.dataset_id)
