"""Whether the site lives and is ready, and its metrics."""

import http.client
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.utils.translation import gettext as _
from django_prometheus.exports import ExportToDjangoView
from rest_framework.authentication import TokenAuthentication

from dlmodeler_site.compute.base import gpu_count
from dlmodeler_site.storage import workspace

KEEPER_BEAT = "keeper-beat"


def live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 only when everything that a user needs is ready; which part is not, otherwise."""
    checks: dict[str, Callable[[], bool]] = {
        "database": _database,
        "workspace": _workspace,
        "queues": _queues,
        "keeper": lambda: cache.get(KEEPER_BEAT) is not None,
        "serving": _serving,
        "operator": lambda: get_user_model().objects.filter(is_superuser=True, is_active=True).exists(),
    }
    states = {name: _holds(check) for name, check in checks.items()}
    return JsonResponse({"ready": all(states.values()), "checks": states}, status=200 if all(states.values()) else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics, for operators' tokens and sessions or an allowed address."""
    user: Any = request.user
    if not user.is_authenticated and request.headers.get("Authorization"):
        try:
            user = (TokenAuthentication().authenticate(request) or (user,))[0]  # type: ignore[arg-type]
        except Exception:
            return HttpResponseForbidden(_("The token is not valid."))
    if not user.is_superuser and request.META["REMOTE_ADDR"] not in settings.DLM_METRICS_ADDRESSES:
        return HttpResponseForbidden(
            _("Metrics are for operators and for the addresses in %(setting)s.") % {"setting": "DLM_METRICS_ADDRESSES"}
        )
    answer: HttpResponse = ExportToDjangoView(request)
    return answer


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _workspace() -> bool:
    workspace().check(writing=False)  # logs why not
    return True


def _queues() -> bool:
    """Every queue that this machine should have has a living cluster."""
    from django_q.status import Stat

    return len(Stat.get_all()) >= (3 if gpu_count() else 2)


def _serving() -> bool:
    host = "127.0.0.1" if settings.DLM_BIND == "0.0.0.0" else settings.DLM_BIND
    target = http.client.HTTPConnection(host, settings.DLM_SERVING_PORT, timeout=2)
    try:
        target.request("GET", "/health/live/")
        return target.getresponse().status == 200
    finally:
        target.close()
