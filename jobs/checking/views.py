"""The check of a job's data on its page, and the buttons that mend what it finds."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.work.models import ACTIVE
from jobs.checking import fixes, preflight
from jobs.checking.findings import Adjustment, Finding
from jobs.models import Job

SHOWN = 20  # places of a finding on the page


@login_required
@require_safe
def job_check(request: HttpRequest, pk: int) -> HttpResponse:
    """What the check of the job's data finds; how far the data is while it is in the making."""
    job = get_visible(Job.objects.select_related("project"), request.user, pk=pk)
    if making := [data for data in preflight.unfinished_data(job) if data.status in ACTIVE]:
        return render(request, "jobs/_check_waiting.html", {"job": job, "making": making})
    examination = preflight.examine_job(job)
    classes = [
        {"label": label, "name": job.class_names.get(label, ""), "count": count}
        for label, count in examination.class_counts.items()
    ]
    findings = [_shown(job, finding) for finding in preflight.findings_of(examination, examination.suggested)]
    context = {
        "job": job,
        "findings": findings,
        "errors": len(examination.errors),
        "classes": classes,
        "samples": examination.samples,
        "columns": examination.columns,
        "can_edit": Job.objects.editable_by(request.user).filter(pk=job.pk).exists(),
    }
    return render(request, "jobs/_check.html", context)


@login_required
@require_POST
def job_fix(request: HttpRequest, pk: int) -> HttpResponse:
    """Do what a finding offers."""
    job = get_editable(Job.objects.select_related("project"), request.user, pk=pk)
    fixed = fixes.apply_fix(job, request.user, request.POST.get("code", ""))  # type: ignore[arg-type]
    if fixed.data is None:
        return redirect(_training_page(job, fixed.hyperparameters))
    messages.success(request, _("“%(name)s” is being made; the job reads it from now on.") % {"name": fixed.data.name})
    return redirect(job)


def _shown(job: Job, finding: Finding) -> dict[str, Any]:
    places = finding.places[:SHOWN]
    action = finding.fix_action
    return {
        "finding": finding,
        "kind": "danger" if finding.severity == "error" else finding.severity,
        "places": places,
        "more": finding.count - len(places),
        "action": action,
        "page": _training_page(job, action.values) if isinstance(action, Adjustment) else "",
    }


def _training_page(job: Job, hyperparameters: dict[str, Any]) -> str:
    """The form of a new training, with these hyperparameters filled in."""
    return f"{reverse('jobs:training-create', args=[job.pk])}?{urlencode(hyperparameters)}"
