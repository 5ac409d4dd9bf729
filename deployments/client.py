"""Talk to a model server over its unix socket."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deployments.modelserver.protocol import (
    IMAGES_TYPE,
    JSON_TYPE,
    MAX_BODY_BYTES,
    MAX_IMAGES,
    QUEUE_HEADER,
    body_too_large,
    pack_images,
    socket_address,
    too_many_images,
)
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import from_json

IMAGE_TYPE = "application/octet-stream"
RETRY_AFTER_S = 1


class ModelServerError(Exception):
    """No predictions: the server's error, or 503 `not_ready`, `overloaded` or `timeout` when it did not answer."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int,
        retry_after: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.details = details or {}


@dataclass(frozen=True)
class Explain:
    """Ask for heat maps: of the class with this label or class name; None: of what is predicted."""

    label: str | None = None


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: int | None
    queue_ms: float | None
    body: bytes


class ModelServerClient:
    """One server's client, for any number of threads; each keeps a connection of its own open.

    A call takes at most `timeout_s`, connecting and one retry included.
    """

    def __init__(self, socket_path: Path, timeout_s: float = 30.0) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._local = threading.local()

    def predict(
        self, images: Sequence[bytes], top_k: int | None = None, *, explain: Explain | None = None
    ) -> dict[str, Any]:
        """`{"predictions": [...]}` for encoded images, in order; with `explain` each has its `heatmap`.

        Raises:
            ModelServerError: an image, the request as a whole or the server is not in order.
        """
        if len(images) > MAX_IMAGES:
            raise ModelServerError(
                too_many_images(len(images)),
                reason="too_many_images",
                status=413,
                details={"maximum": MAX_IMAGES, "received": len(images)},
            )
        if len(images) == 1:
            return self._post(images[0], IMAGE_TYPE, top_k, explain=explain)
        return self._post(pack_images(images), IMAGES_TYPE, top_k, explain=explain)

    def predict_json(self, body: bytes, top_k: int | None = None, *, explain: Explain | None = None) -> dict[str, Any]:
        """The same for a body of `{"instances": [...]}`."""
        return self._post(body, JSON_TYPE, top_k, explain=explain)

    def predict_body(
        self, body: bytes, content_type: str, *, top_k: int | None = None, rows: bool = False
    ) -> dict[str, Any]:
        """The same for the rows of a table in csv or JSON; with `rows` they come back as `columns` and `rows`."""
        return self._post(body, content_type, top_k, rows=rows)

    def metadata(self) -> dict[str, Any]:
        metadata = self._call("GET", "/metadata")
        metadata["engine"]["fallback"] = from_json(metadata["engine"]["fallback"])
        return metadata

    @property
    def queue_ms(self) -> float | None:
        """How long this thread's last request waited for its turn; None where it did not get to wait."""
        return getattr(self._local, "queue_ms", None)

    def healthy(self) -> bool:
        try:
            self._call("GET", "/health")
        except ModelServerError:
            return False
        return True

    def _post(
        self,
        body: bytes,
        content_type: str,
        top_k: int | None,
        *,
        rows: bool = False,
        explain: Explain | None = None,
    ) -> dict[str, Any]:
        if len(body) > MAX_BODY_BYTES:
            # The server would close the connection in the middle of the body.
            raise ModelServerError(
                body_too_large(len(body)),
                reason="too_large",
                status=413,
                details={"maximum_bytes": MAX_BODY_BYTES},
            )
        query = {} if top_k is None else {"top_k": str(top_k)}
        if rows:
            query["rows"] = "1"
        if explain is not None:
            query |= {"explain": "1"} | ({} if explain.label is None else {"class": explain.label})
        path = f"/predict?{urlencode(query)}" if query else "/predict"
        return self._call("POST", path, body=body, content_type=content_type)

    def _call(self, method: str, path: str, *, body: bytes = b"", content_type: str = "") -> dict[str, Any]:
        headers = {"Content-Type": content_type} if content_type else {}
        self._local.queue_ms = None
        try:
            answer = self._exchange(method, path, body, headers)
            self._local.queue_ms = answer.queue_ms
        except TimeoutError:
            late = _(
                "The deployment's model server did not answer within %(seconds)g s. "
                "Send the request again in a moment.",
                seconds=self._timeout_s,
            )
            raise _unavailable(late, "timeout") from None
        except BlockingIOError:
            busy = _(
                "The deployment's model server has too many connections waiting. Send the request again in a moment."
            )
            raise _unavailable(busy, "overloaded") from None
        except (OSError, http.client.HTTPException) as error:
            gone = _(
                "The deployment's model server is not running or has just stopped. Send the request again in a moment."
            )
            raise _unavailable(gone, "not_ready") from error
        try:
            value: dict[str, Any] = json.loads(answer.body)
        except ValueError as error:
            garbled = _(
                "The deployment's model server answered something that is not JSON. Send the request again in a moment."
            )
            raise _unavailable(garbled, "not_ready") from error
        if answer.status != http.client.OK:
            raise ModelServerError(
                from_json(value["error"]),
                reason=value["reason"],
                status=answer.status,
                retry_after=answer.retry_after,
                details=value["details"],
            )
        return value

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        """One request; again on a new connection when the kept one proves closed (a prediction changes nothing)."""
        deadline = time.monotonic() + self._timeout_s
        kept = self._kept_connection()
        if kept is not None:
            try:
                return self._send(kept, deadline, method, path, body, headers)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                pass
        return self._send(_Connection(self._path, deadline), deadline, method, path, body, headers)

    def _kept_connection(self) -> "_Connection | None":
        """This thread's open connection, unless a parent process opened it before a fork."""
        kept: tuple[int, _Connection] | None = getattr(self._local, "kept", None)
        if kept is None or kept[0] != os.getpid() or kept[1].sock is None:
            return None
        return kept[1]

    def _send(
        self, connection: "_Connection", deadline: float, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> _Answer:
        self._local.kept = None
        try:
            connection.set_deadline(deadline)
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            retry_after, queue_ms = response.getheader("Retry-After"), response.getheader(QUEUE_HEADER)
            answer = _Answer(
                status=response.status,
                retry_after=int(retry_after) if retry_after else None,
                queue_ms=float(queue_ms) if queue_ms else None,
                body=response.read(),
            )
        except BaseException:
            connection.close()
            raise
        self._local.kept = (os.getpid(), connection)
        return answer


class _DeadlineSocket(socket.socket):
    """A socket whose sends and reads all end at one point in time, however slowly the bytes drip."""

    deadline = 0.0

    def sendall(self, *args: Any) -> None:
        self.settimeout(_remaining_s(self.deadline))
        super().sendall(*args)

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_remaining_s(self.deadline))
        return super().recv_into(*args)


class _Connection(http.client.HTTPConnection):
    """Connected from the start; once closed, its `sock` is None and it stays closed."""

    auto_open = 0

    def __init__(self, path: Path, deadline: float) -> None:
        super().__init__("localhost")
        self._socket = _DeadlineSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_remaining_s(deadline))
        try:
            with socket_address(path) as address:
                self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise
        self.sock = self._socket

    def set_deadline(self, deadline: float) -> None:
        self._socket.deadline = deadline


def _remaining_s(deadline: float) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    return remaining_s


def _unavailable(message: str, reason: str) -> ModelServerError:
    return ModelServerError(message, reason=reason, status=503, retry_after=RETRY_AFTER_S)
