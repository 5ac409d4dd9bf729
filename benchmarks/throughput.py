"""The original network learning from the same JPEG files: images per CPU second beside plain keras.fit, A B A B.

python -m benchmarks.throughput [--images DIR] [--epochs N] [--seeds N] [--precision auto|float32|bfloat16]

DIR has a folder for each class; without it handwritten digits are drawn as JPEG. CPU seconds are those from the first
file that is read to the last step, of all processes, without the start of TensorFlow and the export, which both
need alike. A fifth of the images is kept aside, the same for both; accuracy is that on them. Of N seeds, each is run
by both, one after the other. Exit code 1: fewer than 1.5 times the images, or an accuracy that is not the same.
"""

import argparse
import hashlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl

_WANTED = 1.5
_HELD_OUT = 0.2
_SIZE_PX, _BATCH = 128, 100


@dataclass(frozen=True)
class Measured:
    """Training alone: CPU and wall clock seconds, images that were learned from, accuracy on those kept aside."""

    cpu_s: float
    wall_s: float
    images: int
    accuracy: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder with a folder of JPEG files for each class")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--contender", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender == "plain":
        print(json.dumps(vars(_plain(arguments.images, arguments.epochs, arguments.seed))))
        return 0
    if arguments.contender:
        print(json.dumps(vars(_ours(arguments.images, arguments.epochs, arguments.seed, arguments.precision))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        images = arguments.images or _draw_digits(Path(folder))
        return _compare(images, arguments.epochs, arguments.seeds, arguments.precision)


def _compare(images: Path, epochs: int, seeds: int, precision: str) -> int:
    print(f"{'':8} {'images/CPU s':>13} {'images/s':>9} {'accuracy':>9}   {os.cpu_count()} cores, {epochs} epochs")
    measured: dict[str, list[Measured]] = {"plain": [], "ours": []}
    for seed in range(seeds):
        for name, runs in measured.items():
            options = ["--images", str(images), "--epochs", str(epochs), "--seed", str(seed), "--precision", precision]
            command = [sys.executable, "-m", "benchmarks.throughput", "--contender", name, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
            run = Measured(**json.loads(done.stdout.splitlines()[-1]))
            runs.append(run)
            print(
                f"{name:8} {run.images / run.cpu_s:13.1f} {run.images / run.wall_s:9.1f} {run.accuracy:9.4f}",
                flush=True,
            )
    speed = {name: statistics.median(run.images / run.cpu_s for run in runs) for name, runs in measured.items()}
    ratio = speed["ours"] / speed["plain"]
    print(f"images per CPU second: {ratio:.2f} times those of plain keras.fit (at least {_WANTED} are wanted)")
    same = _same_accuracy([run.accuracy for run in measured["plain"]], [run.accuracy for run in measured["ours"]])
    return 0 if ratio >= _WANTED and same else 1


def _same_accuracy(plain: Sequence[float], ours: Sequence[float]) -> bool:
    """Whether the mean difference is within twice its standard error, or the seeds are too few to tell."""
    differences = [b - a for a, b in zip(plain, ours, strict=True)]
    mean = statistics.fmean(differences)
    print(f"accuracy: {statistics.fmean(plain):.4f} plain, {statistics.fmean(ours):.4f} ours, ", end="")
    if len(differences) < 3:
        print(f"difference {mean:+.4f} (too few seeds to judge)")
        return True
    noise = 2 * math.sqrt((statistics.variance(plain) + statistics.variance(ours)) / len(differences))
    print(f"difference {mean:+.4f}, noise of {len(differences)} seeds ±{noise:.4f}")
    return mean >= -noise


def _files(images: Path) -> tuple[list[Path], np.ndarray, list[str]]:
    classes = sorted(path.name for path in images.iterdir() if path.is_dir())
    files = [(path, index) for index, name in enumerate(classes) for path in sorted((images / name).iterdir())]
    return [path for path, _ in files], np.array([index for _, index in files], np.int32), classes


def _split(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from jobs.algorithms.data import split_stratified

    return split_stratified(targets, share=_HELD_OUT, seed=0)


def _cpu_s() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def _plain(images: Path, epochs: int, seed: int) -> Measured:
    """As anyone would write it: tf.data reads and decodes the files in every epoch."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(seed)
    files, targets, classes = _files(images)
    train, held_out = _split(targets)

    def dataset(indexes: np.ndarray) -> tf.data.Dataset:
        names = [str(files[index]) for index in indexes]
        return tf.data.Dataset.from_tensor_slices((names, targets[indexes]))

    def read(name: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.io.decode_jpeg(tf.io.read_file(name), channels=3)
        return tf.image.resize(image, (_SIZE_PX, _SIZE_PX)), target

    def batches(rows: tf.data.Dataset) -> tf.data.Dataset:
        return rows.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(_BATCH).prefetch(tf.data.AUTOTUNE)

    model = keras.Sequential([keras.Input((_SIZE_PX, _SIZE_PX, 3)), layers.Rescaling(1 / 255)])
    for filters in (20, 40, 60, 80, 100, 100):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(len(classes), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    cpu, wall = _cpu_s(), time.monotonic()
    model.fit(batches(dataset(train).shuffle(len(train), seed=seed)), epochs=epochs, verbose=0)
    cpu, wall = _cpu_s() - cpu, time.monotonic() - wall
    _loss, accuracy = model.evaluate(batches(dataset(held_out)), verbose=0)
    return Measured(cpu, wall, epochs * len(train), float(accuracy))


def _ours(images: Path, epochs: int, seed: int, precision: str) -> Measured:
    """The product's own cache, plan and loop; the files are decoded once."""
    from jobs.algorithms.base import validate_hyperparameters
    from jobs.algorithms.data import load_pixels, read_manifest
    from jobs.algorithms.image_classification.settings import Settings
    from jobs.algorithms.registry import manifest
    from jobs.algorithms.runtime import dtype_policy, load_tensorflow, prepare_environment, thread_count

    files, targets, classes = _files(images)
    train, held_out = _split(targets)
    values = {"num_types": max(2, len(classes)), "epochs": epochs, "mixed_precision": precision, "batch_size": _BATCH}
    settings = Settings.of(validate_hyperparameters(manifest("image_classification"), values))
    threads = thread_count(0)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", {})
        prepare_environment(threads=threads, gpus=0, home=run.path / "keras")
        rows = zip(files, targets.tolist(), strict=True)
        write_jsonl(
            run.input / "images.jsonl",
            (
                {
                    "name": path.name,
                    "path": str(path),
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "target": target,
                }
                for path, target in rows
            ),
        )
        cpu, wall = _cpu_s(), time.monotonic()
        labelled = read_manifest(run.input / "images.jsonl", labels=len(classes))
        data = load_pixels(run, labelled, cache=Path(folder) / "cache", size_px=_SIZE_PX, threads=threads)
        decoding_cpu, decoding_wall = _cpu_s() - cpu, time.monotonic() - wall
        # The cache was made from all files: those kept aside are left out of the account.
        share = len(train) / len(files)
        load_tensorflow(run.path / "tensorflow.log")
        from jobs.algorithms.image_classification.loop import Loop, Samples
        from jobs.algorithms.image_classification.original import make_plan
        from jobs.algorithms.image_classification.stages import Task

        policy = dtype_policy(settings.precision, gpus=0)
        plan = make_plan(Task(run, settings, data, Path(folder) / "cache", policy, threads, seed))
        weights = np.ones(len(targets), np.float32)
        loop = Loop(run, plan.stages, Samples(targets, weights, train, train[:0]), identity={}, seed=seed)
        cpu, wall = _cpu_s(), time.monotonic()
        loop.run_to_end()
        cpu, wall = _cpu_s() - cpu + share * decoding_cpu, time.monotonic() - wall + share * decoding_wall
        accuracy = _accuracy(plan.served(), data.pixels[held_out], targets[held_out])
    return Measured(cpu, wall, epochs * len(train), accuracy)


def _accuracy(network: object, pixels: np.ndarray, targets: np.ndarray) -> float:
    import tensorflow as tf

    answers = tf.function(network, autograph=False)
    found = [np.argmax(answers(pixels[at : at + 100]), axis=1) for at in range(0, len(pixels), 100)]
    return float(np.mean(np.concatenate(found) == targets))


def _draw_digits(work: Path) -> Path:
    """Handwritten digits as JPEG of 150 x 150 pixels, in a folder for each."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (image, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = work / "digits" / str(target)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (image * (255 / 16)).astype("uint8")
        Image.fromarray(pixels).resize((150, 150)).convert("RGB").save(folder / f"{index}.jpg")
    return work / "digits"


if __name__ == "__main__":
    sys.exit(main())
