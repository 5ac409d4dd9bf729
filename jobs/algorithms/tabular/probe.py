"""Foretells what a training takes: the training's own steps on some of the rows, and what follows for all of them."""

import csv
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.probing import Parts, seconds_since_start
from jobs.algorithms.progress import CHECKPOINT_SHARE, tell
from jobs.algorithms.runtime import load_tensorflow, memory_errors, thread_count
from jobs.algorithms.tabular.settings import Settings
from jobs.algorithms.tabular.table import Table, TableFile, read_files

_ROWS = 10_000  # that are learned from, about
_EPOCHS = 3  # in the first ones TensorFlow makes its graphs
_OF_EACH_CLASS, _CLASSES = 4, 500  # rows that are taken in any case
_LEAST_ROWS = 100
_FEW = 4  # of so many rows that are tried one is tried before, to know what is done once
_LINE_BYTES = 1 << 20
_CELL_BYTES, _ROW_BYTES, _ANSWER_BYTES = 90, 150, 16


@dataclass(frozen=True)
class _Sample:
    """Rows of a table at even distances, as a csv file, and `few` of these as another, with their numbers of rows.

    `targets`: of all rows of the table. `columns`: their number.
    """

    file: TableFile
    rows: int
    few: TableFile
    few_rows: int
    targets: list[str]
    columns: int

    @property
    def all_rows(self) -> int:
        return len(self.targets)


def probe(run: RunFolder) -> None:
    """Do for some rows what the spec says, and answer `estimate` for all of them, at most."""
    settings = Settings.of(run.spec["hyperparameters"])
    parts = Parts()
    tell(run, "Loading TensorFlow")
    load_tensorflow(run.path / "tensorflow.log")
    parts.add("start", seconds_since_start())
    run.progress(0.2)
    files = read_files(run.path / run.spec["table"])
    sample, read_s = parts.timed(lambda: _draw(run, files, settings))
    run.progress(0.4)
    with memory_errors():
        memory_bytes, rows = _probe_training(run, settings, sample, parts, read_s)
    estimate = {
        "seconds": round(sum(parts.seconds.values()), 1),
        "memory_bytes": memory_bytes,
        "parts": parts.seconds,
        "samples": rows,
    }
    run.progress(1.0)
    run.finish(estimate=estimate)


def _draw(run: RunFolder, files: Sequence[TableFile], settings: Settings) -> _Sample:
    """Read the whole table, and write every so many rows of it, and a few of each class, as a csv file."""
    table = Table(files)
    place = table.place(settings.target)
    step = max(sum(map(_lines, files)) // _ROWS, 1)
    targets: list[str] = []
    seen: Counter[str] = Counter()
    rows = few_rows = 0
    drawn, few = (TableFile(name, run.path / name) for name in ("sample.csv", "few.csv"))
    with (
        drawn.path.open("w", encoding="utf-8", newline="") as of_drawn,
        few.path.open("w", encoding="utf-8", newline="") as of_few,
    ):
        writer, few_writer = csv.writer(of_drawn), csv.writer(of_few)
        writer.writerow(table.names)
        few_writer.writerow(table.names)
        for row in table.rows(run):
            target = row[place]
            is_rare = seen[target] < _OF_EACH_CLASS and (target in seen or len(seen) < _CLASSES)
            if is_rare or len(targets) % step == 0:
                seen[target] += 1
                rows += 1
                writer.writerow(row)
                if is_rare or rows % _FEW == 0:
                    few_rows += 1
                    few_writer.writerow(row)
            targets.append(target)
    if few_rows < _LEAST_ROWS:
        few, few_rows = drawn, rows
    return _Sample(drawn, rows, few, few_rows, targets, len(table.names))


def _lines(file: TableFile) -> int:
    with file.path.open("rb") as content:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: content.read(_LINE_BYTES), b""))


def _probe_training(
    run: RunFolder, settings: Settings, sample: _Sample, parts: Parts, read_s: float
) -> tuple[int, int]:
    """Adds to `parts`; answers the peak of memory in bytes, and how many rows were tried."""
    from jobs.algorithms.tabular.evaluation import measure_own_rows, measured_rows
    from jobs.algorithms.tabular.export import export_bundle
    from jobs.algorithms.tabular.fitting import Fitting, members_of
    from jobs.algorithms.tabular.linear import MOST_ROWS
    from jobs.algorithms.tabular.prepared import KEPT_CELLS, prepare, split
    from jobs.algorithms.tabular.target import read_target

    spec = run.spec
    whole = read_target(sample.targets, column=settings.target, task=settings.task)
    train, held_out = (len(rows) for rows in split(whole, share=settings.validation_split, seed=spec["seed"]))
    short = replace(
        settings,
        task=whole.task,
        epochs=min(settings.epochs, _EPOCHS),
        early_stopping=False,
        batch_size=settings.rows_per_step(train),
    )
    files = [sample.file]
    few_s = parts.timed(lambda: prepare(run, [sample.few], short, seed=spec["seed"]))[1]
    prepared, all_s = parts.timed(lambda: prepare(run, files, short, seed=spec["seed"]))
    of_row = max(all_s - few_s, 0) / max(sample.rows - sample.few_rows, 1)
    is_read_twice = sample.all_rows * sample.columns > KEPT_CELLS
    parts.add("preparing", few_s + of_row * (sample.all_rows - sample.few_rows) + read_s * is_read_twice)
    run.progress(0.5)
    fitting = Fitting(run, prepared, short, identity={}, seed=spec["seed"], members=members_of(train))
    (model, _outcome), fit_s = parts.timed(fitting.run_to_end)
    tried, aside = len(prepared.train), len(prepared.held_out)
    of_epochs = [_seconds_of_epoch(event, tried) for event in run.read_events(0)[0] if event["type"] == "epoch"]
    learn_s, measure_s = of_epochs[-1]
    once_s = fit_s - fitting.linear_s - len(of_epochs) * (learn_s + measure_s)
    linear_s = fitting.linear_s * min(train, MOST_ROWS) / min(tried, MOST_ROWS)
    epoch_s = learn_s * train / tried + measure_s * _asked(train, held_out) / _asked(tried, aside)
    parts.add("training", max(once_s, 0) + linear_s + settings.epochs * epoch_s * (1 + CHECKPOINT_SHARE))
    run.progress(0.8)
    tell(run, "Exporting the model")
    export_s = parts.timed(
        lambda: export_bundle(
            run.output / "bundle",
            model,
            columns=prepared.columns,
            left_out=prepared.left_out,
            target=settings.target,
            classes=prepared.target.classes,
            algorithm=spec["algorithm"],
            name=spec["name"],
            metrics={},
        )
    )[1]
    parts.add("export", export_s)
    importance_s = parts.timed(lambda: fitting.importance(model))[1]
    measure_s = parts.timed(
        lambda: measure_own_rows(
            run, files, prepared, baselines=[], seed=spec["seed"], threads=thread_count(spec["threads"])
        )
    )[1]
    more = measured_rows(train, held_out) / measured_rows(tried, aside)
    parts.add("measuring", importance_s + measure_s * more + read_s)
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return peak + _bytes_of_others(sample, prepared, train, held_out), tried + aside


def _bytes_of_others(sample: _Sample, prepared: Any, train: int, held_out: int) -> int:
    """The memory that the rows beyond the sample would take, at most."""
    from jobs.algorithms.tabular.linear import MOST_ROWS
    from jobs.algorithms.tabular.prepared import KEPT_CELLS

    tried, features, encoder = len(prepared.train), prepared.features, prepared.encoder
    # Features are there twice, for NumPy and TensorFlow; of the linear part's matrix there are three.
    of_row = 2 * (features.dense[:1].nbytes + features.ids[:1].nbytes) + _ROW_BYTES
    of_row += _ANSWER_BYTES * max(len(prepared.target.classes), 1)
    of_row_in_matrix = 3 * 12 * (encoder.width + encoder.places)
    rows = train + held_out - tried - len(prepared.held_out)
    cells = min(sample.all_rows * sample.columns, KEPT_CELLS) - sample.rows * sample.columns
    in_matrix = min(train, MOST_ROWS) - min(tried, MOST_ROWS)
    return int(rows * of_row + max(cells, 0) * _CELL_BYTES + in_matrix * of_row_in_matrix)


def _seconds_of_epoch(event: dict[str, Any], rows: int) -> tuple[float, float]:
    """For learning from the rows, and for measuring afterwards."""
    learn_s = rows / event["metrics"]["rows_per_second"]
    return learn_s, max(event["seconds"] - learn_s, 0)


def _asked(train: int, held_out: int) -> int:
    """The rows whose answers are asked for after each epoch, about."""
    from jobs.algorithms.tabular.fitting import MOST_JUDGED
    from jobs.algorithms.tabular.loop import MEASURED_ROWS

    return min(train, MEASURED_ROWS) + (2 * held_out or min(train, MOST_JUDGED))
