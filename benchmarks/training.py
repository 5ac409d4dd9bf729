"""Training against a hand-written Keras script of the same network: whole processes, one beside the other in turn.

python -m benchmarks.training [--images DIR --labels CSV] [--epochs N] [--rounds N]

Ours runs from an empty cache and also converts the model for serving. Without --images it draws digits.
"""

import argparse
import csv
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest

_DIGITS = 60


@dataclass(frozen=True)
class Measured:
    """One process: wall clock and CPU seconds, accuracy of the last epoch."""

    wall_s: float
    cpu_s: float
    accuracy: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--labels", type=Path, help="csv with a file name and a class in each row")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.labels is None):
        parser.error("--images and --labels go together")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images, labels = arguments.images, arguments.labels
        if images is None:
            images, labels = draw_digits(work)
        contenders: dict[str, Callable[[], Measured]] = {
            "plain keras": lambda: _plain_keras(work, images, labels, arguments.epochs),
            "dl modeler": lambda: _dl_modeler(work, images, labels, arguments.epochs),
        }
        measured: dict[str, list[Measured]] = {name: [] for name in contenders}
        print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'accuracy':>9}   {os.cpu_count()} cores, {arguments.epochs} epochs")
        for _ in range(arguments.rounds):
            for name, run in contenders.items():
                measured[name].append(run())
                _print_row(name, measured[name][-1])
        _print_medians(measured)


def _print_row(name: str, run: Measured) -> None:
    print(f"{name:12} {run.wall_s:8.1f} {run.cpu_s:8.1f} {run.accuracy:9.3f}", flush=True)


def _print_medians(measured: dict[str, list[Measured]]) -> None:
    walls = {name: statistics.median(run.wall_s for run in runs) for name, runs in measured.items()}
    cpus = {name: statistics.median(run.cpu_s for run in runs) for name, runs in measured.items()}
    print(
        "median  "
        + "   ".join(f"{name}: {walls[name]:.1f} s, {cpus[name]:.1f} CPU s" for name in measured)
        + f"   ratio: {walls['dl modeler'] / walls['plain keras']:.2f} of the time, "
        f"{cpus['dl modeler'] / cpus['plain keras']:.2f} of the CPU time"
    )


def _plain_keras(work: Path, images: Path, labels: Path, epochs: int) -> Measured:
    output = work / "plain_keras"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    wall_s, cpu_s = _time("benchmarks.plain_keras", str(images), str(labels), str(output), str(epochs))
    return Measured(wall_s, cpu_s, json.loads((output / "metrics.json").read_text(encoding="utf-8"))["accuracy"])


def _dl_modeler(work: Path, images: Path, labels: Path, epochs: int) -> Measured:
    cache = work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    run = make_run_folder(work / "run", cache, images, labels, epochs=epochs)
    wall_s, cpu_s = _time("jobs.algorithms", str(run.path))
    result = run.result()
    if result is None:
        raise SystemExit(f"The training failed: {run.error()}")
    return Measured(wall_s, cpu_s, result["metrics"]["accuracy"])


def _time(module: str, *arguments: str) -> tuple[float, float]:
    """Run a module as a process of its own; its wall clock and CPU seconds."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{module} failed with {done.returncode}:\n{done.stderr[-4000:]}")
    return wall_s, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def make_run_folder(path: Path, cache: Path, images: Path, labels: Path, **hyperparameters: Any) -> RunFolder:
    """The run folder of a training of images that a csv labels; a folder there is removed."""
    with open(labels, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if (images / row[0]).is_file()]
    classes = sorted({row[1] for row in rows})
    algorithm = manifest("image_classification")
    values = validate_hyperparameters(algorithm, {"num_types": max(2, len(classes)), **hyperparameters})
    spec = {
        "algorithm": algorithm.name,
        "name": "benchmark",
        "hyperparameters": values,
        "images": "input/images.jsonl",
        "labels": [{"label": index, "class_name": name} for index, name in enumerate(classes)],
        "seed": 0,
        "threads": 0,
        "gpus": 0,
        "cache": str(cache),
    }
    run = RunFolder.create(path, spec)
    lines = (
        {
            "name": name,
            "path": str((images / name).resolve()),
            "sha256": hashlib.sha256((images / name).read_bytes()).hexdigest(),
            "target": classes.index(value),
        }
        for name, value, *_ in rows
    )
    write_jsonl(run.input / "images.jsonl", lines)
    return run


def draw_digits(work: Path) -> tuple[Path, Path]:
    """Handwritten digits as PNG of 150 x 150 pixels, and their csv."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = work / "digits"
    images.mkdir()
    rows = []
    for index in range(_DIGITS):
        pixels = (digits.images[index] * (255 / 16)).astype("uint8")
        Image.fromarray(pixels).resize((150, 150)).convert("RGB").save(images / f"{index}.png")
        rows.append(f"{index}.png,{digits.target[index]}\n")
    labels = work / "labels.csv"
    labels.write_text("".join(rows), encoding="utf-8")
    return images, labels


if __name__ == "__main__":
    main()
