"""The traffic page of a deployment."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from deployments.models import Deployment
from deployments.pages import deployment_frame
from deployments.traffic.series import DEFAULT_PERIOD, PERIODS, figures, logged_requests, series
from deployments.traffic.tables import LoggedRequestTable
from deployments.traffic.tally import total
from dlmodeler_site.access import get_visible
from dlmodeler_site.lists import paged

DEPLOYMENTS = Deployment.objects.select_related("project")


@login_required
@require_GET
def traffic(request: HttpRequest, pk: int) -> HttpResponse:
    """What it was asked and how it answered, over time and request by request."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    failed, search = request.GET.get("failed") == "1", request.GET.get("search", "")
    rows = logged_requests(deployment, failed=failed, request_id=search)
    context = deployment_frame(
        request,
        deployment,
        **_figures(request, deployment),
        periods={name: period.title for name, period in PERIODS.items()},
        table=paged(LoggedRequestTable(rows), request),
        failed=failed,
        is_searched=failed or bool(search),
        prediction_count=deployment.prediction_jobs.count(),
    )
    return render(request, "deployments/traffic.html", context)


@login_required
@require_GET
def figures_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """The figures of the period as they are now."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context = {"deployment": deployment, **_figures(request, deployment)}
    return render(request, "deployments/_traffic_figures.html", context)


def _figures(request: HttpRequest, deployment: Deployment) -> dict[str, object]:
    name = request.GET.get("period", DEFAULT_PERIOD)
    name = name if name in PERIODS else DEFAULT_PERIOD
    summed = total(step.tally for step in series(deployment, PERIODS[name]))
    share = 100 * summed.errors / summed.requests if summed.requests else None
    return {"period": name, "figures": figures(summed), "error_percent": share}
