"""The WSGI application of a model server: health, metadata and predictions of one bundle."""

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from deployments.modelserver.admission import Admission
from deployments.modelserver.errors import RequestError
from deployments.modelserver.inputs import read_images
from deployments.modelserver.predictor import Predictor
from deployments.modelserver.protocol import DEFAULT_TOP_K
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json
from jobs.bundles.errors import NotFiniteError

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class ModelServerApp:
    """Answers in JSON only; a message for people is a sentence (`sentences.to_json`)."""

    def __init__(self, predictor: Predictor, admission: Admission) -> None:
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
        top_k = self._top_k(environ["QUERY_STRING"])
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._admission.place():
            images = read_images(body, content_type=environ.get("CONTENT_TYPE", ""), fit=self._predictor.fit)
            try:
                predictions = self._predictor.predict(images, top_k=top_k)
            except NotFiniteError as error:
                raise RequestError(error.message, status=500, reason="model_not_finite") from error
        return {"predictions": [prediction.as_json() for prediction in predictions]}

    def _top_k(self, query: str) -> int:
        classes = len(self._predictor.bundle.labels)
        values = parse_qs(query, keep_blank_values=True).get("top_k")
        if values is None:
            return min(DEFAULT_TOP_K, classes)
        text = values[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= classes):
            raise RequestError(
                _(
                    "top_k must be a whole number from 1 to %(classes)d, the number of classes; "
                    "%(received)s was received.",
                    classes=classes,
                    received=repr(text),
                ),
                status=400,
                reason="invalid_top_k",
                details={"minimum": 1, "maximum": classes},
            )
        return int(text)


def _describe(predictor: Predictor) -> dict[str, Any]:
    bundle, engine = predictor.bundle, predictor.engine
    return {
        "algorithm": bundle.algorithm,
        "model": {"name": bundle.model.name, "created_at": bundle.model.created_at, "metrics": bundle.model.metrics},
        "input": {"kind": bundle.input.kind, "shape": bundle.input.shape, "dtype": bundle.input.dtype},
        "labels": [{"label": label.label, "class_name": label.class_name} for label in bundle.labels],
        "engine": {
            "name": engine.name,
            "precision": engine.precision,
            "max_difference": bundle.engine.max_difference,
            "fallback": to_json(engine.fallback),
        },
    }
