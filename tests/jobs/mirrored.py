"""Trains every network of image classification on one device and on two logical CPU devices: losses as JSON.

python -m tests.jobs.mirrored FOLDER
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms import devices
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.data import LabelledPixels, split_stratified
from jobs.algorithms.image_classification.settings import Settings
from jobs.algorithms.registry import manifest
from jobs.algorithms.runtime import prepare_environment

CLASSES = 3
# The last batch is uneven, one class is rare, and everything that draws is on.
COMMON = {
    "num_types": CLASSES,
    "batch_size": 9,
    "epochs": 2,
    "image_size": 64,
    "validation_split": 0.2,
    "early_stopping": False,
    "class_weight": "balanced",
    "dropout_rate": 0.3,
    "flip_horizontal": True,
    "mixed_precision": "float32",
    "learning_rate": 0.0003,
}
ORIGINAL = {"network": "original", **{f"filter_num{block}": 8 for block in range(1, 7)}}
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "original": (26, {**ORIGINAL, "rotation": 20, "shift": 10}),
    "original in pieces": (370, {**ORIGINAL, "batch_size": 291, "epochs": 1}),
    "transfer": (26, {"network": "transfer", "fine_tune_epochs": 1, "fine_tune_blocks": 2, "rotation": 20}),
}


def losses(folder: Path, case: str, strategy: Any) -> list[list[float]]:
    """Losses and accuracies of every epoch."""
    from jobs.algorithms.image_classification.loop import Loop, Samples, class_weights
    from jobs.algorithms.image_classification.stages import Task

    count, values = CASES[case]
    settings = Settings.of(validate_hyperparameters(manifest("image_classification"), {**COMMON, **values}))
    run = RunFolder.create(folder / f"{case}-{strategy.num_replicas_in_sync}", {})
    generator = np.random.default_rng(0)
    targets = np.minimum(np.arange(count, dtype=np.int32) % 5, CLASSES - 1)
    (folder / "cache").mkdir(exist_ok=True)
    pixels = generator.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    with open(os.devnull, "rb") as file, strategy.scope():
        data = LabelledPixels(pixels, targets, "k" * 64, file)
        task = Task(run, settings, data, folder / "cache", "float32", 2, 5)
        plan = import_module(f"jobs.algorithms.image_classification.{settings.network}").make_plan(task)
    train, held_out = split_stratified(targets, share=settings.validation_split, seed=5)
    samples = Samples(targets, class_weights(targets, train), train, held_out)
    Loop(run, plan.stages, samples, identity={}, seed=5, strategy=strategy).run_to_end()
    metrics = [event["metrics"] for event in run.read_events(0)[0] if event["type"] == "epoch"]
    return [[each["loss"], each["val_loss"], each["accuracy"], each["val_accuracy"]] for each in metrics]


def main(folder: Path) -> None:
    prepare_environment(threads=2, gpus=0, home=folder / "keras")
    import tensorflow as tf

    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one, one])
    found = {}
    # One strategy for all: those of one process take each other's collective operations for their own.
    strategies = [tf.distribute.get_strategy(), devices.mirrored(["CPU:0", "CPU:1"])]
    for case in CASES:
        found[case] = [losses(folder, case, strategy) for strategy in strategies]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
