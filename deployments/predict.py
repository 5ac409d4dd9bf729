"""The prediction API of deployments (API.md, "Predict"). It runs in the serving process, on the hot path."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import TooManyFilesSent
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from deployments.authentication import Opened, as_of_now, is_known, opened_by
from deployments.client import Explain, ModelServerClient, ModelServerError
from deployments.models import Deployment
from deployments.modelserver.predicted_csv import predicted_csv
from deployments.modelserver.protocol import CSV_TYPE, JSON_TYPE, MAX_BODY_BYTES, MAX_IMAGE_BYTES, MAX_IMAGES
from deployments.sockets import client_of
from deployments.traffic.recorder import Note, recorder
from deployments.traffic.tally import Answered
from dlmodeler_site.errors import UserError
from dlmodeler_site.middleware import current_request_id

FIELD = "input"
MULTIPART_TYPE = "multipart/form-data"
CSV_TYPES = (CSV_TYPE, "application/csv", "text/tab-separated-values")
JSON, CSV, TEXT = "json", "csv", "text"
MULTIPART_OVERHEAD_BYTES = 256 * 1024
RETRY_SOON_S, RETRY_LATER_S = 2, 30

Question = Callable[[ModelServerClient], dict[str, Any]]


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
    deployment: Opened
    reason = ""  # of a refusal
    queue_ms: float | None = None

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

    def ask(self, question: Question) -> dict[str, Any]:
        """What the model server of the version that serves answers; `self.deployment` tells which version that was."""
        try:
            return self._answer_of(question)
        except ModelServerError as error:
            # RACE: another version took over after the row was read, and this one has ended.
            now = as_of_now(self.deployment)
            if error.reason != "not_ready" or now.version in (0, self.deployment.version):
                raise
        _require_active(now)
        self.deployment = now
        return self._answer_of(question)

    def _answer_of(self, question: Question) -> dict[str, Any]:
        client = client_of(self.deployment.pk, self.deployment.version)
        try:
            return question(client)
        finally:
            self.queue_ms = client.queue_ms

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        self.reason = getattr(exc, "reason", "")
        if isinstance(exc, ModelServerError):
            headers = {} if exc.retry_after is None else {"Retry-After": str(exc.retry_after)}
            return _json(
                {"error": exc.message, "reason": exc.reason, "details": exc.details}, status=exc.status, headers=headers
            )
        if isinstance(exc, Refusal):
            return _json(exc.body(), status=exc.status, headers=exc.headers)
        return super().handle_exception(exc)


class PredictView(DeploymentView):
    """`POST /d/<id>/predict`: a multipart field `input`, a raw image or csv, or JSON."""

    http_method_names = ["post"]
    takes_json_only = False
    predictions: Sequence[dict[str, Any]] = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        began = time.perf_counter()
        response: HttpResponse = super().dispatch(request, *args, **kwargs)  # type: ignore[assignment]
        if is_known(kwargs["pk"]):
            self._note(request, kwargs["pk"], response.status_code, 1000 * (time.perf_counter() - began))
        return response

    def _note(self, request: HttpRequest, pk: int, status: int, latency_ms: float) -> None:
        opened = getattr(self, "deployment", None)
        token = opened.token_for(_token_of(request)) if opened else None
        answered = Answered(
            status,
            latency_ms,
            queue_ms=self.queue_ms,
            samples=len(self.predictions),
            labels=[str(each["class_name"] or each["label"]) for each in self.predictions if "label" in each],
            confidences=[each["probability"] for each in self.predictions if "label" in each],
        )
        recorder.note(
            Note(
                deployment=pk,
                at=timezone.now(),
                answered=answered,
                request_id=current_request_id(),
                token=token.pk if token else None,
                version=opened.version if opened else 0,
                reason=self.reason,
            )
        )

    def post(self, request: Request, pk: int) -> HttpResponse:
        plain = request._request
        top_k = _top_k(plain)
        explain = _explain(plain)
        _require_active(self.deployment)
        content_type = plain.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if self.takes_json_only and content_type != JSON_TYPE:
            raise _unsupported(content_type, _('a body of application/json, {"instances": [...]}'))
        takes_tables = self.deployment.input_kind == "table"
        form = _wanted_format(plain, content_type, takes_tables=takes_tables)
        if explain is not None and (takes_tables or form != JSON):
            raise _no_explanation(takes_tables=takes_tables)
        if takes_tables:
            body, sent_as = _table(plain, content_type)
            answer = self.ask(lambda client: client.predict_body(body, sent_as, top_k=top_k, rows=form == CSV))
        else:
            answer = self.ask(_question_of_images(plain, content_type, top_k, explain))
        self.predictions = answer["predictions"]
        if form == CSV:
            return HttpResponse(predicted_csv(answer), content_type="text/csv; charset=utf-8")
        if form == JSON:
            return _json({**answer, "model": self.deployment.model})
        return HttpResponse(_as_text(answer["predictions"]), content_type="text/plain; charset=utf-8")


class InstancesView(PredictView):
    """`POST /d/<id>:predict`, as TensorFlow Serving takes it: `{"instances": [...]}`."""

    takes_json_only = True


class MetadataView(DeploymentView):
    """`GET /d/<id>/metadata`: the model, its version, input and labels."""

    http_method_names = ["get"]

    def get(self, request: Request, pk: int) -> HttpResponse:
        _require_active(self.deployment)
        metadata = self.ask(ModelServerClient.metadata)
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


def _explain(request: HttpRequest) -> Explain | None:
    """What `?explain=1` and `&class=` ask for."""
    match request.GET.get("explain", "0"):
        case "0" | "false":
            return None
        case "1" | "true":
            return Explain(request.GET.get("class"))
        case other:
            raise Refusal(
                _("explain must be 1 or 0; received “%(received)s”.") % {"received": other[:100]},
                reason="invalid_explain",
            )


def _no_explanation(*, takes_tables: bool) -> Refusal:
    if takes_tables:
        return Refusal(
            _("Heat maps are of images; this deployment answers rows of tables. Send the request without “explain”."),
            reason="explain_unavailable",
            status=501,
        )
    return Refusal(
        _("Heat maps come in JSON, but format=text was received. Leave format out, or send format=json."),
        reason="invalid_format",
    )


def _wanted_format(request: HttpRequest, content_type: str, *, takes_tables: bool) -> str:
    """json, text, or for tables csv: as `?format=` says, else as the request accepts."""
    allowed = (JSON, CSV, TEXT) if takes_tables else (JSON, TEXT)
    if (given := request.GET.get("format")) is not None:
        if given not in allowed:
            raise Refusal(
                _("format must be one of %(allowed)s; received “%(received)s”.")
                % {"allowed": ", ".join(allowed), "received": given[:100]},
                reason="invalid_format",
            )
        return given
    accepted = request.META.get("HTTP_ACCEPT", "")
    if takes_tables and CSV_TYPE in accepted:
        return CSV
    is_explained = request.GET.get("explain", "0") not in ("0", "false")
    return JSON if content_type == JSON_TYPE or JSON_TYPE in accepted or is_explained else TEXT


def _as_text(predictions: list[dict[str, Any]]) -> str:
    """`[1]`, `["apple"]`, `[12.3]`: the classes or values alone, as a list that JSON reads too."""
    return json.dumps([each["value"] if "value" in each else each["label"] for each in predictions], ensure_ascii=False)


def _question_of_images(
    request: HttpRequest, content_type: str, top_k: int | None, explain: Explain | None
) -> Question:
    if content_type == JSON_TYPE:
        body = _body(request, MAX_BODY_BYTES)
        return lambda client: client.predict_json(body, top_k, explain=explain)
    if content_type == MULTIPART_TYPE:
        images = _images(request)
        return lambda client: client.predict(images, top_k, explain=explain)
    if content_type.startswith("image/") or content_type == "application/octet-stream":
        image = _body(request, MAX_IMAGE_BYTES)
        return lambda client: client.predict([image], top_k, explain=explain)
    expected = _("multipart/form-data with a field “input”, an image with Content-Type image/*, or JSON")
    raise _unsupported(content_type, expected)


def _table(request: HttpRequest, content_type: str) -> tuple[bytes, str]:
    """The body with the rows, and what it is: JSON or csv."""
    if content_type == JSON_TYPE:
        return _body(request, MAX_BODY_BYTES), JSON_TYPE
    if content_type in CSV_TYPES:
        return _body(request, MAX_BODY_BYTES), CSV_TYPE
    if content_type == MULTIPART_TYPE:
        files = _uploads(request)
        if len(files) > 1:
            raise Refusal(
                _("One csv file is taken in a request; received %(count)s. Put the rows into one file.")
                % {"count": len(files)},
                reason="too_many_files",
            )
        return files[0].read(), CSV_TYPE
    expected = _('rows of a table: JSON {"rows": [...]}, a body of text/csv, or a csv file in the field “input”')
    raise _unsupported(content_type, expected)


def _body(request: HttpRequest, maximum_bytes: int) -> bytes:
    _check_length(request, maximum_bytes)
    return request.read()


def _images(request: HttpRequest) -> list[bytes]:
    """The images of the multipart field `input`, in order."""
    files = _uploads(request)
    for index, file in enumerate(files):
        if (size := file.size or 0) > MAX_IMAGE_BYTES:
            raise _too_large(size, MAX_IMAGE_BYTES, details={"index": index})
    return [file.read() for file in files]


def _uploads(request: HttpRequest) -> list[UploadedFile]:
    """The files of the multipart field `input`, in order; at least one."""
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
    return files


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
        _("Too large: at most %(maximum)s bytes are taken, %(received)s were received. Send less at once.")
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
