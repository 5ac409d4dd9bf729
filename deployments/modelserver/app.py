"""The WSGI application of a model server: health, metadata and predictions of one bundle."""

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from deployments.modelserver.admission import Admission
from deployments.modelserver.answers import answer_images, answer_rows
from deployments.modelserver.errors import RequestError
from deployments.modelserver.explaining import Query
from deployments.modelserver.predictor import Predictor
from deployments.modelserver.protocol import QUEUE_HEADER
from deployments.modelserver.table_predictor import TablePredictor
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json
from jobs.bundles.errors import NotFiniteError

logger = logging.getLogger(__name__)

_QUEUE_MS = "dlm.queue_ms"

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class ModelServerApp:
    """Answers in JSON only; a message for people is a sentence (`sentences.to_json`)."""

    def __init__(self, predictor: Predictor | TablePredictor, admission: Admission) -> None:
        self._predictor = predictor
        self._admission = admission
        self._metadata = _describe(predictor)
        self._routes: dict[str, tuple[str, Callable[[Environ], dict[str, Any]]]] = {
            "/health": ("GET", lambda environ: {"status": "ready"}),
            "/metadata": ("GET", lambda environ: self._metadata),
            "/predict": ("POST", self._predict),
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        status, retry_after_s = 200, None
        try:
            answer = self._route(environ)(environ)
        except RequestError as error:
            status, retry_after_s = error.status, error.retry_after_s
            answer = {"error": to_json(error.message), "reason": error.reason, "details": error.details}
        except Exception:
            status, reference = 500, uuid.uuid4().hex[:12]
            logger.exception("Request failed, reference %s: %s", reference, environ["PATH_INFO"])
            message = _("Something went wrong on our side. Reference: %(reference)s", reference=reference)
            answer = {"error": to_json(message), "reason": "internal_error", "details": {"reference": reference}}
        body = json.dumps(answer, ensure_ascii=False).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if retry_after_s is not None:
            headers.append(("Retry-After", str(retry_after_s)))
        if (queue_ms := environ.get(_QUEUE_MS)) is not None:
            headers.append((QUEUE_HEADER, f"{queue_ms:.3f}"))
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _route(self, environ: Environ) -> Callable[[Environ], dict[str, Any]]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path not in self._routes:
            raise RequestError(
                _("There is no %(path)s. Use one of %(paths)s.", path=path, paths=", ".join(self._routes)),
                status=404,
                reason="not_found",
            )
        expected, answer = self._routes[path]
        if method != expected:
            raise RequestError(
                _(
                    "%(path)s answers %(expected)s, %(method)s was received.",
                    path=path,
                    expected=expected,
                    method=method,
                ),
                status=405,
                reason="method_not_allowed",
            )
        return answer

    def _predict(self, environ: Environ) -> dict[str, Any]:
        query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._admission.place() as queue_ms:
            environ[_QUEUE_MS] = queue_ms
            try:
                return self._answer(body, content_type=environ.get("CONTENT_TYPE", ""), query=query)
            except NotFiniteError as error:
                raise RequestError(error.message, status=500, reason="model_not_finite") from error

    def _answer(self, body: bytes, *, content_type: str, query: Query) -> dict[str, Any]:
        if isinstance(self._predictor, TablePredictor):
            return answer_rows(self._predictor, body, content_type=content_type, query=query)
        return answer_images(self._predictor, body, content_type=content_type, query=query)


def _describe(predictor: Predictor | TablePredictor) -> dict[str, Any]:
    bundle, engine = predictor.bundle, predictor.engine
    return {
        "algorithm": bundle.algorithm,
        "model": {"name": bundle.model.name, "created_at": bundle.model.created_at, "metrics": bundle.model.metrics},
        "task": bundle.task,
        "input": bundle.input.as_json(),
        "labels": [{"label": label.label, "class_name": label.class_name} for label in bundle.labels],
        "engine": {
            "name": engine.name,
            "precision": engine.precision,
            "max_difference": bundle.engine.max_difference,
            "fallback": to_json(engine.fallback),
        },
    }
