"""Checks a job's data before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.findings import Finding
from jobs.readers.base import Examination
from jobs.readers.registry import reader_of

if TYPE_CHECKING:
    from jobs.models import Job


def check(job: Job, hyperparameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """What stands in the way of training on the job's data, and what one should know about it; errors first.

    With `hyperparameters` also what does not fit between them and the data.
    """
    examination = examine_job(job)
    found = [*examination.findings_with(hyperparameters or {}), *examination.findings]
    return sorted(found, key=lambda finding: finding.severity)  # error < warning


def examine_job(job: Job) -> Examination:
    """All that the check of the job's data finds out; nothing for a custom job."""
    return reader_of(job.algorithm).examine(job) if job.algorithm else Examination()


def manifest_hashes(job: Job) -> dict[str, str]:
    """Name of the input -> hash of the data's manifest: what a training was made from."""
    return {name: data.manifest_sha256 for name, data in job.data_by_input().items()}
