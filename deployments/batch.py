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
    from deployments.truth import Truth

BATCH = 1000
RESULTS_NAME = "results.csv"


def stage(job: PredictionJob, run: RunFolder) -> dict[str, Any]:
    """Write the manifest of files and answer the spec."""
    from datasets.models import Data, File

    files = job.data.staged_files(File.State.OK)
    if job.version.takes_tables:
        tables = set(job.data.files.filter(content=Data.Content.TABLE).values_list("pk", flat=True))
        files = (file for file in files if file["id"] in tables)
    write_jsonl(run.input / "files.jsonl", files)
    return {
        "bundle": str(workspace().local_tree(job.version.bundle_key)),
        "files": "input/files.jsonl",
        "threads": cpu_count(),
        "steps": job.version.steps,
    }


def publish(job: PredictionJob, run: RunFolder) -> None:
    """Write the prediction rows, in batches, and the csv; nothing is shown before the job is completed."""
    from deployments.truth import Truth

    job.predictions.all().delete()  # of an attempt that died here
    job.file_count = job.row_count = job.failed_count = 0
    truth = Truth(job)
    predictions, table = run.output / "predictions.jsonl", run.output / RESULTS_NAME
    if not job.version.takes_tables:  # those have their csv from the process, with the columns of their files
        _write_csv(predictions, table)
    rows = _read_rows(predictions)
    last_file = None
    while batch := list(islice(rows, BATCH)):
        _write_rows(job, batch, truth)
        for row in batch:
            job.file_count += row["id"] != last_file
            job.row_count += "row" in row and row["row"] > 0
            job.failed_count += bool(row["error"])
            last_file = row["id"]
    job.summary = truth.summary()
    workspace().put_file(job.results_key, table)


def _write_rows(job: PredictionJob, batch: list[dict[str, Any]], truth: Truth) -> None:
    from deployments.models import Prediction

    Prediction.objects.bulk_create(
        Prediction(
            prediction_job=job,
            file_id=row["id"],
            row=row.get("row", 0),
            label=row.get("label"),
            class_name=(row.get("class_name") or "")[:200],
            probability=row.get("probability"),
            value=row.get("value"),
            target=truth.target_of(row),
            top=row.get("top") or [],
            error=row["error"],
        )
        for row in batch
    )


def _write_csv(predictions: Path, table: Path) -> None:
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(csv_row, _read_rows(predictions)))


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    for row in read_jsonl(path):
        yield {**row, "error": from_json(row["error"])}


def record(job: PredictionJob, run: RunFolder) -> None:
    """Save what it came to; part of the completing transaction."""
    job.save(update_fields=["file_count", "row_count", "failed_count", "summary"])


COLUMNS = ("file", "label", "class_name", "probability", "error")


def csv_row(row: dict[str, Any]) -> list[Any]:
    """One line of the results csv. SECURITY: a name that a spreadsheet would run as a formula is quoted."""
    values = [row["name"], row["label"], row.get("class_name"), row.get("probability"), row["error"]]
    return [f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value for value in values]
