"""`python -m datasets.preprocessing RUN_FOLDER`: run steps on the files of a data (docs/contracts.md)."""

import json
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from datasets.inspection.cpu_limit import DECODE_SECONDS
from datasets.inspection.files import FileReport
from datasets.inspection.images import ImageError
from datasets.inspection.names import check_name
from datasets.inspection.parallel import map_files
from datasets.inspection.profile import Profiler
from datasets.preprocessing.files import Made, Places, process_file, with_looks
from datasets.preprocessing.manifest import Manifest
from datasets.preprocessing.operation import Step
from datasets.preprocessing.plan import Plan
from datasets.preprocessing.registry import StepError, validate_steps
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

_LISTED = 20
_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make an encoder for each row


@dataclass(frozen=True)
class _Job:
    """What the worker processes are told with each handful of files: little, so steps as JSON, and no selections."""

    run: RunFolder
    steps: str
    places: Places
    decode_seconds: float


@lru_cache(maxsize=1)
def _plan(steps: str) -> Plan:
    return Plan.of([Step(each["op"], each["values"]) for each in json.loads(steps)])


@dataclass(frozen=True)
class _Outcome:
    """What became of one file: what was made of it, or why nothing was."""

    made: tuple[Made, ...]
    name: str = ""
    error: str = ""


@dataclass
class _Output:
    """Writes the rows of files as they come, counts and profiles them and remembers the bad ones."""

    run: RunFolder
    rows: TextIO
    profiler: Profiler = field(default_factory=Profiler)
    ok: int = 0
    rejected: int = 0
    bad: list[str] = field(default_factory=list)

    def take(self, outcome: _Outcome) -> None:
        for row, _glance, look in outcome.made:
            self.rows.write(_encode(row) + "\n")
            self.profiler.add(row, look=look)
        self.profiler.offer(self.run)
        if outcome.error:
            self.rejected += 1
            if len(self.bad) < _LISTED:
                self.bad.append(joined(": ", (outcome.name, outcome.error)))
        else:
            self.ok += len(outcome.made)


def preprocess(run: RunFolder) -> None:
    spec = run.spec
    steps = _checked(spec)
    plan = Plan.of(steps)
    manifest = Manifest.selected(run.path / spec["files"], plan, rejected_count=spec.get("rejected_count", 0))
    effects = [
        {"op": step.op, "dropped": effect.dropped, "relabelled": effect.relabelled}
        for step, effect in zip(plan.selections, manifest.effects, strict=True)
    ]
    for effect in effects:
        print("{op}: {dropped} files left out, {relabelled} given another label".format(**effect), flush=True)
    places = Places(str(run.path), spec["thumbnail_px"])
    with open(run.output / "files.jsonl", "w", encoding="utf-8") as rows:
        output = _Output(run, rows)
        if plan.keeps_originals and not plan.copies:
            for row in manifest.rows():
                output.take(_Outcome((_carried(row),)))
        else:
            on_images = [{"op": step.op, "values": step.values} for step in steps if step not in plan.selections]
            decode_seconds = spec.get("decode_seconds", DECODE_SECONDS)
            _process(_Job(run, json.dumps(on_images), places, decode_seconds), manifest, output, spec)
    if output.bad and spec["on_error"] == "fail":
        raise RunError(_failure(output.bad), reason="bad_files")
    output.profiler.finish(run)
    run.finish(ok=output.ok, rejected=output.rejected, selections=effects)


def _checked(spec: dict[str, Any]) -> tuple[Step, ...]:
    if spec["on_error"] not in ("fail", "skip"):
        raise RunError(
            _("on_error must be fail or skip; received %(received)s.", received=repr(spec["on_error"])),
            reason="invalid_steps",
        )
    try:
        return validate_steps(spec["steps"])
    except StepError as error:
        raise RunError(error.message, reason="invalid_steps") from error


def _process(job: _Job, manifest: Manifest, output: _Output, spec: dict[str, Any]) -> None:
    outcomes = map_files(
        job.run,
        partial(_process_lines, job),
        manifest.lines(),
        total=manifest.count,
        workers=spec["workers"],
        lost=partial(_lost_line, job),
    )
    for outcome in outcomes:
        output.take(outcome)
        if len(output.bad) == _LISTED and spec["on_error"] == "fail":
            outcomes.close()
            break


def _failure(bad: list[str]) -> str:
    if len(bad) == _LISTED:
        what = _("At least %(count)d files were not preprocessed.", count=_LISTED)
    elif len(bad) == 1:
        what = _("1 file was not preprocessed.")
    else:
        what = _("%(count)d files were not preprocessed.", count=len(bad))
    return joined("\n", (joined(" ", (what, _("Remove what is listed here or choose to skip bad files."))), *bad))


def _process_lines(job: _Job, lines: Iterable[str]) -> Iterator[_Outcome]:
    outcomes = [_process_line(job, line) for line in lines]
    made = with_looks([each for outcome in outcomes for each in outcome.made])
    return (replace(outcome, made=tuple(islice(made, len(outcome.made)))) for outcome in outcomes)


def _process_line(job: _Job, line: str) -> _Outcome:
    row = json.loads(line)
    name = check_name(row["name"])  # SECURITY: never outside the folder.
    plan = _plan(job.steps)
    made = [_carried(row)] if plan.keeps_originals else []
    try:
        results = process_file(
            row["path"], name, plan, job.places, stem=str(row["id"]), decode_seconds=job.decode_seconds
        )
        for result in results:
            made.append(Made({"id": row["id"], "label": row["label"], **result.row}, result.glance))
    except ImageError as error:
        return _rejected(job, row, error.message, error.reason)
    except MemoryError:
        return _lost_line(job, line)
    except Exception as error:  # What nobody foresaw in one file must not cost the others.
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's fault, not the file's
        traceback.print_exc()
        message = _("The file could not be read (%(error)s).", error=f"{type(error).__name__}: {error}")
        return _rejected(job, row, message, "unreadable")
    return _Outcome(tuple(made))


def _lost_line(job: _Job, line: str) -> _Outcome:
    message = _("Its decoder crashed, ran out of memory or took too long on this file.")
    return _rejected(job, json.loads(line), message, "decoder_crashed")


def _rejected(job: _Job, row: dict[str, Any], message: str, reason: str) -> _Outcome:
    size_bytes = Path(row["path"]).stat().st_size
    report = FileReport("rejected", message, reason, content="", sha256="", size_bytes=size_bytes)
    fields = {"id": row["id"], "name": row["name"], "label": row["label"]}
    made = Made({**fields, **report.as_row(run_folder=job.run.path), "file": None})
    return _Outcome((made,), row["name"], message)


def _carried(row: dict[str, Any]) -> Made:
    """The row of a file that stays as it is: what the site knows of it already, to be copied there."""
    facts = {name: value for name, value in row.items() if name != "path"}
    return Made({**facts, "state": "ok", "error": "", "reason": "", "thumbnail": None, "file": None, "carry": True})


if __name__ == "__main__":
    sys.exit(run_main(preprocess))
