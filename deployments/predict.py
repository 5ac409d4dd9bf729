"""The prediction API of deployments (API.md, "Predict"). It runs in the serving process, on the hot path."""

import json
from typing import Any

from django.core.exceptions import TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from deployments.authentication import Opened, opened_by
from deployments.client import ModelServerError
from deployments.models import Deployment
from deployments.modelserver.protocol import JSON_TYPE, MAX_BODY_BYTES, MAX_IMAGE_BYTES, MAX_IMAGES
from deployments.sockets import client_of
from dlmodeler_site.errors import UserError

FIELD = "input"
MULTIPART_TYPE = "multipart/form-data"
MULTIPART_OVERHEAD_BYTES = 256 * 1024
RETRY_SOON_S, RETRY_LATER_S = 2, 30


class Refusal(UserError):
    """A request that is not let in, with the headers that its answer carries."""

    def __init__(self, message: str, *, headers: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.headers = headers or {}


class DeploymentView(APIView):
    """What the addresses of a deployment share: a token opens them, never a session; errors are JSON."""

    authentication_classes = ()
    permission_classes = (AllowAny,)  # `initial` checks the token
    metadata_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        deployment = opened_by(kwargs["pk"], _token_of(request._request))
        if deployment is None:
            raise Refusal(
                _(
                    "The token is missing or does not open this deployment. Send it in the header “token: <token>” or "
                    "“Authorization: Bearer <token>”; it is on the deployment's page."
                ),
                reason="unauthorized",
                status=401,
                headers={"WWW-Authenticate": 'Bearer realm="deployment"'},
            )
        self.deployment = deployment

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        if isinstance(exc, ModelServerError):
            headers = {} if exc.retry_after is None else {"Retry-After": str(exc.retry_after)}
            return _json(
                {"error": exc.message, "reason": exc.reason, "details": exc.details}, status=exc.status, headers=headers
            )
        if isinstance(exc, Refusal):
            return _json(exc.body(), status=exc.status, headers=exc.headers)
        return super().handle_exception(exc)


class PredictView(DeploymentView):
    """`POST /d/<id>/predict`: a multipart field `input`, a raw image, or JSON instances."""

    http_method_names = ["post"]
    accepts_images = True

    def post(self, request: Request, pk: int) -> HttpResponse:
        plain = request._request
        top_k = _top_k(plain)
        if plain.GET.get("explain", "0") not in ("0", "false"):
            raise Refusal(
                _("Explanations are not available for this deployment. Send the request without “explain”."),
                reason="explain_unavailable",
                status=501,
            )
        _require_active(self.deployment)
        content_type = plain.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        client = client_of(pk)
        if content_type == JSON_TYPE:
            answer = client.predict_json(_body(plain, MAX_BODY_BYTES), top_k)
        elif not self.accepts_images:
            raise _unsupported(content_type, _('a body of application/json, {"instances": [...]}'))
        elif content_type == MULTIPART_TYPE:
            answer = client.predict(_uploads(plain), top_k)
        elif content_type.startswith("image/") or content_type == "application/octet-stream":
            answer = client.predict([_body(plain, MAX_IMAGE_BYTES)], top_k)
        else:
            expected = _("multipart/form-data with a field “input”, an image with Content-Type image/*, or JSON")
            raise _unsupported(content_type, expected)
        if _wants_json(plain, content_type):
            return _json({"predictions": answer["predictions"], "model": self.deployment.model})
        labels = ", ".join(str(prediction["label"]) for prediction in answer["predictions"])
        return HttpResponse(f"[{labels}]", content_type="text/plain; charset=utf-8")


class InstancesView(PredictView):
    """`POST /d/<id>:predict`, as TensorFlow Serving takes it: `{"instances": [...]}`."""

    accepts_images = False


class MetadataView(DeploymentView):
    """`GET /d/<id>/metadata`: the model, its version, input and labels."""

    http_method_names = ["get"]

    def get(self, request: Request, pk: int) -> HttpResponse:
        _require_active(self.deployment)
        metadata = client_of(pk).metadata()
        return _json({**metadata, "model": {**metadata["model"], **self.deployment.model}})


def _token_of(request: HttpRequest) -> str:
    if token := request.META.get("HTTP_TOKEN", ""):
        return str(token).strip()
    scheme, _space, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _require_active(deployment: Opened) -> None:
    """Raises Refusal (503 with Retry-After) for a deployment that cannot answer now."""
    status = deployment.status
    if deployment.wanted == Deployment.Wanted.RUNNING and status == Deployment.Status.ACTIVE:
        return
    retry_s = RETRY_LATER_S
    if deployment.wanted == Deployment.Wanted.STOPPED:
        reason, message = "stopped", _("The deployment is stopped. Start it on its page, then send the request again.")
    elif status == Deployment.Status.FAILED:
        reason, message = "failed", _("The deployment has failed. Its page says why; start it again there.")
    else:
        retry_s = RETRY_SOON_S
        reason, message = "starting", _("The deployment is starting. Send the request again in a moment.")
    raise Refusal(message, reason=reason, status=503, headers={"Retry-After": str(retry_s)})


def _top_k(request: HttpRequest) -> int | None:
    text = request.GET.get("top_k")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(
            _("top_k must be a whole number from 1 on; received “%(received)s”.") % {"received": text[:100]},
            reason="invalid_top_k",
        )
    return int(text)


def _wants_json(request: HttpRequest, content_type: str) -> bool:
    match request.GET.get("format"):
        case "json":
            return True
        case "text":
            return False
        case None:
            return content_type == JSON_TYPE or "application/json" in request.META.get("HTTP_ACCEPT", "")
        case other:
            raise Refusal(
                _("format must be json or text; received “%(received)s”.") % {"received": other[:100]},
                reason="invalid_format",
            )


def _body(request: HttpRequest, maximum_bytes: int) -> bytes:
    _check_length(request, maximum_bytes)
    return request.read()


def _uploads(request: HttpRequest) -> list[bytes]:
    """The images of the multipart field `input`, in order."""
    _check_length(request, MAX_BODY_BYTES + MULTIPART_OVERHEAD_BYTES)
    try:
        files = request.FILES.getlist(FIELD)
        names = sorted({*request.FILES, *request.POST})
    except MultiPartParserError as error:
        raise Refusal(
            _("The body is not sound multipart/form-data: %(error)s") % {"error": error}, reason="malformed_body"
        ) from None
    except TooManyFilesSent:
        raise Refusal(
            _("At most %(maximum)s images are taken in one request. Send them in several requests.")
            % {"maximum": MAX_IMAGES},
            reason="too_many_images",
            status=413,
        ) from None
    if not files:
        if FIELD in request.POST:
            message = _("The field “input” holds text; a file was expected. With curl, put @ before the file's path.")
        else:
            message = _("The request has no file in the field “input”; received the fields: %(names)s.") % {
                "names": ", ".join(names)[:200] or _("none")
            }
        raise Refusal(message, reason="no_image")
    for index, file in enumerate(files):
        if (size := file.size or 0) > MAX_IMAGE_BYTES:
            raise _too_large(size, MAX_IMAGE_BYTES, details={"index": index})
    return [file.read() for file in files]


def _check_length(request: HttpRequest, maximum_bytes: int) -> None:
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdigit():
        if request.META.get("HTTP_TRANSFER_ENCODING"):
            raise Refusal(
                _("The request needs a Content-Length; received a body of unknown length."),
                reason="length_required",
                status=411,
            )
    elif int(length) > maximum_bytes:
        raise _too_large(int(length), maximum_bytes)


def _too_large(received_bytes: int, maximum_bytes: int, details: dict[str, Any] | None = None) -> Refusal:
    return Refusal(
        _("Too large: at most %(maximum)s bytes are taken, %(received)s were received. Send a smaller image.")
        % {"maximum": maximum_bytes, "received": received_bytes},
        reason="too_large",
        status=413,
        details={"maximum_bytes": maximum_bytes, **(details or {})},
    )


def _unsupported(content_type: str, expected: str) -> Refusal:
    return Refusal(
        _("Expected %(expected)s; received Content-Type “%(received)s”.")
        % {"expected": expected, "received": content_type[:100]},
        reason="unsupported_media_type",
        status=415,
    )


def _json(value: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    body = json.dumps(value, ensure_ascii=False).encode()
    return HttpResponse(body, status=status, headers=headers, content_type="application/json")
