"""Finds work whose runner died and work whose ring was lost, and sets both going again."""

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from dlmodeler_site.registry import work_models
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.work import queue, runner
from dlmodeler_site.work.models import Status

log = logging.getLogger(__name__)

RING_AGAIN_S = 60  # a ring may have been taken and lost, or wait inside a busy cluster
UNHEARD_S = 10


def reap() -> None:
    """One round: lapsed work is queued again (or failed after too many crashes), unheard work is rung for."""
    now = timezone.now()
    for model in work_models():
        lapsed = now - timedelta(seconds=settings.DLM_LEASE_S)
        for work in model._default_manager.filter(status=Status.RUNNING, heartbeat_at__lt=lapsed):
            if work.lease is not None:
                runner.crash(work, work.lease, _("Its worker died"))
        waiting = now - timedelta(seconds=UNHEARD_S)
        for work in model._default_manager.filter(status=Status.QUEUED, queued_at__lt=waiting):
            if not queue.is_rung(work) and _due(work.pk, model.__name__):
                log.info("%s %s is queued but nobody was told: ringing again", model.__name__, work.pk)
                queue.ring(work)


_rung_at: dict[tuple[str, int], float] = {}


def _due(pk: int, name: str) -> bool:
    """Whether the last ring of this process for the work is long enough ago."""
    now = timezone.now().timestamp()
    if now - _rung_at.get((name, pk), 0) < RING_AGAIN_S:
        return False
    _rung_at[name, pk] = now
    return True
