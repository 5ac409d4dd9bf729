"""Transfer learning on photos: accuracy on unseen ones by folds, and time and memory of a training of many.

python -m benchmarks.transfer --images DIR [--folds 5] [--count 14034] [--only frozen|fine_tuned] [--set name=value ...]

DIR has a folder for each class. --folds 0 or --count 0 leaves that part out. The photos of --count are those of DIR,
written again and again by Pillow with other qualities, cuts and flips. A time is that of the whole process from an
empty cache, to the bundle that can be deployed and its evaluation; `again` is a second training of the same photos.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest
from jobs.evaluation.served import load_served, read_fitted

_SETTINGS: dict[str, dict[str, Any]] = {"frozen": {"fine_tune_blocks": 0}, "fine_tuned": {}}
# What is asked of each: accuracy on unseen photos, seconds.
_MUST_HOLD = {"frozen": (0.915, 120), "fine_tuned": (0.925, 300)}
_MAX_MEMORY_BYTES = 3e9
_MAX_START_S = 5.0


@dataclass(frozen=True)
class Photo:
    path: Path
    target: int


@dataclass(frozen=True)
class Measured:
    """One training: wall clock and CPU seconds, greatest memory, seconds until the first epoch began, validation."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    start_s: float
    accuracy: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder of images for each class")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--count", type=int, default=14_034)
    parser.add_argument("--only", choices=tuple(_SETTINGS))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="hyperparameters")
    arguments = parser.parse_args()
    classes = sorted(folder.name for folder in arguments.images.iterdir() if folder.is_dir())
    photos = [
        Photo(path, target)
        for target, name in enumerate(classes)
        for path in sorted((arguments.images / name).iterdir())
    ]
    given = dict(pair.split("=", 1) for pair in arguments.set)
    chosen = {name: {**values, **given} for name, values in _SETTINGS.items() if arguments.only in (None, name)}
    print(f"{len(photos)} photos, {len(classes)} classes, {len(os.sched_getaffinity(0))} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, values in chosen.items():
            if arguments.folds:
                _cross_validate(work / "folds", photos, classes, arguments.folds, name, values)
        if arguments.count:
            many = list(_multiply(work / "many", photos, arguments.count))
            for name, values in chosen.items():
                _time(work / "time", many, classes, name, values)


def _cross_validate(
    work: Path, photos: Sequence[Photo], classes: list[str], folds: int, name: str, values: dict[str, Any]
) -> None:
    of_fold = _folds(photos, folds)
    accuracies = []
    for fold in range(folds):
        learned = [photo for photo, number in zip(photos, of_fold, strict=True) if number != fold]
        unseen = [photo for photo, number in zip(photos, of_fold, strict=True) if number == fold]
        run, measured = _train(work / f"{fold}", work / f"cache-{fold}", learned, classes, values)
        accuracies.append(_accuracy(run.output / "bundle", unseen))
        print(
            f"{name:10} fold {fold}: {100 * accuracies[-1]:.2f} % of {len(unseen)} unseen photos, learned from "
            f"{len(learned)}; validation {100 * measured.accuracy:.2f} %, {measured.wall_s:.0f} s",
            flush=True,
        )
        shutil.rmtree(run.path)
    needed, _seconds = _MUST_HOLD[name]
    mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
    print(
        f"{name:10} mean {100 * mean:.2f} %, deviation {100 * deviation:.2f}; "
        f"must hold with all photos: {100 * needed:.1f} %",
        flush=True,
    )


def _folds(photos: Sequence[Photo], folds: int) -> list[int]:
    """The fold of each photo; every class is spread evenly over them."""
    chance = random.Random(0)
    order = sorted(range(len(photos)), key=lambda index: (photos[index].target, chance.random()))
    numbers = [0] * len(photos)
    for place, index in enumerate(order):
        numbers[index] = place % folds
    return numbers


def _accuracy(bundle: Path, photos: Sequence[Photo]) -> float:
    """The share of the photos that the bundle, as it is served, tells rightly."""
    threads = len(os.sched_getaffinity(0))
    served = load_served(bundle, threads=threads)

    def is_right(photo: Photo) -> bool:
        pixels = read_fitted(served.bundle, photo.path)
        if isinstance(pixels, str):
            raise SystemExit(f"{photo.path}: {pixels}")
        return int(np.argmax(served.answer([pixels])[0])) == photo.target

    with ThreadPoolExecutor(threads) as pool:
        return statistics.mean(pool.map(is_right, photos))


def _time(work: Path, photos: Sequence[Photo], classes: list[str], name: str, values: dict[str, Any]) -> None:
    cache = work / f"cache-{name}"
    _accuracy_needed, seconds = _MUST_HOLD[name]
    run, first = _train(work / name, cache, photos, classes, values)
    print(
        f"{name:10} {len(photos)} photos: {first.wall_s:.1f} s (must hold: {seconds}), {first.cpu_s:.0f} CPU s, "
        f"{first.memory_bytes / 1e6:.0f} MB (must hold: {_MAX_MEMORY_BYTES / 1e6:.0f})",
        flush=True,
    )
    shutil.rmtree(run.path)
    run, again = _train(work / name, cache, photos, classes, values)
    print(
        f"{name:10} again: first epoch begins after {again.start_s:.1f} s (must hold: {_MAX_START_S:.0f}), "
        f"{again.wall_s:.1f} s in all, {again.memory_bytes / 1e6:.0f} MB",
        flush=True,
    )
    shutil.rmtree(work)


def _train(
    path: Path, cache: Path, photos: Sequence[Photo], classes: list[str], values: dict[str, Any]
) -> tuple[RunFolder, Measured]:
    algorithm = manifest("image_classification")
    wanted = {"network": "transfer", "num_types": len(classes), **values}
    spec = {
        "algorithm": algorithm.name,
        "name": "benchmark",
        "hyperparameters": validate_hyperparameters(algorithm, wanted),
        "images": "input/images.jsonl",
        "labels": [{"label": index, "class_name": name} for index, name in enumerate(classes)],
        "seed": 0,
        "threads": 0,
        "gpus": 0,
        "cache": str(cache),
    }
    run = RunFolder.create(path, spec)
    write_jsonl(run.input / "images.jsonl", _manifest(photos))
    used, started, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), time.time()
    with open(run.log, "wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "jobs.algorithms", str(path)], stdout=log, stderr=log)
        peak = _watch(process)
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"The training failed: {run.error()}\n{run.log_tail()}")
    events, _end = run.read_events(0)
    first = next(event for event in events if event["type"] == "epoch")
    result = run.result() or {}
    return run, Measured(
        wall_s=wall_s,
        cpu_s=after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        memory_bytes=peak,
        start_s=first["time"] - first["seconds"] - began,
        accuracy=result["metrics"].get("val_accuracy", result["metrics"]["accuracy"]),
    )


def _watch(process: subprocess.Popen[bytes]) -> int:
    """Wait for the process; the greatest memory that it and its children had, shared pages counted once in each."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_memory_bytes(pid) for pid in [process.pid, *_children(process.pid)]))
        time.sleep(0.2)
    return peak


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _memory_bytes(pid: int) -> int:
    """Proportional set size: a page that several processes map counts in each by its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _manifest(photos: Sequence[Photo]) -> Iterator[dict[str, Any]]:
    for photo in photos:
        digest = hashlib.sha256(photo.path.read_bytes()).hexdigest()
        name = f"{photo.path.parent.name}/{photo.path.name}"
        yield {"name": name, "path": str(photo.path.resolve()), "sha256": digest, "target": photo.target}


def _multiply(folder: Path, photos: Sequence[Photo], count: int) -> Iterator[Photo]:
    """Distinct JPEG files, as many of each class as `photos` has in proportion."""
    folder.mkdir(parents=True)
    chance = random.Random(0)
    order = random.Random(1).sample(list(photos), len(photos))
    for number in range(count):
        photo = order[number % len(order)]
        path = folder / f"{number}.jpg"
        with Image.open(photo.path) as image:
            changed = image.convert("RGB")
            if number >= len(order):
                width, height = changed.size
                left, top = chance.randrange(1 + width // 20), chance.randrange(1 + height // 20)
                changed = changed.crop((left, top, width - chance.randrange(1 + width // 20), height))
                changed = changed.resize((width, height), Image.Resampling.BILINEAR)
                changed = ImageOps.mirror(changed) if chance.random() < 0.5 else changed
            changed.save(path, "JPEG", quality=chance.randrange(80, 96))
        yield Photo(path, photo.target)


if __name__ == "__main__":
    main()
