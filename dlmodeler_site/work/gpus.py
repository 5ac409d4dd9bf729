"""The GPUs of this machine, each whole and for one piece of work at a time.

A GPU belongs to the lease of the work that runs on it, so it is free again with whatever ends that: the end of the
work, a stop, a crash. Who has waited longest gets GPUs first, so that work on one does not for ever pass work on many.
"""

import uuid
from collections.abc import Iterator

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dlmodeler_site.compute.base import gpu_names
from dlmodeler_site.models import Gpu
from dlmodeler_site.work.models import ACTIVE, Status, Work

QUEUE = "gpu"


def count_for(work: Work) -> int:
    """How many GPUs the work needs."""
    return work.resources.count if work.resources.kind == "gpu" else 0


def claim(work: Work) -> uuid.UUID | None:
    """queued -> running under a new lease, together with the GPUs that it needs; None while these are busy."""
    with transaction.atomic():
        lease = work.claim()
        if lease is None or _give(work, lease):
            return lease
        transaction.set_rollback(True)
    work.refresh_from_db()
    return None


def _give(work: Work, lease: uuid.UUID) -> bool:
    wanted, names = count_for(work), gpu_names()
    if not wanted:
        return True
    Gpu.objects.bulk_create([Gpu(name=name) for name in names], ignore_conflicts=True)
    # Locked until the end of the transaction: two claims do not see the same GPU free.
    there = list(Gpu.objects.select_for_update().filter(name__in=names).order_by("pk"))
    active = list(_active())
    used = {other.lease for other in active if other.status == Status.RUNNING}
    free = [gpu.pk for gpu in there if gpu.lease is None or gpu.lease not in used]
    if wanted > len(free) or any(_is_before(other, work, len(names)) for other in active):
        return False
    Gpu.objects.filter(pk__in=free[:wanted]).update(lease=lease)
    return True


def held(lease: uuid.UUID) -> tuple[str, ...]:
    """The names of the GPUs that belong to the lease."""
    return tuple(Gpu.objects.filter(lease=lease).order_by("pk").values_list("name", flat=True))


def waiting_reason(work: Work) -> str:
    """Why the queued work does not have its GPUs; "" where it needs none or they are free."""
    wanted, there = count_for(work), len(gpu_names())
    if not wanted:
        return ""
    if wanted > there:
        return _("Waiting for %(wanted)s GPUs: this site has %(there)s now.") % {"wanted": wanted, "there": there}
    active = list(_active())
    if before := [str(other) for other in active if _is_before(other, work, there)]:
        return _("Waiting for GPUs: before it is the turn of %(names)s.") % {"names": _named(before)}
    running = [other for other in active if other.status == Status.RUNNING]
    free = max(there - sum(map(count_for, running)), 0)
    if wanted <= free:
        return ""
    sentence = ngettext(
        "Waiting for %(wanted)s GPU: %(free)s of %(there)s free, the others are used by %(names)s.",
        "Waiting for %(wanted)s GPUs: %(free)s of %(there)s free, the others are used by %(names)s.",
        wanted,
    )
    return sentence % {"wanted": wanted, "free": free, "there": there, "names": _named(list(map(str, running)))}


def queued() -> list[Work]:
    """The work that waits for GPUs, the longest first."""
    found = [work for work in _active() if work.status == Status.QUEUED]
    return sorted(found, key=lambda work: (work.queued_at is None, work.queued_at))


def _active() -> Iterator[Work]:
    """All work on GPUs that is queued or running."""
    from dlmodeler_site.registry import work_models

    for model in work_models():
        for work in model._default_manager.filter(status__in=ACTIVE):
            if work.queue == QUEUE:
                yield work


def _is_before(other: Work, work: Work, there: int) -> bool:
    """Whether `other` waits longer than `work`, for a number of GPUs that there are."""
    if other == work or other.status != Status.QUEUED or not other.queued_at or not work.queued_at:
        return False
    return other.queued_at < work.queued_at and count_for(other) <= there


def _named(names: list[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:5])
    return f"{shown}, …" if len(names) > 5 else shown
