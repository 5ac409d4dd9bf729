"""Foretelling what a training takes, by a short probe on the job's data and instance."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from dlmodeler_site.errors import UserError
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import ACTIVE, Status
from jobs import instances
from jobs.checking import preflight
from jobs.estimating.probing import can_probe
from jobs.models import Estimate, Instance, Job


def request_estimate(user: User, job: Job, instance: Instance, hyperparameters: Mapping[str, Any]) -> Estimate:
    """The estimate for a training with these complete hyperparameters: one that there is already, or a new one, queued.

    Raises:
        UserError: the algorithm cannot be probed, or there is no such instance.
    """
    if not can_probe(job.algorithm):
        raise UserError(
            _("What a training of “%(algorithm)s” takes cannot be foretold. Start it: its page tells the time left.")
            % {"algorithm": job.algorithm},
            reason="no_estimate",
        )
    instances.require(instance)
    if known := _same(job, instance, hyperparameters, (*ACTIVE, Status.COMPLETED)):
        return known
    estimate = Estimate.objects.create(
        job=job,
        hyperparameters=dict(hyperparameters),
        creator=user,
        instance_kind=instance.kind,
        instance_count=instance.count,
        details={"data": preflight.manifest_hashes(job)},
    )
    queue.submit(estimate)
    return estimate


def known_estimate(job: Job, instance: Instance, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a training with these hyperparameters was foretold to take; empty when nobody asked."""
    found = _same(job, instance, hyperparameters, (Status.COMPLETED,))
    return found.as_told() if found else {}


def _same(job: Job, instance: Instance, hyperparameters: Mapping[str, Any], states: tuple[str, ...]) -> Estimate | None:
    """The newest of the same hyperparameters, but for the seed, on the same instance and the same data."""
    wanted = _without_seed(hyperparameters)
    data = preflight.manifest_hashes(job)
    rows = job.estimates.filter(status__in=states, instance_kind=instance.kind, instance_count=instance.count)
    row: Estimate
    for row in rows[:50]:
        if row.details.get("data") == data and _without_seed(row.hyperparameters) == wanted:
            return row
    return None


def _without_seed(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hyperparameters.items() if name != "seed"}
