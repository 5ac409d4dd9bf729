"""The model servers of this machine: started, watched and stopped until what is is what is wanted.

The keeper calls `reconcile` about once a second, always from the same thread: the kernel ends a model server when
the thread that started it ends.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from deployments.client import ModelServerClient
from deployments.models import Deployment
from deployments.sockets import socket_path
from dlmodeler_site.compute.base import Resources, cpu_count
from dlmodeler_site.compute.local import ROOT, clean_environment
from dlmodeler_site.process_log import ProcessLog
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import loads
from dlmodeler_site.storage import WorkspaceUnavailable, workspace
from jobs.models import InstanceKind

log = logging.getLogger(__name__)

LOG_MAX_BYTES = 2_000_000
_FETCHES = 8  # bundles at once
_FETCH_PATIENCE_S = 0.1  # once for each start: what lies here already is here by then
_FETCH_IS_TOLD_S = 3
_LOG_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ \w+ [\w.]+: ")


@dataclass(frozen=True)
class Timing:
    """When model servers are restarted, given up and killed."""

    backoff_first_s: float = 0.5
    backoff_max_s: float = 10
    healthy_after_s: float = 60  # active for so long forgives earlier crashes
    max_crashes: int = 5  # in a row, the last of them before it was active
    max_short_lives: int = 10  # in a row, the last of them after it was
    start_max_s: float = 120
    stop_grace_s: float = 8
    health_every_s: float = 5
    unanswered_max: int = 6  # health checks in a row


@dataclass
class Server:
    """One deployment's model server at one generation, and the process that is it at the moment, if any."""

    deployment: Deployment
    log: ProcessLog
    process: "subprocess.Popen[bytes] | None" = None
    reader: threading.Thread | None = None
    started_at: float = 0.0
    active_since: float | None = None
    health_due: float = 0.0
    unanswered: int = 0
    start_due: float = 0.0
    crashes: int = 0
    stop_since: float | None = None
    killed_because: str = ""
    given_up: bool = False
    fetching: Future[Path] | None = None
    fetching_since: float = 0.0
    failed_fetches: int = 0
    bundle: Path | None = None
    client: ModelServerClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = ModelServerClient(socket_path(self.deployment.pk), 2)


class ModelServers:
    """Keeps a model server for every deployment that is wanted, and none for others."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self._servers: dict[int, Server] = {}
        self._fetchers = ThreadPoolExecutor(_FETCHES, thread_name_prefix="bundle")

    def reconcile(self) -> None:
        """One round, which waits for nobody."""
        deployments = {deployment.pk: deployment for deployment in Deployment.objects.select_related("project")}
        for pk in [*self._servers]:
            if pk not in deployments and self._ended(self._servers[pk]):
                self._forget(pk)
        for deployment in deployments.values():
            try:
                self._keep(deployment)
            except Exception:
                log.exception("deployment %s could not be looked after", deployment.pk)

    def close(self) -> None:
        """Stop all model servers: they drain first, and come back when the keeper does."""
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + self.timing.stop_grace_s
        servers = [server for server in self._servers.values() if server.process]
        while time.monotonic() < deadline:
            running = [server for server in servers if not self._ended(server)]  # asks every one of them to end
            if not running:
                break
            time.sleep(0.05)
        for server in servers:
            if server.process:
                server.process.kill()
                server.process.wait()
        pks = [server.deployment.pk for server in servers]
        Deployment.objects.filter(pk__in=pks, status=Deployment.Status.ACTIVE).update(status=Deployment.Status.STARTING)
        self._servers.clear()

    def pid_of(self, deployment: Deployment) -> int | None:
        """The process that serves the deployment now."""
        server = self._servers.get(deployment.pk)
        return server.process.pid if server and server.process else None

    # -- One deployment --------------------------------------------------------------------------

    def _keep(self, deployment: Deployment) -> None:
        server = self._servers.get(deployment.pk)
        if not deployment.is_wanted or deployment.project.deleted_at is not None:
            if server is None or self._ended(server):
                self._forget(deployment.pk)
                _move(deployment, Deployment.Status.STOPPED)
            return
        if server and (server.stop_since or server.deployment.generation != deployment.generation):
            if not self._ended(server):
                return
            self._forget(deployment.pk)
            server = None
        if server is None:
            server = self._servers[deployment.pk] = Server(deployment, _open_log(deployment.pk))
        server.deployment = deployment
        if server.given_up:
            return
        if server.process is None:
            self._start_when_due(server)
        elif (code := server.process.poll()) is not None:
            self._crashed(server, code)
        else:
            self._check_health(server)

    def _start_when_due(self, server: Server) -> None:
        _move(server.deployment, Deployment.Status.STARTING, error=server.deployment.error)
        now = time.monotonic()
        if now < server.start_due or not self._has_bundle(server):
            return
        server.started_at, server.active_since, server.unanswered, server.killed_because = now, None, 0, ""
        server.health_due = now
        server.process = subprocess.Popen(
            _command(server),
            cwd=ROOT,
            env=clean_environment(_resources(server.deployment)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        server.reader = threading.Thread(target=_read_output, args=(server.process, server.log), daemon=True)
        server.reader.start()
        log.info("deployment %s: model server started (pid %s)", server.deployment.pk, server.process.pid)

    def _has_bundle(self, server: Server) -> bool:
        """Whether the bundle is on this machine; fetching it, where it is elsewhere, keeps no other server waiting."""
        patience_s, now = 0.0, time.monotonic()
        if server.fetching is None:
            patience_s, server.fetching_since = _FETCH_PATIENCE_S, now
            server.fetching = self._fetchers.submit(workspace().local_tree, server.deployment.bundle_key)
        if not wait([server.fetching], timeout=patience_s).done:
            if now - server.fetching_since > _FETCH_IS_TOLD_S:
                _tell(server, server.deployment.error or _being_fetched())
            return False
        try:
            server.bundle = server.fetching.result()
        except Exception as error:
            self._not_fetched(server, error)
            return False
        server.fetching, server.failed_fetches = None, 0  # at the next start it counts as used again
        if server.deployment.error == _being_fetched():
            _tell(server, "")
        return True

    def _not_fetched(self, server: Server, error: Exception) -> None:
        server.fetching, server.failed_fetches = None, server.failed_fetches + 1
        wait_s = min(self.timing.backoff_first_s * 2 ** (server.failed_fetches - 1), self.timing.backoff_max_s)
        server.start_due = time.monotonic() + wait_s
        if isinstance(error, WorkspaceUnavailable):
            _tell(server, error.message)
            return
        log.error("deployment %s: its bundle could not be fetched", server.deployment.pk, exc_info=error)
        cause = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        _tell(server, _("The model could not be fetched from the storage of files (%(cause)s).", cause=cause))

    def _check_health(self, server: Server) -> None:
        now = time.monotonic()
        if server.killed_because or now < server.health_due:
            return
        if server.client.healthy():
            server.unanswered, server.health_due = 0, now + self.timing.health_every_s
            if server.active_since is None:
                server.active_since = now
                log.info("deployment %s: active after %.1f s", server.deployment.pk, now - server.started_at)
            elif now - server.active_since >= self.timing.healthy_after_s:
                server.crashes = 0
            _move(server.deployment, Deployment.Status.ACTIVE, active_at=timezone.now())
        elif server.active_since is None:
            _move(server.deployment, Deployment.Status.STARTING, error=server.deployment.error)
            if now - server.started_at > self.timing.start_max_s:
                self._kill(server, _("it did not answer within %(seconds)g s", seconds=self.timing.start_max_s))
        else:
            server.unanswered += 1
            server.health_due = now + self.timing.health_every_s
            if server.unanswered >= self.timing.unanswered_max:
                self._kill(server, _("it did not answer %(count)s checks in a row", count=server.unanswered))

    def _kill(self, server: Server, why: str) -> None:
        server.killed_because = why
        if server.process:
            server.process.kill()

    def _crashed(self, server: Server, code: int) -> None:
        now = time.monotonic()
        cause = server.killed_because or self._cause(server, code)
        if server.active_since is not None and now - server.active_since >= self.timing.healthy_after_s:
            server.crashes = 0
        server.process = None
        server.crashes += 1
        log.warning(
            "deployment %s: the model server ended (%s in a row): %s", server.deployment.pk, server.crashes, cause
        )
        limit = self.timing.max_crashes if server.active_since is None else self.timing.max_short_lives
        if server.crashes >= limit:
            server.given_up = True
            _move(
                server.deployment,
                Deployment.Status.FAILED,
                error=_(
                    "The model server ended %(count)s times in a row: %(cause)s", count=server.crashes, cause=cause
                ),
            )
            return
        wait_s = min(self.timing.backoff_first_s * 2 ** (server.crashes - 1), self.timing.backoff_max_s)
        server.start_due = now + wait_s
        _move(
            server.deployment,
            Deployment.Status.STARTING,
            error=_("The model server ended and is started again: %(cause)s", cause=cause),
        )

    def _cause(self, server: Server, code: int) -> str:
        """The last thing the process said, in words that name no path of this machine."""
        if server.reader:
            server.reader.join(timeout=1)
        lines = [line for line in server.log.last_lines() if line.strip()]
        if code < 0:
            name = signal.strsignal(-code) or "?"
            return _("it was ended by signal %(number)s (%(name)s)", number=-code, name=name)
        if not lines:
            return _("it ended with exit code %(code)s and said nothing", code=code)
        if sentences := [sentence for line in lines if (sentence := _sentence_of(line))]:
            return sentences[-1]
        errors = [line for line in lines if " ERROR " in line]
        said = _LOG_PREFIX.sub("", (errors or lines)[-1])
        return said.replace(str(server.bundle), f"/mnt/{server.deployment.bundle_key}")

    def _ended(self, server: Server) -> bool:
        """Ask the process to end, kill it when it does not; whether it has ended."""
        if server.process is None:
            return True
        if server.process.poll() is not None:
            server.process = None
            return True
        now = time.monotonic()
        if server.stop_since is None:
            server.stop_since = now
            server.process.send_signal(signal.SIGTERM)
        elif now - server.stop_since > self.timing.stop_grace_s:
            server.process.kill()
        return False

    def _forget(self, pk: int) -> None:
        if self._servers.pop(pk, None):
            socket_path(pk).unlink(missing_ok=True)  # a killed one leaves it behind


def _sentence_of(line: str) -> str:
    """The sentence that a model server which cannot serve its bundle says last; "" where the line is none."""
    if not line.startswith('{"template"'):
        return ""
    try:
        return loads(line)
    except (ValueError, KeyError, TypeError):  # Cut off.
        return ""


def _move(deployment: Deployment, status: str, **values: Any) -> None:
    """Note the deployment's status, unless it is wanted otherwise by now."""
    values.setdefault("error", "")
    if deployment.status == status and deployment.error == values["error"]:
        return
    same = {"pk": deployment.pk, "wanted": deployment.wanted, "generation": deployment.generation}
    if Deployment.objects.filter(**same).update(status=status, **values):
        deployment.status, deployment.error = status, values["error"]


def _tell(server: Server, error: str) -> None:
    """Why the deployment has not started yet."""
    _move(server.deployment, Deployment.Status.STARTING, error=error)


def _being_fetched() -> str:
    return _("The model is being fetched from the storage of files. The deployment starts as soon as it is here.")


def _resources(deployment: Deployment) -> Resources:
    return Resources("gpu" if deployment.instance_kind == InstanceKind.GPU else "cpu", deployment.instance_count)


def _command(server: Server) -> list[str]:
    deployment = server.deployment
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "deployments.modelserver"]
    command += [str(server.bundle), "--socket", str(socket_path(deployment.pk))]
    command += ["--threads", str(cpu_count())]
    if deployment.steps:
        command += ["--steps", json.dumps(deployment.steps)]
    return command


def _open_log(pk: int) -> ProcessLog:
    folder = Path(settings.DLM_LOGS) / "modelservers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ProcessLog(folder / f"{pk}.log", max_bytes=LOG_MAX_BYTES)


def _read_output(process: "subprocess.Popen[bytes]", process_log: ProcessLog) -> None:
    """Copy what the process says into its log until it ends."""
    if process.stdout is not None:
        with process.stdout as output:
            while chunk := os.read(output.fileno(), 65536):
                process_log.write(chunk)
