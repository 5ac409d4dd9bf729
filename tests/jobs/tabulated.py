"""A training on a table as a process that can be killed: python -m tests.jobs.tabulated RUN_FOLDER"""

import csv
import sys
from pathlib import Path

import numpy as np

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms import progress
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest
from jobs.algorithms.runtime import prepare_environment

ROWS, EPOCHS = 2000, 60


def make_run(path: Path) -> RunFolder:
    """A run of numbers and colours that tell apart three kinds."""
    generator = np.random.default_rng(0)
    path.mkdir()
    sizes, colours = generator.normal(size=(ROWS, 3)), generator.choice(["red", "green", "blue"], ROWS)
    scores = sizes[:, 0] + sizes[:, 1] * sizes[:, 2] + (colours == "red") + generator.normal(size=ROWS) / 2
    kinds = np.array(["small", "middle", "large"])[np.digitize(scores, [-0.3, 0.9])]
    with (path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["length", "width", "height", "colour", "kind"])
        for numbers, colour, kind in zip(sizes.tolist(), colours, kinds, strict=True):
            writer.writerow([*(f"{number:.4f}" for number in numbers), colour, kind])
    hyperparameters = {"target": "kind", "epochs": EPOCHS, "batch_size": 64, "early_stopping": False}
    spec = {
        "algorithm": "tabular",
        "name": "table",
        "hyperparameters": validate_hyperparameters(manifest("tabular"), hyperparameters),
        "table": "input/table.jsonl",
        "seed": 5,
        "threads": 1,
        "gpus": 0,
        "cache": str(path / "cache"),
    }
    run = RunFolder.create(path / "run", spec)
    write_jsonl(run.input / "table.jsonl", [{"name": "table.csv", "path": str(path / "table.csv")}])
    return run


def main() -> None:
    run = RunFolder(Path(sys.argv[1]))
    prepare_environment(threads=1, gpus=0, home=run.path / "keras")
    progress.CHECKPOINT_INTERVAL_S, progress.CHECKPOINT_SHARE = 0.02, 1.0
    from jobs.algorithms.tabular.train import train

    train(run)


if __name__ == "__main__":
    main()
