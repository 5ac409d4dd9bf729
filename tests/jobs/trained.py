"""Trains the original network on drawn images, with everything on that draws; as a process that can be killed.

python -m tests.jobs.trained RUN_FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms import progress
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.data import LabelledPixels, split_stratified
from jobs.algorithms.image_classification.settings import Settings
from jobs.algorithms.registry import manifest
from jobs.algorithms.runtime import prepare_environment

IMAGES, CLASSES, EPOCHS = 60, 3, 20
HYPERPARAMETERS = {
    "num_types": CLASSES,
    "batch_size": 20,
    "epochs": EPOCHS,
    "image_size": 64,
    "validation_split": 0.2,
    "early_stopping": True,
    "patience": EPOCHS,
    "restore_best": True,
    "dropout_rate": 0.3,
    "flip_horizontal": True,
    "rotation": 20,
    "learning_rate": 0.005,
    "learning_rate_schedule": "cosine",
    "mixed_precision": "float32",
    **{f"filter_num{block}": 8 for block in range(1, 7)},
}


def main(folder: Path) -> None:
    # Often, so that a kill is after a checkpoint, and sometimes while one is written.
    progress.CHECKPOINT_INTERVAL_S, progress.CHECKPOINT_SHARE = 0.02, 1.0
    prepare_environment(threads=1, gpus=0, home=folder / "keras")
    from jobs.algorithms.image_classification.loop import Loop, Samples
    from jobs.algorithms.image_classification.original import make_plan
    from jobs.algorithms.image_classification.stages import Task

    run = RunFolder(folder)
    settings = Settings.of(validate_hyperparameters(manifest("image_classification"), HYPERPARAMETERS))
    generator = np.random.default_rng(0)
    targets = np.arange(IMAGES, dtype=np.int32) % CLASSES
    pixels = generator.integers(0, 150, (IMAGES, 64, 64, 3), dtype=np.uint8)
    pixels[np.arange(IMAGES), :, :, targets] += 60
    with open(__file__, "rb") as file:
        data = LabelledPixels(pixels, targets, "k" * 64, file)
        plan = make_plan(Task(run, settings, data, folder / "cache", "float32", 1, 5))
    train, held_out = split_stratified(targets, share=settings.validation_split, seed=5)
    samples = Samples(targets, np.ones(IMAGES, np.float32), train, held_out)
    outcome = Loop(run, plan.stages, samples, identity={}, seed=5).run_to_end()
    run.finish(metrics=outcome.metrics, epoch=outcome.epoch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
