"""What must hold before the site's processes start: one supervisor to a home, free ports, enough open files."""

import contextlib
import fcntl
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from dlmodeler_site.processes import Addresses


class CannotStart(Exception):
    """The site cannot start; the message says why and what to do."""


@contextlib.contextmanager
def hold(home: Path) -> Iterator[None]:
    """Own a home folder: no second supervisor starts on it while this process lives."""
    path = home / "supervisor.lock"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise CannotStart(
            f"The folder of the site's state, {home}, cannot be written ({error}). Set DLM_HOME."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise CannotStart(
                f"A site runs on {home} already (pid {holder}). Stop it first, "
                "or give this one a DLM_HOME and a DLM_PORT of its own."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def require_free_ports(addresses: Addresses, *, patience_s: float = 3) -> None:
    """Raise `CannotStart` when a port of the site is taken; one killed a moment ago has `patience_s` to let go."""
    deadline = time.monotonic() + patience_s
    for port in (addresses.web_port, addresses.serving_port):
        while problem := port_problem(addresses.host, port):
            if time.monotonic() >= deadline:
                raise CannotStart(
                    f"Port {port} on {addresses.host} cannot be used ({problem}). Stop the program that uses it, or "
                    f"set DLM_PORT (the site listens on it, now {addresses.web_port}, and on the port after it)."
                )
            time.sleep(0.2)


def port_problem(host: str, port: int) -> str:
    """Why `port` cannot be listened on, or an empty string."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def raise_open_files_limit() -> None:
    """Let every process of the site hold as many open files as this machine allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
