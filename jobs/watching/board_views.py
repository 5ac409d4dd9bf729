"""TensorBoard behind the site's login."""

from collections.abc import Sequence
from string import punctuation
from typing import Any
from urllib.parse import quote, urlsplit

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dlmodeler_site.errors import UserError
from jobs.boards.process import BoardEnded
from jobs.models import EpochMetrics, Training
from jobs.watching.boards import MOST_TRAININGS, NotReady, NotStarted, boards

PAGE_PATIENCE_S = 2  # then the browser is told, and asks again
MAX_BODY_BYTES = 1024 * 1024
ASKED = ("Accept-Encoding", "Content-Type")  # SECURITY: no cookie and no token of the user's is passed on.
ANSWERED = ("Content-Type", "Content-Encoding", "Cache-Control")


@csrf_exempt  # SECURITY: TensorBoard's POSTs only read; where they come from is looked at below.
@login_required
@require_http_methods(["GET", "POST"])
def tensorboard(request: HttpRequest, ids: str, path: str = "") -> HttpResponse:
    """TensorBoard over the trainings with these ids (`12-15`). Each request asks anew what the user may see."""
    trainings = _trainings(request, ids)
    _require_own_page(request)
    if not path and not EpochMetrics.objects.filter(training__in=trainings).exists():
        ended = all(training.is_final for training in trainings)
        return _page(request, trainings, waits_for="" if ended else "epoch")
    try:
        answer = boards.ask(
            trainings,
            _address(request, path),
            method=str(request.method),
            body=_body(request),
            headers={name: request.headers[name] for name in ASKED if name in request.headers},
            **({} if path else {"patience_s": PAGE_PATIENCE_S}),
        )
    except NotReady:
        return _page(request, trainings, waits_for="start", status=503 if path else 202)
    except NotStarted as error:
        failure = _("TensorBoard could not be started: %(cause)s") % {"cause": error}
        return _page(request, trainings, failure=failure, status=503)
    except BoardEnded:
        failure = _("It did not answer and was ended. The next try starts it anew.")
        return _page(request, trainings, failure=failure, status=503)
    if 300 <= answer.status < 400:  # Its redirects lead to where it would be without the site around it.
        raise Http404
    response = HttpResponse(answer.body, status=answer.status)
    for name in ANSWERED:
        if name in answer.headers:
            response[name] = answer.headers[name]
    response["Content-Security-Policy"] = _policy(request, ids)
    return response


def _address(request: HttpRequest, path: str) -> str:
    """Path and query as one line of HTTP takes them, whatever the client wrote."""
    query = quote(request.META.get("QUERY_STRING", ""), safe=punctuation, encoding="latin-1")
    return f"{quote(path)}?{query}" if query else quote(path)


def _trainings(request: HttpRequest, ids: str) -> Sequence[Training]:
    """One query: they are all there and the user may see them, or 404."""
    pks = [int(each) if each.isdecimal() and len(each) < 19 else 0 for each in ids.split("-")]
    if len(pks) > MOST_TRAININGS:
        raise UserError(
            _("TensorBoard shows at most %(most)s trainings at a time; received %(received)s. Choose fewer.")
            % {"most": MOST_TRAININGS, "received": len(pks)},
            reason="too_many_trainings",
        )
    found = Training.objects.visible_to(request.user).select_related("job").in_bulk(pks)
    if set(found) != set(pks):
        raise Http404
    return [found[pk] for pk in dict.fromkeys(pks)]


def _require_own_page(request: HttpRequest) -> None:
    """Refuse a POST that another site's page sends."""
    origin = request.headers.get("Origin")
    if request.method == "POST" and origin and urlsplit(origin).netloc != request.get_host():
        raise PermissionDenied(_("This request comes from a page of another site."))


def _body(request: HttpRequest) -> bytes:
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        raise UserError(
            _("A request to TensorBoard takes at most %(most)s bytes.") % {"most": MAX_BODY_BYTES},
            reason="too_large",
            status=413,
        )
    return request.body


def _policy(request: HttpRequest, ids: str) -> str:
    """What TensorBoard's pages may do: style themselves and evaluate code as they need to, and ask for nothing else.

    SECURITY: they may talk to their own address only, not to the site's other pages or API in the user's name.
    """
    own = request.build_absolute_uri(f"/tensorboard/{ids}/")
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src {own}",
            f"worker-src {own}",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _page(request: HttpRequest, trainings: Sequence[Training], *, status: int = 200, **values: Any) -> HttpResponse:
    """What is waited for, which looks again by itself, or why there is nothing to see."""
    response = render(request, "jobs/tensorboard.html", {"trainings": trainings, **values}, status=status)
    if values.get("waits_for"):
        response["Refresh"] = "2"
    response["Cache-Control"] = "no-store"
    return response
