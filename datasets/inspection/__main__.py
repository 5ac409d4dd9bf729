"""`python -m datasets.inspection RUN_FOLDER`: inspect the files of a data (docs/contracts.md)."""

import json
import sys
import traceback
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from datasets.inspection.archives import MemberDamaged
from datasets.inspection.cpu_limit import DECODE_SECONDS
from datasets.inspection.files import FileReport, inspect_file, with_looks
from datasets.inspection.parallel import map_files
from datasets.inspection.profile import Profiler
from datasets.inspection.sources import SourceFile, Sources
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.sentences import Sentence as _


class _Outcome(NamedTuple):
    source: SourceFile
    report: FileReport


def inspect(run: RunFolder) -> None:
    spec = run.spec
    (run.output / "thumbnails").mkdir(parents=True, exist_ok=True)
    counts = {"ok": 0, "rejected": 0}
    sources = Sources.of(run)
    profiler = Profiler()
    with open(run.output / "files.jsonl", "w", encoding="utf-8") as output:
        outcomes = map_files(
            run,
            partial(_inspect_all, run, spec["thumbnail_px"], spec.get("decode_seconds", DECODE_SECONDS)),
            sources.stream(),
            total=sources.total,
            workers=spec["workers"],
            lost=_lost,
        )
        for source, report in outcomes:
            counts[report.state] += 1
            row = _row(run, source, report)
            output.write(json.dumps(row, ensure_ascii=False) + "\n")
            profiler.add({**row, "label": source.label}, look=report.look, table=report.table)
            profiler.offer(run)
            if source.is_new and not source.refusal and report.state == "rejected":
                source.path.unlink(missing_ok=True)
    sources.check_complete()
    profiler.finish(run, skipped=sources.skipped)
    run.finish(**counts, skipped=sources.skipped)


def _inspect_all(
    run: RunFolder, thumbnail_px: int, decode_seconds: float, sources: Iterable[SourceFile]
) -> Iterator[_Outcome]:
    outcomes = [_inspect(run, thumbnail_px, decode_seconds, source) for source in sources]
    reports = with_looks([outcome.report for outcome in outcomes])
    return (_Outcome(outcome.source, report) for outcome, report in zip(outcomes, reports, strict=True))


def _inspect(run: RunFolder, thumbnail_px: int, decode_seconds: float, source: SourceFile) -> _Outcome:
    if source.refusal:
        return _Outcome(source, _refused(source, *source.refusal))
    try:
        source.bring()
    except MemberDamaged as error:
        return _Outcome(source, _refused(source, error.message, error.reason))
    thumbnail = Path(f"{run.path}/output/thumbnails/{source.key}.jpg")
    try:
        report = inspect_file(
            source.path, source.name, thumbnail, thumbnail_px=thumbnail_px, decode_seconds=decode_seconds
        )
    except MemoryError:
        return _lost(source)
    except Exception as error:  # What nobody foresaw in one file must not cost the others.
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's fault, not the file's
        traceback.print_exc()
        message = _("The file could not be read (%(error)s).", error=f"{type(error).__name__}: {error}")
        return _Outcome(source, _refused(source, message, "unreadable"))
    return _Outcome(source, report)


def _lost(source: SourceFile) -> _Outcome:
    message = _("The file could not be read: its decoder crashed, ran out of memory or took too long.")
    return _Outcome(source, _refused(source, message, "decoder_crashed"))


def _refused(source: SourceFile, error: str, reason: str) -> FileReport:
    size_bytes = source.size_bytes or (source.path.stat().st_size if source.path.is_file() else 0)
    return FileReport("rejected", error, reason, content="", sha256=source.sha256, size_bytes=size_bytes)


def _row(run: RunFolder, source: SourceFile, report: FileReport) -> dict[str, Any]:
    row = {"id": source.id, "name": source.name, **report.as_row(run_folder=run.path)}
    if source.archive_id is not None:
        row |= {"archive_id": source.archive_id, "label": source.label}
    if source.is_new:
        is_kept = report.state == "ok"
        row["file"] = source.local_path if is_kept else None
        row["sha256"] = report.sha256 if is_kept else ""  # by which the site knows that there are bytes to delete
    return row


if __name__ == "__main__":
    sys.exit(run_main(inspect))
