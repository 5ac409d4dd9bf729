"""What the serving process answers where no view does: errors as the API has them, never a page."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

from dlmodeler_site.errors import UserError
from dlmodeler_site.middleware import current_request_id


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(UserError(_("The request has an address or headers that are not valid."), reason="bad_request"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    message = _("There is no %(path)s. A deployment answers POST <address>/predict and GET <address>/metadata.")
    return _answer(UserError(message % {"path": request.path}, reason="not_found", status=404))


def server_error(request: HttpRequest) -> HttpResponse:
    reference = current_request_id()
    message = _("Something went wrong on our side. Reference: %(reference)s") % {"reference": reference}
    return _answer(UserError(message, reason="internal", status=500, details={"reference": reference}))


def _answer(error: UserError) -> HttpResponse:
    return JsonResponse(error.body(), status=error.status, json_dumps_params={"ensure_ascii": False})
