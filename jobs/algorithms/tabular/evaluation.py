"""A training measures its model at its end: on the rows that it held out, or else on those that it learned from."""

import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms.tabular.encoder import Cells
from jobs.algorithms.tabular.prepared import Prepared, chosen_cells
from jobs.algorithms.tabular.table import TableFile
from jobs.evaluation.results import ROWS, write_summary
from jobs.evaluation.rows import classification_rows, regression_rows
from jobs.evaluation.samples import Sample
from jobs.evaluation.served import ServedModel, load_served

_MOST_ROWS = 100_000
# What was learned from says little of the model, so a share of it is enough.
_MOST_TRAINING_ROWS = 2_000
_CHUNK_ROWS = 1024


def measure_own_rows(
    run: RunFolder,
    files: Sequence[TableFile],
    prepared: Prepared,
    *,
    baselines: list[dict[str, Any]],
    seed: int,
    threads: int,
) -> dict[str, Any]:
    """Write `output/evaluation/` by asking the bundle in `output/bundle`; answers the summary.

    A row is named by its number in the table, from 1 on, a header not counted.

    Raises:
        StopRequested: the site asked the process to stop.
    """
    started = time.monotonic()
    part, rows = ("held_out", prepared.held_out) if len(prepared.held_out) else ("training", prepared.train)
    of = len(rows)
    if of > (most := measured_rows(len(prepared.train), len(prepared.held_out))):
        rows = np.sort(np.random.default_rng((seed, 9)).choice(rows, most, replace=False))
    served = load_served(run.output / "bundle", threads=threads)
    folder = run.output / "evaluation"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_jsonl(folder / ROWS, _answered(run, served, prepared, rows, chosen_cells(run, files, prepared, rows)))
    return write_summary(
        folder,
        served,
        part=part,
        of=of,
        started=started,
        paths=lambda _places: {},
        threads=threads,
        baselines=baselines,
    )


def measured_rows(train: int, held_out: int) -> int:
    """How many rows are measured where so many were trained on and held out."""
    return min(held_out, _MOST_ROWS) if held_out else min(train, _MOST_TRAINING_ROWS)


def _answered(
    run: RunFolder, served: ServedModel, prepared: Prepared, rows: NDArray[np.int64], cells: Cells
) -> Iterator[Row]:
    target, labels = prepared.target, served.bundle.labels
    for start in range(0, len(rows), _CHUNK_ROWS):
        run.check_stop()
        piece = rows[start : start + _CHUNK_ROWS]
        answers = served.engine.predict(cells[start : start + _CHUNK_ROWS])
        names = [str(number + 1) for number in target.rows[piece].tolist()]
        values = target.values[piece].tolist()
        if target.is_classification:
            samples = [
                Sample(None, name, labels[value].label, value) for name, value in zip(names, values, strict=True)
            ]
            yield from classification_rows(samples, answers, labels)
        else:
            samples = [Sample(None, name, value, None) for name, value in zip(names, values, strict=True)]
            yield from regression_rows(samples, values, answers)
