"""Prepares a training's run folder: what the reader of its data writes, and the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder
from jobs import pixel_cache
from jobs.checking import preflight
from jobs.readers.registry import reader_of

if TYPE_CHECKING:
    from jobs.models import Training


def stage(training: Training, run: RunFolder) -> dict[str, Any]:
    """Write the samples and answer the spec."""
    job = training.job
    staged = reader_of(job.algorithm).stage(job, training.hyperparameters, run)
    training.labels = staged.labels
    read = job.data_by_input()
    known = training.record_of_run  # by an attempt before
    training.record_of_run = {
        **{name: known[name] for name in ("planned_epochs", "planned_stages") if name in known},
        "data": preflight.manifest_hashes(job),
        "inputs": {name: {"id": data.pk, "name": data.name, "files": data.file_count} for name, data in read.items()},
        "hyperparameters": training.hyperparameters,
        "attempts": training.record_of_run.get("attempts", {}),
    }
    training.save(update_fields=["labels", "record_of_run"])
    return {
        "algorithm": job.algorithm,
        "name": training.name,
        "hyperparameters": training.hyperparameters,
        **staged.spec,
        "seed": training.seed,
        "threads": cpu_count(),
        "gpus": training.instance_count if training.instance_kind == "gpu" else 0,
        "cache": str(pixel_cache.folder()),
    }
