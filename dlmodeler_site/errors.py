"""User errors, and what pages and API answer for them and for everything else."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from dlmodeler_site.middleware import current_request_id

log = logging.getLogger(__name__)


class UserError(Exception):
    """The user can mend it: says what was wrong, what was expected, what was received and what to do.

    `field` names the form field or JSON key that is at fault, where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int = 400,
        field: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(str(message))
        # A sentence stays one (str() would leave only its text), a lazy text becomes one of this request's language.
        self.message = message if isinstance(message, str) else str(message)
        self.reason = reason
        self.status = status
        self.field = field
        self.details = details or {}

    def body(self) -> dict[str, Any]:
        details = {**self.details, "field": self.field} if self.field else self.details
        return {"error": self.message, "reason": self.reason, "details": details}


class Conflict(UserError):
    """The object's state does not allow it (409)."""

    def __init__(self, message: str, *, reason: str = "conflict", **kwargs: Any) -> None:
        super().__init__(message, reason=reason, status=409, **kwargs)


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Every error of the API as `{"error", "reason", "details"}`."""
    set_rollback()
    if isinstance(error, UserError):
        return Response(error.body(), status=error.status)
    if isinstance(error, Http404):
        return _answer(_("There is no such object, or you may not see it."), "not_found", 404)
    if isinstance(error, PermissionDenied):
        return _answer(str(error) or _("You may see this, but not change it."), "forbidden", 403)
    if isinstance(error, exceptions.ValidationError):
        return _answer(_sentence(error.detail), "invalid", 400, {"fields": error.detail})
    if isinstance(error, exceptions.APIException):
        headers = {}
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(int(wait) + 1)
        if authenticate := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = authenticate
        code = error.get_codes()
        return _answer(str(error.detail), code if isinstance(code, str) else "invalid", error.status_code, {}, headers)
    log.exception("unexpected error in %s", context.get("view"))
    return _answer(
        _("Something went wrong on our side. Reference: %(reference)s") % {"reference": current_request_id()},
        "internal",
        500,
        {"reference": current_request_id()},
    )


def _answer(
    message: str, reason: str, status: int, details: Any = None, headers: dict[str, str] | None = None
) -> Response:
    return Response({"error": message, "reason": reason, "details": details or {}}, status=status, headers=headers)


def _sentence(detail: Any, prefix: str = "") -> str:
    """A validation error's nested detail as one readable line."""
    if isinstance(detail, dict):
        return " ".join(
            _sentence(value, "" if key == "non_field_errors" else f"{key}: ") for key, value in detail.items()
        )
    if isinstance(detail, list):
        return " ".join(_sentence(value, prefix) for value in detail if value)
    return f"{prefix}{detail}"
