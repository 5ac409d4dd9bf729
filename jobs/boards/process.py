"""The process that serves TensorBoard, as seen by the one that starts it when somebody looks."""

import http.client
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from dlmodeler_site import sentences
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.local import ROOT, clean_environment
from dlmodeler_site.sentences import Sentence as _

log = logging.getLogger(__name__)

TIMEOUT_S = 20
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class BoardEnded(Exception):
    """The process is not there (any more), or did not answer and was ended. Another one may be started."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class BoardProcess:
    """`python -m jobs.boards`, for any number of threads.

    It ends with this process, however that ends: it is told by the socket that is its standard input. (The kernel's
    parent-death signal would be that of the thread which started it, and a thread of a web server may end any time.)
    """

    def __init__(self, *, idle_s: float = 600, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        # One message for each request: the socket to talk over.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(timeout_s)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobs.boards", "--idle-s", str(idle_s)],
                cwd=ROOT,
                env=clean_environment(Resources()),
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                text=True,
            )
        self._said = ""
        self._is_ready = False
        self._changed = threading.Event()
        threading.Thread(target=self._watch, name="tensorboard", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def failure(self) -> str:
        """Why it ended before it was ready; "" where it did not."""
        if self._is_ready or not self.has_ended:
            return ""
        if self._said.startswith("{"):
            return sentences.loads(self._said)
        return _("it ended with exit code %(code)s.", code=self._process.returncode)

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether it answers, waiting at most so long for it."""
        self._changed.wait(timeout_s)
        return self._is_ready

    def request(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request, answered within the time limit.

        Raises:
            BoardEnded: there was no answer.
        """
        connection = http.client.HTTPConnection("localhost", timeout=self._timeout_s)
        try:
            connection.sock = self._connect()
            connection.request(method, path, body=body or None, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            log.warning("TensorBoard (pid %s) did not answer %s %s: %r", self.pid, method, path, error)
            self.end()  # it may hang, and nobody would ever be answered
            raise BoardEnded(str(error)) from error
        finally:
            connection.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise BoardEnded(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        return Answer(response.status, content, dict(response.getheaders()))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.settimeout(self._timeout_s)
        return ours

    def _watch(self) -> None:
        with self._process:
            for line in self._process.stdout or ():
                self._said = line
                if line == "ready\n":
                    self._is_ready = True
                    self._changed.set()
        self._control.close()
        self._changed.set()
