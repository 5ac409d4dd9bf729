"""The doorbell: django-q2 tasks that say "there may be something to do" and carry nothing but an id."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import JSONField
from django.utils import timezone
from django.utils.translation import gettext as _
from django_q.models import OrmQ
from django_q.tasks import async_task

from dlmodeler_site.errors import Conflict
from dlmodeler_site.work import gpus
from dlmodeler_site.work.models import ACTIVE, Status, Work

RUN = "dlmodeler_site.work.tasks.run"


def submit(work: Work, *, of: tuple[str, ...] = (Status.QUEUED,)) -> None:
    """Put the work into the queue: the row and the ring in one transaction. Raises Conflict from another state."""
    with transaction.atomic():
        if not work.enqueue(of=of):
            work.refresh_from_db(fields=["status"])
            raise Conflict(
                _("“%(work)s” is %(status)s; it can only be queued while it is: %(allowed)s.")
                % {
                    "work": work,
                    "status": work.get_status_display().lower(),
                    "allowed": ", ".join(str(Status(state).label).lower() for state in of),
                },
                reason="wrong_state",
            )
        ring(work)


def ring(work: Work) -> None:
    """Tell the workers of the work's queue; older rings for the same work are taken back."""
    for message in _messages(work):
        message.delete()
    async_task(RUN, work._meta.label_lower, work.pk, cluster=work.queue, task_name=_name(work))


def is_rung(work: Work) -> bool:
    """Whether a ring for the work waits to be heard (taken ones do not count)."""
    return any(message.lock <= timezone.now() for message in _messages(work))


@dataclass(frozen=True)
class Waiting:
    """Where queued work stands in its queue (1 = next, 0 = it does not wait), and why it waits, in one sentence."""

    position: int = 0
    reason: str = ""


def waiting(work: Work) -> Waiting:
    """Where the work stands in its queue. One query for each kind of work."""
    if work.status != Status.QUEUED:
        return Waiting()
    ahead = running = 0
    for other in _active():
        if other.queue != work.queue or other == work:
            continue
        if other.status == Status.RUNNING:
            running += 1
        elif other.queued_at and work.queued_at and other.queued_at < work.queued_at:
            ahead += 1
    if busy := gpus.waiting_reason(work):
        return Waiting(ahead + 1, busy)
    if running or ahead:
        sentence = _(
            "Waiting for a free worker: %(running)s running and %(ahead)s queued before it on the %(queue)s queue."
        )
        return Waiting(ahead + 1, sentence % {"running": running, "ahead": ahead, "queue": work.queue})
    return Waiting(1, _("Waiting for a worker of the %(queue)s queue to take it.") % {"queue": work.queue})


def waiting_reason(work: Work) -> str:
    """Why the queued work waits, in one sentence; "" when it does not wait."""
    return waiting(work).reason


def _active() -> Iterator[Work]:
    """All work that is queued or running, without its JSON, which may be large and decides on no queue."""
    from dlmodeler_site.registry import work_models

    for model in work_models():
        large = [field.name for field in model._meta.concrete_fields if isinstance(field, JSONField)]
        yield from model._default_manager.filter(status__in=ACTIVE).defer(*large)


def _name(work: Work) -> str:
    return f"{work._meta.label_lower}:{work.pk}"


def _messages(work: Work) -> list[OrmQ]:
    name = _name(work)
    return [message for message in OrmQ.objects.filter(key=work.queue) if message.name() == name]
