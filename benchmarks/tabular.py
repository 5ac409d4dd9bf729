"""Tables that scikit-learn ships, learned by default settings, against its linear models on the same rows.

python -m benchmarks.tabular [--seeds N] [NAME …]

*held out*: the rows that the training keeps aside; scikit-learn fits the same training rows, standardised. *unseen*: a
quarter of the table that no training saw; there scikit-learn fits all the others, and so does ours without a validation
split. Ours answers through the exported bundle. Each figure is the mean over the seeds.
"""

import argparse
import csv
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.runtime import prepare_environment
from jobs.algorithms.tabular.manifest import TABULAR
from jobs.bundles.bundle import load_bundle
from jobs.bundles.engine import load_engine

_NAMES = ("iris", "wine", "breast_cancer", "digits", "diabetes")
_UNSEEN = 0.25


@dataclass(frozen=True)
class Table:
    """`numbers` float64 (row, column), which `cells` are the texts of; `targets` texts, or float64."""

    names: tuple[str, ...]
    numbers: NDArray[np.float64]
    targets: NDArray[Any]

    @property
    def is_regression(self) -> bool:
        return bool(np.issubdtype(self.targets.dtype, np.floating))

    @property
    def cells(self) -> NDArray[np.object_]:
        texts = [[repr(number) for number in row] for row in self.numbers.tolist()]
        return np.array(texts, dtype=object)

    def linear(self, rows: NDArray[np.int64]) -> Any:
        model = LinearRegression() if self.is_regression else LogisticRegression(max_iter=2000)
        return make_pipeline(StandardScaler(), model).fit(self.numbers[rows], self.targets[rows])

    def score(self, rows: NDArray[np.int64], answers: NDArray[Any]) -> float:
        """R2, or accuracy."""
        truth = self.targets[rows]
        if self.is_regression:
            return float(1 - np.square(truth - answers).sum() / np.square(truth - truth.mean()).sum())
        return float(np.mean(truth == answers))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(_NAMES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'':14} {'held out':^17} {'unseen':^17}   {os.cpu_count()} cores, {arguments.seeds} seeds")
    print(f"{'':14} {'ours':>8} {'linear':>8} {'ours':>8} {'linear':>8} {'s':>6}")
    with tempfile.TemporaryDirectory() as folder:
        # A process that trains once never hears what TensorFlow has to say about several trainings in one.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        prepare_environment(threads=len(os.sched_getaffinity(0)), gpus=0, home=Path(folder) / "keras")
        for name in arguments.names:
            table = _load(name)
            measured = [_measure(table, Path(folder), seed) for seed in range(arguments.seeds)]
            means = [statistics.mean(values) for values in zip(*measured, strict=True)]
            print(f"{name:14} {' '.join(f'{mean:8.4f}' for mean in means[:4])} {means[4]:6.1f}", flush=True)


def _load(name: str) -> Table:
    loaded = getattr(datasets, f"load_{name}")()
    targets = np.asarray(loaded.target)
    if not np.issubdtype(targets.dtype, np.floating):
        targets = np.array([str(loaded.target_names[target]) for target in targets])
    return Table(tuple(map(str, loaded.feature_names)), np.asarray(loaded.data, np.float64), targets)


def _measure(table: Table, work: Path, seed: int) -> tuple[float, float, float, float, float]:
    order = np.random.default_rng(seed).permutation(len(table.targets))
    unseen, seen = np.split(order, [int(len(order) * _UNSEEN)])
    started = time.monotonic()
    run = _train(table, seen, work, seed)
    seconds = time.monotonic() - started
    held_out = seen[[int(row["name"]) - 1 for row in read_jsonl(run.output / "evaluation" / "evaluation.jsonl")]]
    ours = table.score(held_out, _answers(table, run, held_out))
    linear = table.linear(np.setdiff1d(seen, held_out))
    theirs = table.score(held_out, linear.predict(table.numbers[held_out]))
    whole = _train(table, seen, work, seed, validation_split=0)
    ours_unseen = table.score(unseen, _answers(table, whole, unseen))
    theirs_unseen = table.score(unseen, table.linear(seen).predict(table.numbers[unseen]))
    return ours, theirs, ours_unseen, theirs_unseen, seconds


def _train(table: Table, rows: NDArray[np.int64], work: Path, seed: int, **hyperparameters: Any) -> RunFolder:
    from jobs.algorithms.tabular.train import train

    path = work / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*table.names, "target"])
        writer.writerows([*cells, target] for cells, target in zip(table.cells[rows], table.targets[rows], strict=True))
    spec = {
        "algorithm": TABULAR.name,
        "name": "benchmark",
        "hyperparameters": validate_hyperparameters(TABULAR, {"target": "target", **hyperparameters}),
        "table": "input/table.jsonl",
        "labels": [],
        "seed": seed,
        "threads": 0,
        "gpus": 0,
        "cache": str(work),
    }
    run = RunFolder.create(work / "run", spec)
    write_jsonl(run.input / "table.jsonl", [{"name": path.name, "path": str(path)}])
    log = os.dup(1)
    with open(run.log, "ab") as file:
        os.dup2(file.fileno(), 1)
        try:
            train(run)
        finally:
            os.dup2(log, 1)
            os.close(log)
    return run


def _answers(table: Table, run: RunFolder, rows: NDArray[np.int64]) -> NDArray[Any]:
    bundle = load_bundle(run.output / "bundle")
    places = [table.names.index(column.name) for column in bundle.table.columns]
    answers = load_engine(bundle, threads=1).predict(table.cells[rows][:, places])
    return answers if table.is_regression else _named(bundle.labels, answers)


def _named(labels: Sequence[Any], probabilities: NDArray[np.float32]) -> NDArray[Any]:
    return np.array([labels[index].class_name for index in probabilities.argmax(axis=1)])


if __name__ == "__main__":
    main()
