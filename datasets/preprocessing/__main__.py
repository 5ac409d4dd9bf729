"""`python -m datasets.preprocessing RUN_FOLDER`: run steps on the images of a data (docs/contracts.md)."""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets.inspection.files import FileReport
from datasets.inspection.images import ImageError
from datasets.inspection.names import check_name
from datasets.inspection.parallel import count_lines, map_files
from datasets.preprocessing.files import process_file
from datasets.preprocessing.operation import Step
from datasets.preprocessing.registry import StepError, validate_steps
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

_LISTED = 20


@dataclass(frozen=True)
class _Job:
    run: RunFolder
    steps: tuple[Step, ...]
    thumbnail_px: int


@dataclass(frozen=True)
class _Outcome:
    name: str
    error: str
    line: str


def preprocess(run: RunFolder) -> None:
    spec = run.spec
    if spec["on_error"] not in ("fail", "skip"):
        raise RunError(
            _("on_error must be fail or skip; received %(received)s.", received=repr(spec["on_error"])),
            reason="invalid_steps",
        )
    try:
        steps = validate_steps(spec["steps"])
    except StepError as error:
        raise RunError(error.message, reason="invalid_steps") from error
    manifest = run.path / spec["files"]
    for folder in ("files", "thumbnails"):
        (run.output / folder).mkdir(parents=True, exist_ok=True)
    job = _Job(run, steps, spec["thumbnail_px"])
    counts = {"ok": 0, "rejected": 0}
    bad: list[str] = []
    with open(run.output / "files.jsonl", "w", encoding="utf-8") as output:
        outcomes = map_files(
            run,
            partial(_process_row, job),
            read_jsonl(manifest),
            total=count_lines(manifest),
            workers=spec["workers"],
            lost=partial(_lost_row, job),
        )
        for outcome in outcomes:
            counts["rejected" if outcome.error else "ok"] += 1
            output.write(outcome.line)
            if outcome.error and spec["on_error"] == "fail":
                bad.append(joined(": ", (outcome.name, outcome.error)))
                if len(bad) == _LISTED:
                    outcomes.close()
                    break
    if bad:
        raise RunError(_failure(bad), reason="bad_files")
    run.finish(**counts)


def _failure(bad: list[str]) -> str:
    if len(bad) == _LISTED:
        what = _("At least %(count)d files were not preprocessed.", count=_LISTED)
    elif len(bad) == 1:
        what = _("1 file was not preprocessed.")
    else:
        what = _("%(count)d files were not preprocessed.", count=len(bad))
    return joined("\n", (joined(" ", (what, _("Remove what is listed here or choose to skip bad files."))), *bad))


def _process_row(job: _Job, row: dict[str, Any]) -> _Outcome:
    destination = job.run.output / "files" / check_name(row["name"])  # SECURITY: never outside the folder.
    thumbnail = job.run.output / "thumbnails" / f"{row['id']}.jpg"
    try:
        report = process_file(
            Path(row["path"]), destination, job.steps, thumbnail=thumbnail, thumbnail_px=job.thumbnail_px
        )
    except ImageError as error:
        return _outcome(job, row, _rejected(row, error.message, error.reason))
    return _outcome(job, row, report)


def _lost_row(job: _Job, row: dict[str, Any]) -> _Outcome:
    message = _("Its decoder crashed or ran out of memory on this file.")
    return _outcome(job, row, _rejected(row, message, "decoder_crashed"))


def _rejected(row: dict[str, Any], message: str, reason: str) -> FileReport:
    size_bytes = Path(row["path"]).stat().st_size
    return FileReport("rejected", message, reason, content="", sha256="", size_bytes=size_bytes)


def _outcome(job: _Job, row: dict[str, Any], report: FileReport) -> _Outcome:
    fields = {
        "id": row["id"],
        "name": row["name"],
        "label": row["label"],
        **report.as_row(run_folder=job.run.path),
        "file": f"output/files/{row['name']}" if report.state == "ok" else None,
    }
    return _Outcome(row["name"], report.error, json.dumps(fields, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(run_main(preprocess))
