"""Work: anything with a status that takes time (inspection, preprocessing, training, prediction job).

    uploading -> queued -> running -> completed
                   ^  |       |-----> failed
                   |  |       |-----> cancelled        (stop)
                   |  +-------------> cancelled        (stop before it began)
                   +----------|                        (its process died: another attempt)
    cancelled, failed -> queued                        (resume, where the kind of work allows it)

The row is the truth; the queue only says that there may be something to do. Whoever runs a piece of work holds
its `lease` and proves to be alive by `heartbeat_at`; every later transition is fenced by the lease, so that one
who lost it can change nothing.
"""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.fields import SentenceField


class Status(models.TextChoices):
    UPLOADING = "uploading", _("Uploading")
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


FINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
ACTIVE = (Status.QUEUED, Status.RUNNING)


class Work(models.Model):
    """The state of one piece of work; apps subclass it and say how it is prepared and what its end means."""

    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED, editable=False)
    progress = models.FloatField(_("progress"), default=0, editable=False)
    error = SentenceField(_("error"), blank=True, editable=False)
    error_reason = models.CharField(_("error reason"), max_length=50, blank=True, editable=False)
    attempt = models.PositiveIntegerField(_("attempt"), default=0, editable=False)
    crashes = models.PositiveIntegerField(
        _("crashes"), default=0, editable=False, help_text=_("How often in a row it crashed without making progress.")
    )
    lease = models.UUIDField(_("lease"), null=True, editable=False)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, editable=False)
    stop_requested = models.BooleanField(_("stop requested"), default=False, editable=False)
    checkpoint_key = models.CharField(_("checkpoint key"), max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    queued_at = models.DateTimeField(_("queued at"), null=True, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)

    resumable: ClassVar[bool] = False

    class Meta:
        abstract = True

    # -- What a kind of work says about itself ---------------------------------------------------

    @property
    def module(self) -> str:
        """The module that computes: started as `python -m <module> RUN_FOLDER`."""
        raise NotImplementedError

    @property
    def queue(self) -> str:
        """The queue that its task waits in: short, cpu or gpu."""
        return "short"

    @property
    def resources(self) -> Resources:
        return Resources()

    @property
    def files_key(self) -> str:
        """The folder of the workspace that belongs to this work alone (log, checkpoints)."""
        return f".work/{self._meta.label_lower}/{self.pk}"

    @property
    def log_key(self) -> str:
        """Where its log is kept."""
        return f"{self.files_key}/log.txt"

    def prepare(self, run: RunFolder) -> dict[str, Any]:
        """Write the manifests into `run.input` and answer the spec. UserError fails the work, StopRequested ends it."""
        raise NotImplementedError

    def collect(self, events: list[dict[str, Any]]) -> None:
        """Take over events other than progress; may be called again with the same ones after a crash."""

    def publish(self, run: RunFolder) -> None:
        """Move the output into the workspace; may be called again after a crash."""

    def record(self, run: RunFolder) -> None:
        """Write the rows that the output means, in the transaction that completes the work."""

    def settle(self) -> None:
        """Tidy up after the completion; lost without harm in a crash."""

    # -- Transitions: each answers whether it won -------------------------------------------------

    def enqueue(self, *, of: tuple[str, ...]) -> bool:
        """`of` -> queued. The caller rings (`queue.submit`)."""
        return self._move(
            {"status__in": of},
            status=Status.QUEUED,
            queued_at=timezone.now(),
            lease=None,
            stop_requested=False,
            crashes=0,
            error="",
            error_reason="",
            finished_at=None,
        )

    def claim(self) -> uuid.UUID | None:
        """queued -> running, under a new lease."""
        lease, now = uuid.uuid4(), timezone.now()
        won = self._move(
            {"status": Status.QUEUED},
            status=Status.RUNNING,
            lease=lease,
            heartbeat_at=now,
            started_at=Coalesce("started_at", now),
            attempt=models.F("attempt") + 1,
        )
        return lease if won else None

    def beat(self, lease: uuid.UUID) -> bool:
        """Prove to be alive."""
        return self._move({"status": Status.RUNNING, "lease": lease}, heartbeat_at=timezone.now())

    def advance(self, lease: uuid.UUID, *, progress: float) -> bool:
        """Note progress; going further than ever before forgives earlier crashes."""
        return self._move({"status": Status.RUNNING, "lease": lease}, progress=progress, crashes=0)

    def keep_checkpoint(self, lease: uuid.UUID, key: str) -> bool:
        return self._move({"status": Status.RUNNING, "lease": lease}, checkpoint_key=key)

    def complete(self, lease: uuid.UUID) -> bool:
        """running -> completed."""
        return self._finish(lease, Status.COMPLETED, progress=1.0, error="", error_reason="")

    def fail(self, lease: uuid.UUID, error: str, *, reason: str) -> bool:
        """running -> failed."""
        return self._finish(lease, Status.FAILED, error=error, error_reason=reason)

    def cancel_running(self, lease: uuid.UUID) -> bool:
        """running -> cancelled, by whoever runs it, after a stop was requested."""
        return self._finish(lease, Status.CANCELLED)

    def requeue(self, lease: uuid.UUID) -> bool:
        """running -> queued after a crash; the caller rings."""
        return self._move(
            {"status": Status.RUNNING, "lease": lease},
            status=Status.QUEUED,
            lease=None,
            queued_at=timezone.now(),
            crashes=models.F("crashes") + 1,
        )

    def request_stop(self) -> bool:
        """queued -> cancelled at once; running: ask whoever runs it. False when it had ended already."""
        if self._move(
            {"status": Status.QUEUED}, status=Status.CANCELLED, finished_at=timezone.now(), stop_requested=True
        ):
            return True
        return self._move({"status": Status.RUNNING}, stop_requested=True)

    def _finish(self, lease: uuid.UUID, status: Status, **values: Any) -> bool:
        return self._move(
            {"status": Status.RUNNING, "lease": lease},
            status=status,
            finished_at=timezone.now(),
            lease=None,
            **values,
        )

    def _move(self, when: dict[str, Any], **values: Any) -> bool:
        won = type(self)._default_manager.filter(pk=self.pk, **when).update(**values) == 1
        if won:
            self.refresh_from_db(fields=[*values])
        return won

    # -- Reading --------------------------------------------------------------------------------

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def run_time_s(self) -> float | None:
        """Seconds from start to end, or to now; None before the start."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()
