"""`python -m jobs.evaluation RUN_FOLDER`: measure a model on labelled data (docs/contracts.md)."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.in_order import map_in_order
from dlmodeler_site.compute.row_file import Row, RowFile
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.runtime import thread_count
from jobs.evaluation.results import ROWS, write_summary
from jobs.evaluation.rows import classification_rows, unreadable_row
from jobs.evaluation.samples import LabelMap, Sample
from jobs.evaluation.served import ServedModel, load_served, read_fitted

CHECKPOINT_EVERY_S = 10.0
PROGRESS_EVERY_S = 0.5
_CHUNK = 8
_NAMED = 10


def evaluate(run: RunFolder) -> None:
    """Write `output/evaluation/`, going on from the checkpoint if there is one."""
    spec = run.spec
    threads = thread_count(spec["threads"])
    manifest = run.path / spec["samples"]
    total = sum(1 for _line in read_jsonl(manifest))
    if not total:
        raise RunError(_("There is no labelled sample to measure the model on."), reason="no_samples")
    folder = run.output / "evaluation"
    started = time.monotonic()
    with RowFile(run, folder / ROWS) as results, ThreadPoolExecutor(threads) as workers:
        served = load_served(Path(spec["bundle"]), threads=threads)
        labels = LabelMap(served.bundle.labels)
        next_checkpoint, next_progress = time.monotonic() + CHECKPOINT_EVERY_S, 0.0
        answer = partial(_answer, served, labels)
        try:
            for rows in map_in_order(workers, answer, _chunks(manifest, start=results.rows), ahead=2 * threads):
                results.add(rows)
                if time.monotonic() >= next_progress:
                    run.progress(results.rows / total)
                    next_progress = time.monotonic() + PROGRESS_EVERY_S
                if time.monotonic() >= next_checkpoint:
                    results.put_checkpoint()
                    next_checkpoint = time.monotonic() + CHECKPOINT_EVERY_S
                run.check_stop()
        except StopRequested:
            workers.shutdown(wait=False, cancel_futures=True)
            results.put_checkpoint()
            raise
        before = results.write_through().seconds - (time.monotonic() - started)
    summary = write_summary(
        folder,
        served,
        part=spec["part"],
        of=total,
        started=started - max(before, 0.0),
        paths=partial(_paths, manifest),
        threads=threads,
    )
    if not summary["samples"]:
        raise _nothing_measured(served, summary)
    run.progress(1.0)
    run.finish(summary=summary)


def _chunks(manifest: Path, *, start: int) -> Iterator[list[Row]]:
    rows = islice(read_jsonl(manifest), start, None)
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _answer(served: ServedModel, labels: LabelMap, chunk: list[Row]) -> list[Row]:
    """One row for each sample, in order."""
    samples = [Sample(row["id"], row["name"], row["label"], labels.index(row["label"])) for row in chunk]
    read = [read_fitted(served.bundle, Path(row["path"])) for row in chunk]
    sound = [(sample, pixels) for sample, pixels in zip(samples, read, strict=True) if not isinstance(pixels, str)]
    answered: Iterator[Row] = iter(())
    if sound:
        probabilities = served.answer([pixels for _sample, pixels in sound])
        answered = iter(classification_rows([sample for sample, _pixels in sound], probabilities, served.bundle.labels))
    return [
        unreadable_row(sample, pixels) if isinstance(pixels, str) else next(answered)
        for sample, pixels in zip(samples, read, strict=True)
    ]


def _paths(manifest: Path, places: Sequence[int]) -> dict[int, Path]:
    wanted = set(places)
    return {place: Path(row["path"]) for place, row in enumerate(read_jsonl(manifest)) if place in wanted}


def _nothing_measured(served: ServedModel, summary: dict[str, Any]) -> RunError:
    if summary["unreadable"]["count"] == summary["of"]:
        return RunError(
            _("Not one of the %(count)d samples can be read. Choose data with sound files.", count=summary["of"]),
            reason="nothing_measured",
        )
    known = [str(label.class_name or label.label) for label in served.bundle.labels]
    given = [entry["label"] for entry in summary["unknown_labels"]["labels"]]
    return RunError(
        _(
            "Not one sample has a label that the model knows. It knows %(known)s; received %(given)s. "
            "Choose the labels that belong to the model.",
            known=_listed(known),
            given=_listed(given),
        ),
        reason="nothing_measured",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # OpenVINO's converter is not needed to run a model; it doubles the time of the import.
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
    sys.exit(run_main(evaluate))
