"""`python -m jobs.evaluation RUN_FOLDER`: measure a model on labelled data (docs/contracts.md)."""

import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.in_order import map_in_order
from dlmodeler_site.compute.row_file import Row, RowFile
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import from_json, joined
from jobs.algorithms.runtime import thread_count
from jobs.bundles.bundle import ImageInput
from jobs.evaluation.image_samples import ImageSamples
from jobs.evaluation.results import ROWS, write_summary
from jobs.evaluation.samples import Samples
from jobs.evaluation.served import ServedModel, load_served
from jobs.evaluation.table_samples import TableSamples

CHECKPOINT_EVERY_S = 10.0
PROGRESS_EVERY_S = 0.5
_NAMED = 10


def evaluate(run: RunFolder) -> None:
    """Write `output/evaluation/`, going on from the checkpoint if there is one."""
    spec = run.spec
    threads = thread_count(spec["threads"])
    manifest = run.path / spec["samples"]
    if next(read_jsonl(manifest), None) is None:
        raise RunError(_("There is no labelled sample to measure the model on."), reason="no_samples")
    folder = run.output / "evaluation"
    started = time.monotonic()
    with RowFile(run, folder / ROWS) as results, ThreadPoolExecutor(threads) as workers:
        served = load_served(Path(spec["bundle"]), threads=threads)
        samples = _samples(served, manifest)
        total = samples.total
        next_checkpoint, next_progress = time.monotonic() + CHECKPOINT_EVERY_S, 0.0
        chunks = samples.chunks(start=results.rows)
        try:
            for rows in map_in_order(workers, samples.answer, chunks, ahead=2 * threads):
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
        paths=samples.paths,
        threads=threads,
    )
    if not summary["samples"]:
        raise _nothing_measured(served, summary, next(read_jsonl(folder / ROWS)))
    run.progress(1.0)
    run.finish(summary=summary)


def _samples(served: ServedModel, manifest: Path) -> Samples:
    if isinstance(served.bundle.input, ImageInput):
        return ImageSamples(served, manifest)
    return TableSamples(served, manifest)


def _nothing_measured(served: ServedModel, summary: dict[str, Any], first: Row) -> RunError:
    if summary["unreadable"]["count"] == summary["of"]:
        parts = [
            _("Not one of the %(count)d samples can be read. Choose data with sound files.", count=summary["of"]),
            _("The first, %(name)s: %(why)s", name=first["name"], why=from_json(first["error"])),
        ]
        return RunError(joined(" ", parts), reason="nothing_measured")
    if served.bundle.task == "regression":
        return RunError(
            _(
                "Not one of the %(count)d rows has a number in the target column %(column)s. "
                "Choose data that tells it.",
                count=summary["of"],
                column=repr(served.bundle.table.target),
            ),
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
