"""The process around the application: one waitress server on a unix socket, drained before it ends."""

import json
import logging
import os
import signal
import socket
import time
from http import HTTPStatus
from pathlib import Path

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import UnixWSGIServer
from waitress.task import ErrorTask, WSGITask

from deployments.modelserver.app import ModelServerApp
from deployments.modelserver.protocol import MAX_BODY_BYTES, body_too_large, socket_address
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json

logger = logging.getLogger(__name__)

DRAIN_S = 5.0
BACKLOG = 1024
# Threads that are free to say "overloaded" and "ready" while all others work or wait.
SPARE_THREADS = 4


class _JsonErrorTask(ErrorTask):
    """Answers to what waitress itself refuses, in the shape of all other errors."""

    def execute(self) -> None:
        error = self.request.error
        if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            reason, message = "too_large", body_too_large(max(self.request.content_length, MAX_BODY_BYTES + 1))
        else:
            reason = "malformed_request"
            message = _("The request cannot be read: %(error)s (%(cause)s).", error=error.reason, cause=error.body)
        body = json.dumps({"error": to_json(message), "reason": reason, "details": {}}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Task(WSGITask):
    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):
    task_class = _Task
    error_task_class = _JsonErrorTask

    @property
    def busy(self) -> bool:
        return bool(self.requests or self.request or self.total_outbufs_len)


class _Server(UnixWSGIServer):
    channel_class = _Channel
    draining = False


class ModelServer:
    """Listens at `path` (mode 0600) from the moment it is made; whatever was there is replaced atomically."""

    def __init__(self, app: ModelServerApp, path: Path, *, workers: int) -> None:
        self._path = path
        self._stop = False
        listener, self._identity = _listen(path)
        self._server = _Server(
            app,
            _sock=listener,
            bind_socket=False,
            adj=Adjustments(
                unix_socket=str(path),
                threads=workers + SPARE_THREADS,
                backlog=BACKLOG,
                connection_limit=BACKLOG,
                asyncore_use_poll=True,
                recv_bytes=65536,
                inbuf_overflow=1024 * 1024,
                # Answers are small: the thread that made one also sends it.
                send_bytes=1,
                max_request_body_size=MAX_BODY_BYTES + 1,
                ident=None,
                clear_untrusted_proxy_headers=False,
            ),
        )

    def run(self, *, parent_pid: int) -> bool:
        """Serve until SIGTERM, SIGINT or the end of the parent; answers whether every request was finished."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request_stop)
        while not self._stop and os.getppid() == parent_pid:
            self._poll(timeout_s=1.0)
        return self._drain()

    def _request_stop(self, *_: object) -> None:
        self._stop = True
        self._server.pull_trigger()

    def _poll(self, *, timeout_s: float) -> None:
        wasyncore.loop(timeout=timeout_s, use_poll=True, map=self._server._map, count=1)

    def _drain(self) -> bool:
        """Let no one new in, finish what is under way for at most `DRAIN_S` and close."""
        self._server.draining = True
        _remove(self._path, self._identity)
        deadline = time.monotonic() + DRAIN_S
        quiet_rounds = 0
        # Connections that the kernel had already queued are accepted in the first round and read in the second.
        while quiet_rounds < 3 and time.monotonic() < deadline:
            self._poll(timeout_s=0.02)
            quiet_rounds = 0 if self._is_busy() else quiet_rounds + 1
        finished = not self._is_busy()
        if not finished:
            logger.warning("Requests were still under way %g s after the server was asked to stop.", DRAIN_S)
        wasyncore.close_all(self._server._map)
        return finished

    def _is_busy(self) -> bool:
        return any(channel.busy for channel in self._server.active_channels.values())


def _listen(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket at `path`, and the device and inode that tell it from a later one at the same path."""
    own_path = path.with_name(f".{path.name}.{os.getpid()}")
    own_path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old_umask = os.umask(0o177)
    try:
        with socket_address(own_path) as address:
            listener.bind(address)
    finally:
        os.umask(old_umask)
    listener.listen(BACKLOG)
    stat = own_path.stat()
    own_path.rename(path)
    return listener, (stat.st_dev, stat.st_ino)


def _remove(path: Path, identity: tuple[int, int]) -> None:
    """Remove the socket unless a newer server has put its own in its place."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return
    if (stat.st_dev, stat.st_ino) == identity:
        path.unlink(missing_ok=True)
