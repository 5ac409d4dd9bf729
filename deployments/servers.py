"""The model servers of this machine: started, watched and stopped until what is is what is wanted.

Of a deployment whose model is changed two run for a while: the next version takes over as soon as it has answered a
first request, and the other drains once nobody can know of it any more. The rows alone say what is wanted, so that a
keeper that begins anew goes on where the last one was killed.

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
from django.db import transaction
from django.utils import timezone

from deployments.authentication import REMEMBERED_S
from deployments.client import ModelServerClient, ModelServerError
from deployments.models import Deployment, DeploymentVersion
from deployments.probe import probe
from deployments.sockets import TIMEOUT_S, socket_path
from dlmodeler_site.compute.base import Resources, cpu_count
from dlmodeler_site.compute.local import ROOT, clean_environment
from dlmodeler_site.process_log import ProcessLog
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import loads, to_json
from dlmodeler_site.storage import WorkspaceUnavailable, workspace
from jobs.models import InstanceKind

log = logging.getLogger(__name__)

LOG_MAX_BYTES = 2_000_000
_FETCHES = 8  # bundles at once
_PATIENCE_S = 0.1  # once for each start: what lies here already is here by then, and most models have answered
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
    drain_after_s: float = 2 * REMEMBERED_S  # another took over: until then requests are sent to it
    health_every_s: float = 5
    unanswered_max: int = 6  # health checks in a row


@dataclass
class Server:
    """A version's model server at one generation, and the process that is it at the moment, if any."""

    deployment: Deployment
    version: DeploymentVersion
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
    superseded_since: float | None = None
    killed_because: str = ""
    given_up: bool = False
    fetching: Future[Path] | None = None
    fetching_since: float = 0.0
    failed_fetches: int = 0
    bundle: Path | None = None
    probing: Future[dict[str, Any]] | None = None
    client: ModelServerClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = ModelServerClient(self.socket, 2)

    def __str__(self) -> str:
        return f"deployment {self.deployment.pk}, version {self.version.number}"

    @property
    def socket(self) -> Path:
        return socket_path(self.deployment.pk, self.version.number)

    @property
    def is_next(self) -> bool:
        """It is to take over from the version that serves."""
        return self.version.pk == self.deployment.next_version_id

    @property
    def error(self) -> str:
        """What the row says of it."""
        return self.version.error if self.is_next else self.deployment.error


class ModelServers:
    """Keeps a model server for every version that is wanted, and none for others."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self._servers: dict[int, Server] = {}  # by their version's primary key
        self._fetchers = ThreadPoolExecutor(_FETCHES, thread_name_prefix="bundle")
        self._probers = ThreadPoolExecutor(thread_name_prefix="probe")

    def reconcile(self) -> None:
        """One round, which waits for nobody."""
        rows = Deployment.objects.select_related("project", "version", "next_version")
        deployments = {deployment.pk: deployment for deployment in rows}
        for server in [*self._servers.values()]:
            if server.deployment.pk not in deployments:
                self._end(server)
        for deployment in deployments.values():
            try:
                self._keep(deployment)
            except Exception:
                log.exception("deployment %s could not be looked after", deployment.pk)

    def close(self) -> None:
        """Stop all model servers: they drain first, and come back when the keeper does."""
        for pool in (self._fetchers, self._probers):
            pool.shutdown(wait=False, cancel_futures=True)
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
        server = self._servers.get(deployment.version.pk)
        return server.process.pid if server and server.process else None

    # -- One deployment --------------------------------------------------------------------------

    def _keep(self, deployment: Deployment) -> None:
        servers = [server for server in self._servers.values() if server.deployment.pk == deployment.pk]
        if not deployment.is_wanted or deployment.project.deleted_at is not None:
            ended = [self._end(server) for server in servers]  # asks every one of them
            if all(ended):
                _move(deployment, Deployment.Status.STOPPED)
            return
        for server in servers:
            if server.version.pk not in (deployment.version_id, deployment.next_version_id):
                self._drain(server)
        self._keep_version(deployment, deployment.version)
        if deployment.next_version is not None:
            self._keep_version(deployment, deployment.next_version)

    def _keep_version(self, deployment: Deployment, version: DeploymentVersion) -> None:
        server = self._servers.get(version.pk)
        is_next = version.pk == deployment.next_version_id
        if server and (
            server.stop_since
            or server.deployment.generation != deployment.generation
            or (server.given_up and is_next)  # wanted again
        ):
            if not self._end(server):
                return
            server = None
        if server is None:
            log_file = _open_log(deployment.pk, version.number)
            server = self._servers[version.pk] = Server(deployment, version, log_file)
        server.deployment, server.version, server.superseded_since = deployment, version, None
        if server.given_up:
            return
        if server.process is None:
            self._start_when_due(server)
        elif (code := server.process.poll()) is not None:
            self._crashed(server, code)
        else:
            self._check_health(server)

    def _start_when_due(self, server: Server) -> None:
        _tell(server, server.error)
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
        log.info("%s: model server started (pid %s)", server, server.process.pid)

    def _has_bundle(self, server: Server) -> bool:
        """Whether the bundle is on this machine; fetching it, where it is elsewhere, keeps no other server waiting."""
        patience_s, now = 0.0, time.monotonic()
        if server.fetching is None:
            patience_s, server.fetching_since = _PATIENCE_S, now
            server.fetching = self._fetchers.submit(workspace().local_tree, server.version.bundle_key)
        if not wait([server.fetching], timeout=patience_s).done:
            if now - server.fetching_since > _FETCH_IS_TOLD_S:
                _tell(server, server.error or _being_fetched())
            return False
        try:
            server.bundle = server.fetching.result()
        except Exception as error:
            self._not_fetched(server, error)
            return False
        server.fetching, server.failed_fetches = None, 0  # at the next start it counts as used again
        if server.error == _being_fetched():
            _tell(server, "")
        return True

    def _not_fetched(self, server: Server, error: Exception) -> None:
        server.fetching, server.failed_fetches = None, server.failed_fetches + 1
        wait_s = min(self.timing.backoff_first_s * 2 ** (server.failed_fetches - 1), self.timing.backoff_max_s)
        server.start_due = time.monotonic() + wait_s
        if isinstance(error, WorkspaceUnavailable):
            _tell(server, error.message)
            return
        log.error("%s: its bundle could not be fetched", server, exc_info=error)
        cause = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        _tell(server, _("The model could not be fetched from the storage of files (%(cause)s).", cause=cause))

    def _check_health(self, server: Server) -> None:
        now = time.monotonic()
        if server.killed_because or (now < server.health_due and not server.is_next):
            return
        if server.client.healthy() and (server.active_since is not None or self._has_answered(server)):
            server.unanswered, server.health_due = 0, now + self.timing.health_every_s
            if server.active_since is None:
                server.active_since = now
                log.info("%s: active after %.1f s", server, now - server.started_at)
            elif now - server.active_since >= self.timing.healthy_after_s:
                server.crashes = 0
            if server.is_next and not _take_over(server):
                return
            if server.version.activated_at is None:
                DeploymentVersion.objects.filter(pk=server.version.pk).update(activated_at=timezone.now())
            _move(server.deployment, Deployment.Status.ACTIVE, active_at=timezone.now())
        elif server.killed_because:
            return
        elif server.active_since is None:
            _tell(server, server.error)
            if now - server.started_at > self.timing.start_max_s:
                self._kill(server, _("it did not answer within %(seconds)g s", seconds=self.timing.start_max_s))
        else:
            server.unanswered += 1
            server.health_due = now + self.timing.health_every_s
            if server.unanswered >= self.timing.unanswered_max:
                self._kill(server, _("it did not answer %(count)s checks in a row", count=server.unanswered))

    def _has_answered(self, server: Server) -> bool:
        """Whether it has answered a request; asking keeps no other server waiting."""
        patience_s = 0.0
        if server.probing is None:
            patience_s = _PATIENCE_S
            server.probing = self._probers.submit(probe, ModelServerClient(server.socket, TIMEOUT_S), server.version)
        if not wait([server.probing], timeout=patience_s).done:
            return False
        answered, server.probing = server.probing, None
        try:
            _note_engine(server.version, answered.result())
        except Exception as error:
            if not isinstance(error, ModelServerError):
                log.exception("%s: its first answer cannot be read", server)
            cause = error.message if isinstance(error, ModelServerError) else type(error).__name__
            self._kill(server, _("it did not answer a first request: %(cause)s", cause=cause))
            return False
        return True

    def _kill(self, server: Server, why: str) -> None:
        server.killed_because = why
        if server.process:
            server.process.kill()

    def _crashed(self, server: Server, code: int) -> None:
        now = time.monotonic()
        cause = server.killed_because or self._cause(server, code)
        if server.active_since is not None and now - server.active_since >= self.timing.healthy_after_s:
            server.crashes = 0
        server.process = server.probing = None
        server.crashes += 1
        log.warning("%s: the model server ended (%s in a row): %s", server, server.crashes, cause)
        limit = self.timing.max_crashes if server.active_since is None else self.timing.max_short_lives
        if server.crashes >= limit:
            server.given_up = True
            why = _("The model server ended %(count)s times in a row: %(cause)s", count=server.crashes, cause=cause)
            if server.is_next:
                _stay(server, why)
            else:
                _move(server.deployment, Deployment.Status.FAILED, error=why)
            return
        wait_s = min(self.timing.backoff_first_s * 2 ** (server.crashes - 1), self.timing.backoff_max_s)
        server.start_due = now + wait_s
        _tell(server, _("The model server ended and is started again: %(cause)s", cause=cause))

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
        return said.replace(str(server.bundle), f"/mnt/{server.version.bundle_key}")

    def _drain(self, server: Server) -> None:
        """End a server that is not wanted any more, once those who have just read that it is have asked it."""
        now = time.monotonic()
        if server.superseded_since is None:
            server.superseded_since = now
        served = server.process is not None and server.active_since is not None
        if not served or now - server.superseded_since >= self.timing.drain_after_s:
            self._end(server)

    def _end(self, server: Server) -> bool:
        """Ask it to end; whether it has, and is forgotten."""
        if not self._ended(server):
            return False
        del self._servers[server.version.pk]
        server.socket.unlink(missing_ok=True)  # a killed one leaves it behind
        return True

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


def _note_engine(version: DeploymentVersion, running: dict[str, Any]) -> None:
    """Keep which engine runs at which precision: on this machine it may not be what the bundle names."""
    noted = {"name": running["name"], "precision": running["precision"], "fallback": to_json(running["fallback"])}
    if version.bundle_info.get("running") != noted:
        version.bundle_info["running"] = noted
        DeploymentVersion.objects.filter(pk=version.pk).update(bundle_info=version.bundle_info)


def _tell(server: Server, error: str) -> None:
    """That it is starting, and what keeps it, if anything."""
    if not server.is_next:
        _move(server.deployment, Deployment.Status.STARTING, error=error)
    elif server.version.error != error:
        is_wanted = {"pk": server.version.pk, "deployment__next_version": server.version.pk}
        DeploymentVersion.objects.filter(**is_wanted).update(error=error)
        server.version.error = error


def _take_over(server: Server) -> bool:
    """It answers: requests go to it from now on, unless it is wanted otherwise by now."""
    deployment, before, version = server.deployment, server.deployment.version, server.version
    is_wanted = {"pk": deployment.pk, "wanted": Deployment.Wanted.RUNNING, "next_version": version}
    with transaction.atomic():
        if not Deployment.objects.filter(**is_wanted).update(version=version, next_version=None):
            return False
        version.activated_at, version.error = timezone.now(), ""
        version.save(update_fields=["activated_at", "error"])
        if deployment.status == Deployment.Status.FAILED:
            DeploymentVersion.objects.filter(pk=before.pk).update(error=deployment.error)
    log.info("%s: took over from version %s", server, before.number)
    deployment.version, deployment.next_version = version, None
    return True


def _stay(server: Server, why: str) -> None:
    """It does not come up: the version that serves goes on, and this one says why."""
    with transaction.atomic():
        is_wanted = {"pk": server.deployment.pk, "next_version": server.version}
        if Deployment.objects.filter(**is_wanted).update(next_version=None):
            DeploymentVersion.objects.filter(pk=server.version.pk).update(error=why)


def _being_fetched() -> str:
    return _("The model is being fetched from the storage of files. The deployment starts as soon as it is here.")


def _resources(deployment: Deployment) -> Resources:
    return Resources("gpu" if deployment.instance_kind == InstanceKind.GPU else "cpu", deployment.instance_count)


def _command(server: Server) -> list[str]:
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "deployments.modelserver"]
    command += [str(server.bundle), "--socket", str(server.socket)]
    command += ["--threads", str(cpu_count())]
    if server.version.steps:
        command += ["--steps", json.dumps(server.version.steps)]
    return command


def _open_log(deployment_pk: int, version: int) -> ProcessLog:
    folder = Path(settings.DLM_LOGS) / "modelservers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ProcessLog(folder / f"{deployment_pk}-{version}.log", max_bytes=LOG_MAX_BYTES)


def _read_output(process: "subprocess.Popen[bytes]", process_log: ProcessLog) -> None:
    """Copy what the process says into its log until it ends."""
    if process.stdout is not None:
        with process.stdout as output:
            while chunk := os.read(output.fileno(), 65536):
                process_log.write(chunk)
