"""Checks a job's data before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datasets.models import Data
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from dlmodeler_site.work.models import ACTIVE, Status
from jobs.algorithms.base import HyperparameterError
from jobs.algorithms.registry import manifest
from jobs.checking.findings import Finding, finding, worst_first
from jobs.readers.base import Examination
from jobs.readers.registry import reader_of

if TYPE_CHECKING:
    from jobs.models import Job


def check(job: Job, hyperparameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """What stands in the way of training on the job's data, and what one should know about it; errors first.

    With `hyperparameters` also what does not fit between them and the data.
    """
    return findings_of(examine_job(job), hyperparameters)


def findings_of(examination: Examination, hyperparameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """All that an examination found, and what does not fit between the data and the hyperparameters; errors first."""
    return worst_first([*examination.findings, *examination.findings_with(hyperparameters or {})])


def examine_job(job: Job) -> Examination:
    """All that the check of the job's data finds out; nothing for a custom job."""
    if not job.algorithm:
        return Examination()
    if unfinished := unfinished_data(job):
        return Examination(tuple(map(_not_completed, unfinished)))
    return reader_of(job.algorithm).examine(job)


def unfinished_data(job: Job) -> list[Data]:
    """The data of the job that are still in the making, or were never completed."""
    return [data for data in job.data_by_input().values() if data.status != Status.COMPLETED]


def given_hyperparameters(job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """Some hyperparameters, typed. UserError names those that the algorithm does not take."""
    if not given:
        return {}
    algorithm = manifest(job.algorithm)
    known = {each.name: each for each in algorithm.hyperparameters}
    typed: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, value in given.items():
        if name not in known:
            wrong[name] = _(
                "%(name)s is not a hyperparameter of %(algorithm)s; it takes %(known)s.",
                name=name,
                algorithm=algorithm.name,
                known=", ".join(known),
            )
        elif value not in (None, ""):
            try:
                typed[name] = known[name].parse(value)
            except HyperparameterError as error:
                wrong |= error.details
    if wrong:
        raise UserError(
            joined(" ", wrong.values()), reason="invalid_hyperparameters", details={"hyperparameters": wrong}
        )
    return typed


def manifest_hashes(job: Job) -> dict[str, str]:
    """Name of the input -> hash of the data's manifest: what a training was made from."""
    return {name: data.manifest_sha256 for name, data in job.data_by_input().items()}


def _not_completed(data: Data) -> Finding:
    values = {"data": data.name, "status": data.get_status_display().lower()}
    message = _("“%(data)s” is %(status)s.", **values)
    if data.status in ACTIVE:
        fix = _("Wait until it is completed.")
    else:
        message = joined(" ", [message, data.error]) if data.error else message
        fix = _("Choose another data for the job.")
    return finding("error", "data_not_completed", message, fix)
