"""Downloading a model: at once, or after the page on which it is being made."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from dlmodeler_site.access import get_visible
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason
from jobs.downloading.downloads import asked_for, format_of
from jobs.models import Download, Training
from jobs.views import job_frame


@login_required
@require_GET
def model(request: HttpRequest, pk: int, name: str) -> HttpResponse | FileResponse:
    """The model in a format: its file, or the page that waits until it is made."""
    training = get_visible(Training.objects.select_related("job__project"), request.user, pk=pk)
    wanted = format_of(name)
    if not wanted.is_made:
        return redirect(_address(training, name))
    download = asked_for(training, wanted)
    if download.status == Status.COMPLETED:
        return redirect(_address(training, name))
    context = job_frame(
        request,
        training.job,
        (training.name, training.get_absolute_url()),
        (_("Download"), None),
        **_state(download),
    )
    return render(request, "jobs/model_download.html", context)


@login_required
@require_GET
def download_status(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; the file is sent as soon as it is made."""
    downloads = Download.objects.select_related("training__job__project")
    download = get_visible(downloads, request.user, pk=pk)
    answer = render(request, "jobs/_model_download.html", _state(download))
    if download.status == Status.COMPLETED:
        answer["HX-Redirect"] = _address(download.training, download.format)
    return answer


def _state(download: Download) -> dict[str, Any]:
    training = download.training
    return {
        "training": training,
        "download": download,
        "format": format_of(download.format),
        "address": _address(training, download.format),
        "waiting_for": waiting_reason(download),
    }


def _address(training: Training, name: str) -> str:
    return f"{reverse('api-training-model', args=[training.pk])}?format={name}"
