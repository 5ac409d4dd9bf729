"""The traffic of a deployment: over a period in steps of equal length, and request by request."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from deployments.models import Deployment
from deployments.traffic.models import LoggedRequest, Span, Traffic
from deployments.traffic.tally import Tally

DEFAULT_PERIOD = "day"


@dataclass(frozen=True)
class Period:
    """The last `steps` spans, the one that lasts among them."""

    title: Any
    span: Span
    steps: int


PERIODS = {
    "hour": Period(_("Last hour"), Span.MINUTE, 60),
    "day": Period(_("Last 24 hours"), Span.TEN_MINUTES, 144),
    "week": Period(_("Last 7 days"), Span.HOUR, 168),
    "quarter": Period(_("Last 90 days"), Span.DAY, 90),
}


@dataclass(frozen=True)
class Step:
    begins_at: datetime
    tally: Tally


def series(deployment: Deployment, period: Period) -> list[Step]:
    """All steps up to now, those without a request too. One query."""
    last = period.span.begin(timezone.now().astimezone(UTC))
    begins = [last - timedelta(seconds=period.span * back) for back in reversed(range(period.steps))]
    rows = Traffic.objects.filter(deployment=deployment, span=period.span, begins_at__gte=begins[0])
    known = {row.begins_at: row.tally for row in rows}
    return [Step(begin, known.get(begin) or Tally()) for begin in begins]


def logged_requests(deployment: Deployment, *, failed: bool = False, request_id: str = "") -> QuerySet[LoggedRequest]:
    """The newest first; those that failed alone, or those whose id begins so."""
    rows = LoggedRequest.objects.filter(deployment=deployment).select_related("token")
    if failed:
        rows = rows.filter(status__gte=400)
    return rows.filter(request_id__startswith=request_id.strip()) if request_id.strip() else rows


def figures(tally: Tally) -> dict[str, Any]:
    """What is told of a tally; a time is None where nothing was asked."""
    return {
        "requests": tally.requests,
        "errors": tally.errors,
        "statuses": dict(sorted(tally.statuses.items())),
        "samples": tally.samples,
        "p50_ms": _rounded(tally.latency.percentile(0.5)),
        "p95_ms": _rounded(tally.latency.percentile(0.95)),
        "p99_ms": _rounded(tally.latency.percentile(0.99)),
        "queue_p95_ms": _rounded(tally.queue.percentile(0.95)),
        "samples_per_request": _rounded(tally.samples / tally.answered) if tally.answered else None,
        "classes": dict(tally.classes.most_common()),
        "confidence": _rounded(tally.mean_confidence, 4),
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
