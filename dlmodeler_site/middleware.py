"""Small function middlewares: a request id for log and answer, and user errors as pages."""

import logging
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
Handler = Callable[[HttpRequest], HttpResponse]


def current_request_id() -> str:
    return _request_id.get()


class RequestIdFilter(logging.Filter):
    """Puts the request's id on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        return True


def request_id(get_response: Handler) -> Handler:
    """Give each request an id, found in the log and in the header `X-Request-Id`."""

    def middleware(request: HttpRequest) -> HttpResponse:
        token = _request_id.set(uuid.uuid4().hex[:12])
        try:
            response = get_response(request)
            response["X-Request-Id"] = _request_id.get()
            return response
        finally:
            _request_id.reset(token)

    return middleware


class user_errors:  # noqa: N801 - named as the function middlewares beside it
    """Show a `UserError` that a page did not handle: a toast on the page the user came from, else a page of its own."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        from dlmodeler_site.errors import UserError

        if not isinstance(error, UserError):
            return None
        if request.headers.get("accept", "").startswith("application/json"):
            return JsonResponse(error.body(), status=error.status)
        referer = request.headers.get("referer", "")
        if request.method == "POST" and referer.startswith(f"{request.scheme}://{request.get_host()}/"):
            messages.error(request, error.message)
            return redirect(referer)
        context = {"message": error.message, "reason": error.reason, "code": error.status}
        return render(request, "400.html", context, status=error.status)
