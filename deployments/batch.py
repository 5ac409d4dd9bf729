"""Prepares a prediction job's run folder and takes over its predictions."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.base import cpu_count
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from dlmodeler_site.sentences import from_json
from dlmodeler_site.storage import workspace

if TYPE_CHECKING:
    from deployments.models import PredictionJob

BATCH = 1000
RESULTS_NAME = "results.csv"


def stage(job: PredictionJob, run: RunFolder) -> dict[str, Any]:
    """Write the manifest of files and answer the spec."""
    from datasets.models import File

    write_jsonl(run.input / "files.jsonl", job.data.staged_files(File.State.OK))
    return {
        "bundle": str(workspace().local_tree(job.bundle_key)),
        "files": "input/files.jsonl",
        "threads": cpu_count(),
        "steps": job.deployment.steps,
    }


def publish(job: PredictionJob, run: RunFolder) -> None:
    """Write the prediction rows, in batches, and the csv; nothing is shown before the job is completed."""
    from deployments.models import Prediction

    job.predictions.all().delete()  # of an attempt that died here
    job.file_count = job.failed_count = 0
    rows = _read_rows(run.output / "predictions.jsonl")
    table = run.output / RESULTS_NAME
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while batch := list(islice(rows, BATCH)):
            Prediction.objects.bulk_create(
                Prediction(
                    prediction_job=job,
                    file_id=row["id"],
                    label=row["label"],
                    class_name=row.get("class_name") or "",
                    probability=row.get("probability"),
                    top=row.get("top") or [],
                    error=row["error"],
                )
                for row in batch
            )
            writer.writerows(csv_row(row) for row in batch)
            job.file_count += len(batch)
            job.failed_count += sum(bool(row["error"]) for row in batch)
    workspace().put_file(job.results_key, table)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    for row in read_jsonl(path):
        yield {**row, "error": from_json(row["error"])}


def record(job: PredictionJob, run: RunFolder) -> None:
    """Save the totals; part of the completing transaction."""
    job.save(update_fields=["file_count", "failed_count"])


COLUMNS = ("file", "label", "class_name", "probability", "error")


def csv_row(row: dict[str, Any]) -> list[Any]:
    """One line of the results csv. SECURITY: a name that a spreadsheet would run as a formula is quoted."""
    values = [row["name"], row["label"], row.get("class_name"), row.get("probability"), row["error"]]
    return [f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value for value in values]
