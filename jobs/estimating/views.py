"""What a training of the form would take, beside it."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.work.queue import waiting_reason
from jobs.definition import algorithm
from jobs.durations import duration
from jobs.estimating.estimates import request_estimate
from jobs.forms import InstanceForm, TrainingForm
from jobs.models import Estimate, Job
from jobs.submit import complete_hyperparameters
from jobs.watching.curves import phase_title

BUTTON = "-estimate"  # the end of the name of a column's button; what is before is the prefix of its fields


@login_required
@require_POST
def job_estimate(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin to measure what the training of a column would take."""
    job = get_editable(Job.objects.select_related("project"), request.user, pk=pk)
    prefix = next((name.removesuffix(BUTTON) for name in request.POST if name.endswith(BUTTON)), "form-0")
    instance, column = (
        InstanceForm(request.POST),
        TrainingForm(request.POST, prefix=prefix, manifest=algorithm(job.algorithm)),
    )
    context: dict[str, Any] = {}
    try:
        if not (instance.is_valid() and column.is_valid()):
            sentences = [str(each) for form in (instance, column) for errors in form.errors.values() for each in errors]
            raise UserError(" ".join(sentences), reason="invalid")
        complete = complete_hyperparameters(job, column.request().hyperparameters)
        context |= _told(request_estimate(request.user, job, instance.instance(), complete))  # type: ignore[arg-type]
    except UserError as error:
        context["error"] = error.message
    return render(request, "jobs/_estimate.html", context)


@login_required
@require_safe
def estimate_status(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the measuring is, for polling."""
    estimate = get_visible(Estimate.objects.select_related("job"), request.user, pk=pk)
    return render(request, "jobs/_estimate.html", _told(estimate))


def _told(estimate: Estimate) -> dict[str, Any]:
    parts = estimate.details.get("parts", {})
    return {
        "estimate": estimate,
        "time": duration(estimate.seconds),
        "waiting_reason": waiting_reason(estimate),
        "parts": [(phase_title(name), duration(value)) for name, value in parts.items()],
        "stops_early": bool(estimate.hyperparameters.get("early_stopping")),
    }
