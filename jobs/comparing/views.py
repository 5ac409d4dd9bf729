"""The page that shows trainings side by side."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dlmodeler_site.access import get_visible
from dlmodeler_site.lists import searched
from jobs.comparing.chosen import LEAST, MOST, chosen
from jobs.comparing.comparison import Comparison
from jobs.models import Job, Training
from jobs.views import job_frame
from jobs.watching.boards import tensorboard_url
from jobs.watching.curves import curves

MOST_CHOICES = 50
MOST_TICKED = 200
DIFFERENCES = "differences"  # the value of ?only= that leaves out what is the same


@login_required
@require_safe
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """The trainings of `?training=`: curves over each other, and below them what they were told and came to."""
    job = _job(request, pk)
    trainings = _trainings(request, job)
    context = job_frame(
        request,
        job,
        (_("Compare trainings"), None),
        is_enough=len(trainings) >= LEAST,
        curves=curves(trainings),
        tensorboard=tensorboard_url(trainings),
        **_choices(job, trainings, request),
        **_table(request, job, trainings),
    )
    return render(request, "jobs/compare.html", context)


@login_required
@require_safe
def compare_table(request: HttpRequest, pk: int) -> HttpResponse:
    """The table alone, for polling and for its switch (`?only=`), which the page's address follows."""
    job = _job(request, pk)
    table = _table(request, job, _trainings(request, job))
    answer = render(request, "jobs/_compare_table.html", table)
    if request.htmx.trigger_name == "only":  # type: ignore[attr-defined]
        answer["HX-Replace-Url"] = table["page_url"]
    return answer


@login_required
@require_safe
def compare_choices(request: HttpRequest, pk: int) -> HttpResponse:
    """The trainings that can be ticked: those that are, and what `?search=` finds beside them."""
    job = _job(request, pk)
    ticked = _trainings(request, job, most=MOST_TICKED)
    return render(request, "jobs/_compare_choices.html", _choices(job, ticked, request))


def _job(request: HttpRequest, pk: int) -> Job:
    job: Job = get_visible(Job.objects.select_related("project"), request.user, pk=pk)
    return job


def _trainings(request: HttpRequest, job: Job, *, most: int = MOST) -> list[Training]:
    given = request.GET.getlist("training")
    return chosen(request.user, given, parameter="training", most=most, job__project=job.project_id)


def _table(request: HttpRequest, job: Job, trainings: list[Training]) -> dict[str, Any]:
    only = request.GET.get("only") == DIFFERENCES
    comparison = Comparison.of(trainings, only_differences=only) if len(trainings) >= LEAST else None
    return {
        "comparison": comparison,
        "columns": [
            (training, _address("compare", job, (each for each in trainings if each != training), only=only))
            for training in trainings
        ],
        "page_url": _address("compare", job, trainings, only=only),
        "table_url": _address("compare-table", job, trainings, only=only),
        "whole_table_url": _address("compare-table", job, trainings, only=False),
    }


def _choices(job: Job, ticked: list[Training], request: HttpRequest) -> dict[str, Any]:
    rows = Training.objects.visible_to(request.user).filter(job__project=job.project_id).select_related("job")
    others = searched(rows.exclude(pk__in=[each.pk for each in ticked]), request, fields=("name", "job__name"))
    found = list(others[: MOST_CHOICES + 1])
    return {
        "ticked": ticked,
        "found": found[:MOST_CHOICES],
        "has_more": len(found) > MOST_CHOICES,
        "least_compared": LEAST,
        "most_compared": MOST,
    }


def _address(name: str, job: Job, trainings: Iterable[Training], *, only: bool) -> str:
    query = [("training", training.pk) for training in trainings] + [("only", DIFFERENCES)] * only
    return f"{reverse(f'jobs:{name}', args=[job.pk])}?{urlencode(query)}"
