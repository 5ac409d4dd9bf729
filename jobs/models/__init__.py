"""Jobs, their trainings, and how good these are."""

from jobs.models.downloads import Download
from jobs.models.evaluations import Estimate, Evaluation
from jobs.models.jobs import Instance, InstanceKind, Job, JobInput, OnInstance
from jobs.models.trainings import EpochMetrics, Training

__all__ = [
    "Download",
    "EpochMetrics",
    "Estimate",
    "Evaluation",
    "Instance",
    "InstanceKind",
    "Job",
    "JobInput",
    "OnInstance",
    "Training",
]
