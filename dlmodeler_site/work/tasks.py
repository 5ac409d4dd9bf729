"""What a queue worker does when the bell rings."""

import multiprocessing
import os
import signal
from types import FrameType

from django.apps import apps
from django.db import connections

from dlmodeler_site.parent_death import die_with_parent
from dlmodeler_site.work import gpus, queue, runner
from dlmodeler_site.work.models import Work


def run(label: str, pk: int) -> None:
    """Claim the work and hold this worker's slot while a runner process of its own takes it to its end.

    The runner is forked, so that it costs neither start-up time nor the memory of another Django. It dies with
    this worker, whose work is then taken up again by the reaper.
    """
    model: type[Work] = apps.get_model(label)
    work = model._default_manager.filter(pk=pk).first()
    lease = gpus.claim(work) if work else None
    if work is None or lease is None:
        return
    connections.close_all()  # a connection must not be shared across the fork
    process = multiprocessing.get_context("fork").Process(
        target=_runner, args=(label, pk, lease, os.getpid()), name=f"runner {label} {pk}"
    )
    process.start()
    process.join()
    if gpus.count_for(work):  # who was told that there are too few hears of those that are free now
        for waiting in gpus.queued():
            queue.ring(waiting)


def _runner(label: str, pk: int, lease: object, parent: int) -> None:
    die_with_parent(parent)
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    runner.run(apps.get_model(label), pk, lease)  # type: ignore[arg-type]


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
