"""Prepares a training's run folder: the images with their targets, the label map, the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from datasets.models import File
from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from jobs import pixel_cache, preflight

if TYPE_CHECKING:
    from jobs.models import Training


def stage(training: Training, run: RunFolder) -> dict[str, Any]:
    """Write the manifest of labelled images and answer the spec."""
    images = training.job.input_data("images")
    if images is None:
        raise UserError(
            _("The job has no image data any more. Choose the data of the job again."), reason="input_missing"
        )
    assignment = preflight.assign_labels(training.job, num_types=training.hyperparameters["num_types"])

    def rows() -> Iterator[dict[str, Any]]:
        for file in images.staged_files(File.State.OK):
            target = assignment.targets.get(file["name"])
            if target is not None:
                yield {**{key: file[key] for key in ("name", "path", "sha256")}, "target": target}

    write_jsonl(run.input / "images.jsonl", rows())
    training.labels = assignment.labels
    training.record_of_run = {"data": assignment.manifest_hashes, "hyperparameters": training.hyperparameters}
    training.save(update_fields=["labels", "record_of_run"])
    return {
        "algorithm": training.job.algorithm,
        "name": training.name,
        "hyperparameters": training.hyperparameters,
        "images": "input/images.jsonl",
        "labels": assignment.labels,
        "seed": training.seed,
        "threads": cpu_count(),
        "gpus": training.instance_count if training.instance_kind == "gpu" else 0,
        "cache": str(pixel_cache.folder()),
    }
