"""HTTP for one client, the process that started this one, which passes a connected socket for each request."""

import os
import socket
import threading
import time
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve(app: "WSGIApplication", control: int, *, idle_s: float) -> None:
    """Answer until there was no request for `idle_s`; the process ends at once with the other end of `control`.

    Nothing listens at an address, so nobody else can connect, and nothing is left behind on the disk.
    """
    with _Server(socket.socket(fileno=control), app) as server:
        while server.idle_s < idle_s:
            server.timeout = max(idle_s - server.idle_s, 0.05)
            server.handle_request()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The site writes down every request already."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, control: socket.socket, app: "WSGIApplication") -> None:
        super().__init__(("", 0), _Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = control
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()
        self.set_app(app)
        self._lock = threading.Lock()
        self._working = 0
        self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last answer; 0 while one is being made."""
        with self._lock:
            return 0.0 if self._working else time.monotonic() - self._last

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        _message, descriptors, _flags, _address = socket.recv_fds(self.socket, 1, 1)
        if not descriptors:  # The other end is closed: the site's process has ended, by whatever signal.
            os._exit(0)
        return socket.socket(fileno=descriptors[0]), ("", 0)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._working += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._working -= 1
                self._last = time.monotonic()
