"""Takes one claimed piece of work to its end: prepare, start, tail, collect, finish."""

import contextlib
import logging
import shutil
import signal
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from dlmodeler_site.compute.base import Backend, Handle, Resources
from dlmodeler_site.compute.entry import EXIT_STOPPED
from dlmodeler_site.compute.inline import InlineBackend
from dlmodeler_site.compute.local import LocalBackend
from dlmodeler_site.compute.run_folder import RunFolder, StopRequested, write_json
from dlmodeler_site.errors import UserError
from dlmodeler_site.registry import work_models
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.storage import WorkspaceUnavailable, workspace
from dlmodeler_site.work import gpus, logs, queue
from dlmodeler_site.work.models import Status, Work

log = logging.getLogger(__name__)

POLL_S = 0.2
STOP_GRACE_S = 20  # from the request to stop until the process is ended, wherever it is


class LeaseLost(Exception):
    """Somebody else holds the work now; nothing more may be written for it."""


BACKENDS: dict[str, Backend] = {
    "local": LocalBackend(),
    "blocking": LocalBackend(blocking=True),
    "inline": InlineBackend(),
}


def backend() -> Backend:
    return BACKENDS[settings.DLM_WORK_BACKEND]


def run_folder_path(work: Work) -> Path:
    return Path(settings.DLM_RUNS) / f"{work._meta.label_lower}-{work.pk}" / f"attempt-{work.attempt}"


def oldest_run() -> float | None:
    """When the oldest attempt that runs now began, as a Unix time."""
    began = []
    for model in work_models():
        for work in model._default_manager.filter(status=Status.RUNNING).only("attempt"):
            with contextlib.suppress(FileNotFoundError):  # it has not begun, or has ended
                began.append(run_folder_path(work).parent.stat().st_mtime)
    return min(began, default=None)


def run(model: type[Work], pk: int, lease: uuid.UUID) -> None:
    """Run the work under `lease` to its end; every end is a transition of the row."""
    work = model._default_manager.get(pk=pk)
    try:
        _Run(work, lease, backend()).to_the_end()
    except LeaseLost:
        log.warning("%s %s: the lease was lost, attempt %s is dropped", model.__name__, pk, work.attempt)
    except StopRequested:
        work.cancel_running(lease)
    except WorkspaceUnavailable as error:
        crash(work, lease, error.message, too_often=error.message, reason=error.reason)
    except UserError as error:
        work.fail(lease, error.message, reason=error.reason)
    except Exception:
        reference = uuid.uuid4().hex[:12]
        log.exception("%s %s: attempt %s failed on our side, reference %s", model.__name__, pk, work.attempt, reference)
        work.fail(lease, _mishap(reference), reason="internal")


@dataclass
class _Run:
    work: Work
    lease: uuid.UUID
    backend: Backend
    offset: int = 0
    checkpoint_seen: str = ""
    stop_since: float | None = None
    handle: Handle | None = None
    lost: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def to_the_end(self) -> None:
        beating = None
        if not self.backend.blocking:
            beating = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
            beating.start()
        try:
            self._run()
        finally:
            self.ended.set()
            if beating:
                beating.join()

    def _run(self) -> None:
        work = self.work
        path = run_folder_path(work)
        shutil.rmtree(path.parent, ignore_errors=True)  # what an attempt that died left behind
        run = RunFolder.create(path, {})
        if work.attempt > 1 and work.resumable:  # its folder is its own: no user names what is in it
            self._delete_forgotten_checkpoints()
        if work.checkpoint_key:
            workspace().fetch_tree(work.checkpoint_key, run.checkpoint)
        write_json(run.path / "spec.json", work.prepare(run))
        self._check_lease()
        handle = self.handle = self.backend.start(run, work.module, self._resources())
        try:
            while (code := handle.poll()) is None:
                handle.wait(POLL_S)
                self._check_lease()
                self._take_over(run)
                if self._stop_overdue(run):
                    handle.stop()
        finally:
            handle.stop()
        self._check_lease()
        self._take_over(run)
        self._end(run, code if code is not None else handle.poll())
        shutil.rmtree(path.parent, ignore_errors=True)

    def _resources(self) -> Resources:
        return replace(self.work.resources, devices=gpus.held(self.lease) if gpus.count_for(self.work) else ())

    def _keep_beating(self) -> None:
        """Beat until the end. Who cannot prove to be alive gives up before somebody else may take the work over."""
        proven = time.monotonic()
        while not self.ended.wait(settings.DLM_HEARTBEAT_S):
            try:
                if not self.work.beat(self.lease):
                    self._give_up("somebody else holds its lease")
                    return
                proven = time.monotonic()
                if type(self.work)._default_manager.filter(pk=self.work.pk, stop_requested=True).exists():
                    self.stop.set()
            except DatabaseError:
                log.exception("%s: a heartbeat failed", self.work)
                connection.close()
            if time.monotonic() - proven > settings.DLM_LEASE_S - 2 * settings.DLM_HEARTBEAT_S:
                self._give_up("the database took no heartbeat in time")
                return
        connection.close()

    def _give_up(self, why: str) -> None:
        log.warning("%s: %s, its process is ended", self.work, why)
        self.lost.set()
        if self.handle:  # here and not in the main thread, which may be waiting for the database
            self.handle.stop()
        connection.close()

    def _check_lease(self) -> None:
        if self.lost.is_set():
            raise LeaseLost

    def _stop_overdue(self, run: RunFolder) -> bool:
        if not self.stop.is_set():
            return False
        if self.stop_since is None:
            self.stop_since = time.monotonic()
            run.request_stop()
        return time.monotonic() - self.stop_since > STOP_GRACE_S

    def _take_over(self, run: RunFolder) -> None:
        """Copy what is new in the run folder into rows and workspace."""
        while True:
            events, self.offset = run.read_events(self.offset)
            if not events:
                break
            progress = [event["value"] for event in events if event["type"] == "progress"]
            further = bool(progress) and progress[-1] > self.work.progress
            if further and not self.work.advance(self.lease, progress=progress[-1]):
                raise LeaseLost
            others = [event for event in events if event["type"] != "progress"]
            if others:
                self.work.collect(others)
        self._take_over_checkpoint(run)

    def _take_over_checkpoint(self, run: RunFolder) -> None:
        try:
            stat = run.checkpoint.stat()
        except FileNotFoundError:
            return
        version = f"{stat.st_ino}-{stat.st_mtime_ns}"
        if version == self.checkpoint_seen:
            return
        copy = run.path / f"checkpoint.copy-{version}"
        try:
            shutil.copytree(run.checkpoint, copy)
        except (FileNotFoundError, shutil.Error):  # RACE: replaced meanwhile; the newer one is next
            shutil.rmtree(copy, ignore_errors=True)
            return
        key, older = f"{self.work.files_key}/checkpoint-{uuid.uuid4().hex[:8]}", self.work.checkpoint_key
        workspace().put_tree(key, copy)
        shutil.rmtree(copy, ignore_errors=True)
        if not self.work.keep_checkpoint(self.lease, key):
            workspace().delete_tree(key)
            raise LeaseLost
        self.checkpoint_seen = version
        if older:
            workspace().delete_tree(older)

    def _delete_forgotten_checkpoints(self) -> None:
        """Those that an attempt put and did not note, or put in the place of others, when its runner was killed."""
        prefix = f"{self.work.files_key}/checkpoint-"
        keys = (key for key in workspace().keys(self.work.files_key) if key.startswith(prefix))
        for tree in {prefix + key.removeprefix(prefix).partition("/")[0] for key in keys} - {self.work.checkpoint_key}:
            workspace().delete_tree(tree)

    def _end(self, run: RunFolder, code: int | None) -> None:
        work = self.work
        logs.keep(work, run)
        if code == 0 and run.result() is not None:
            if not work.beat(self.lease):
                raise LeaseLost
            work.publish(run)
            with transaction.atomic():
                if not work.complete(self.lease):
                    raise LeaseLost
                work.record(run)
            work.settle()
        elif self.stop.is_set() or code == EXIT_STOPPED:
            work.cancel_running(self.lease)
        elif error := run.error():
            work.fail(self.lease, error["message"], reason=error["reason"])
        elif code is not None and code < 0:
            self._crashed(code)
        else:
            reference = uuid.uuid4().hex[:12]
            log.error("%s: process ended with %s, reference %s\n%s", work, code, reference, run.log_tail())
            work.fail(self.lease, _mishap(reference), reason="internal")

    def _crashed(self, code: int) -> None:
        """The process was killed from outside: another attempt, unless it never gets anywhere."""
        what = _("The process was ended by %(signal)s", signal=signal.Signals(-code).name)
        crash(self.work, self.lease, what)


def _mishap(reference: str) -> str:
    return _("Something went wrong on our side. Reference: %(reference)s", reference=reference)


def crash(work: Work, lease: uuid.UUID, what: str, *, too_often: str | None = None, reason: str = "crashed") -> None:
    """Queue the work again after a crash, or fail it after too many without progress, saying so or `too_often`."""
    if work.crashes + 1 >= settings.DLM_MAX_CRASHES:
        message = too_often or _(
            "%(what)s %(count)d times in a row without getting further. This is most often too little memory: "
            "try smaller batches or images, or fewer files, or ask the operator to look at the log.",
            what=what,
            count=work.crashes + 1,
        )
        work.fail(lease, message, reason=reason)
        return
    with transaction.atomic():
        if work.requeue(lease):
            work.status = Status.QUEUED
            queue.ring(work)
    log.warning("%s: %s, it is queued again", work, what)
