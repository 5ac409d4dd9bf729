"""Prepares the probe that foretells what a training takes, and takes over what it measured."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder
from jobs import pixel_cache
from jobs.checking import preflight
from jobs.readers.registry import reader_of

if TYPE_CHECKING:
    from jobs.models import Estimate

SAMPLES = 192  # that a probe works on, at most
GPU = "gpu"


def can_probe(algorithm: str) -> bool:
    """Whether the algorithm has a probe."""
    return find_spec(f"jobs.algorithms.{algorithm}.probe") is not None


def stage(estimate: Estimate, run: RunFolder) -> dict[str, Any]:
    """Write some of the samples and answer the spec: that of a training, with `probe` in place of a name."""
    job = estimate.job
    staged = reader_of(job.algorithm).stage(job, estimate.hyperparameters, run, most=SAMPLES)
    estimate.details = {"data": preflight.manifest_hashes(job)}
    estimate.save(update_fields=["details"])
    return {
        "algorithm": job.algorithm,
        "probe": True,
        "name": job.name,
        "hyperparameters": estimate.hyperparameters,
        **staged.spec,
        "seed": 0,
        "threads": cpu_count(),
        "gpus": estimate.instance_count if estimate.instance_kind == GPU else 0,
        "cache": str(pixel_cache.folder()),
    }


def record(estimate: Estimate, run: RunFolder) -> None:
    """Save what the probe measured; part of the completing transaction."""
    found = (run.result() or {})["estimate"]
    estimate.seconds, estimate.memory_bytes = found["seconds"], found["memory_bytes"]
    estimate.details = {**estimate.details, "parts": found.get("parts", {}), "samples": found.get("samples")}
    estimate.save(update_fields=["seconds", "memory_bytes", "details"])
