"""A whole site of its own for a test: real processes, a fresh home, a free port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
USERNAME, PASSWORD = "operator", "a-password-for-tests"


def free_port() -> int:
    """A port whose next two are free as well."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with contextlib.suppress(OSError), socket.socket() as second, socket.socket() as third:
            second.bind(("127.0.0.1", port + 1))
            third.bind(("127.0.0.1", port + 2))
            return port


def wait_until(holds: Callable[[], Any], *, timeout_s: float, what: str) -> Any:
    """Poll until `holds` gives something true, and answer that."""
    end = time.monotonic() + timeout_s
    while not (value := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"after {timeout_s} s still not: {what}")
        time.sleep(0.1)
    return value


@dataclass
class RunningSite:
    """The supervisor and what is below it."""

    home: Path
    port: int = field(default_factory=free_port)
    supervisor: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the site and wait until it says that it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DLM_", "DATABASE"))}
        environment |= {
            "DLM_HOME": str(self.home),
            "DLM_PORT": str(self.port),
            "DLM_BIND": "127.0.0.1",
            "DLM_ADMIN_USERNAME": USERNAME,
            "DLM_ADMIN_PASSWORD": PASSWORD,
            **self.environment,
        }
        with open(self.home / "supervisor.log", "ab") as log:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "dlmodeler_site.supervisor", "--stop-with-parent"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_until(self.is_ready, timeout_s=90, what="the site is ready")

    def is_ready(self) -> bool:
        assert self.supervisor is not None
        if self.supervisor.poll() is not None:
            raise AssertionError((self.home / "supervisor.log").read_text()[-4000:])
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.address}/api/v1/health/ready/", timeout=5).status_code == 200
        return False

    def stop(self) -> float:
        """Stop it as Ctrl-C does; answers the seconds that took."""
        if self.supervisor is None:
            return 0.0
        began = time.monotonic()
        self.supervisor.send_signal(signal.SIGTERM)
        self.supervisor.wait(timeout=30)
        return time.monotonic() - began

    def processes(self) -> list[psutil.Process]:
        """The supervisor and every process below it."""
        assert self.supervisor is not None
        try:
            root = psutil.Process(self.supervisor.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def find(self, *words: str) -> list[psutil.Process]:
        """Processes whose command line has all these words."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    found.append(process)
        return found


@contextlib.contextmanager
def running_site(home: Path, **environment: str) -> Iterator[RunningSite]:
    """A site that is up inside the block."""
    site = RunningSite(home, environment=environment)
    site.start()
    try:
        yield site
    finally:
        site.stop()
