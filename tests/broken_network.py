"""Connections to a server that break off again and again, or hang."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Cutting:
    """A proxy for a server; each of its connections breaks off after so many bytes of answers."""

    def __init__(self, url: str | None, *, after_bytes: int = 1 << 20) -> None:
        parts = urlsplit(url or "")
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._after_bytes = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0

    def __enter__(self) -> "Cutting":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=_forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        left = self._after_bytes
        with contextlib.suppress(OSError), client, server:
            while chunk := server.recv(min(left, 1 << 16)):
                client.sendall(chunk)
                left -= len(chunk)
                if not left:
                    self.cut += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return


class Hanging:
    """A proxy for a server that takes connections and lets nothing through until it is `let_go`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_let_go = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken = 0

    def __enter__(self) -> "Hanging":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.let_go()
        self._listener.close()

    def let_go(self) -> None:
        self._is_let_go.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                self.taken += 1
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._is_let_go.wait()
        with contextlib.suppress(OSError):
            server = socket.create_connection(self._target)
            threading.Thread(target=_forward, args=(client, server), daemon=True).start()
            _forward(server, client)


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
