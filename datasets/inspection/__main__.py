"""`python -m datasets.inspection RUN_FOLDER`: inspect the files of a data (docs/contracts.md)."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from datasets.inspection.files import FileReport, inspect_file
from datasets.inspection.parallel import count_lines, map_files
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl
from dlmodeler_site.sentences import Sentence as _


def inspect(run: RunFolder) -> None:
    spec = run.spec
    manifest = run.path / spec["files"]
    (run.output / "thumbnails").mkdir(parents=True, exist_ok=True)
    counts = {"ok": 0, "rejected": 0}
    with open(run.output / "files.jsonl", "w", encoding="utf-8") as output:
        rows = map_files(
            run,
            partial(_inspect_row, run, spec["thumbnail_px"]),
            read_jsonl(manifest),
            total=count_lines(manifest),
            workers=spec["workers"],
            lost=partial(_lost_row, run),
        )
        for state, line in rows:
            counts[state] += 1
            output.write(line)
    run.finish(**counts)


def _inspect_row(run: RunFolder, thumbnail_px: int, row: dict[str, Any]) -> tuple[str, str]:
    thumbnail = run.output / "thumbnails" / f"{row['id']}.jpg"
    report = inspect_file(Path(row["path"]), row["name"], thumbnail, thumbnail_px=thumbnail_px)
    return _line(run, row, report)


def _lost_row(run: RunFolder, row: dict[str, Any]) -> tuple[str, str]:
    report = FileReport(
        state="rejected",
        error=_("The file could not be read: its decoder crashed or ran out of memory."),
        reason="decoder_crashed",
        content="",
        sha256=row.get("sha256", ""),  # by which the site knows that there are bytes to delete
        size_bytes=Path(row["path"]).stat().st_size,
    )
    return _line(run, row, report)


def _line(run: RunFolder, row: dict[str, Any], report: FileReport) -> tuple[str, str]:
    fields = {"id": row["id"], "name": row["name"], **report.as_row(run_folder=run.path)}
    return report.state, json.dumps(fields, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(run_main(inspect))
