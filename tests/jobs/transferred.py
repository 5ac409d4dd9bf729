"""Transfer learning on drawn images as a process that can be killed, and that kills itself at a moment that is named.

python -m tests.jobs.transferred RUN_FOLDER [MOMENT]

Moments: `features` (some rows are computed), `head` (in its second epoch), `between` (the first stage is over and
its checkpoint is there), `replacing` (in fine-tuning, between the old checkpoint and the new one).
"""

import hashlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms import progress
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest
from jobs.algorithms.runtime import prepare_environment

IMAGES, CLASSES, SIZE_PX = 60, 3, 64
HEAD_EPOCHS, FINE_TUNING_EPOCHS = 4, 8
HYPERPARAMETERS = {
    "network": "transfer",
    "num_types": CLASSES,
    "image_size": SIZE_PX,
    "batch_size": 16,
    "epochs": HEAD_EPOCHS,
    "fine_tune_blocks": 2,
    "fine_tune_epochs": FINE_TUNING_EPOCHS,
    "early_stopping": False,
    "restore_best": True,
    "dropout_rate": 0.3,
    "flip_horizontal": True,
    "validation_split": 0.2,
    "mixed_precision": "float32",
}


@dataclass(frozen=True)
class _Dying(RunFolder):
    """Kills its process, as the kernel does, at the moment."""

    moment: str = ""

    def progress(self, fraction: float) -> None:
        super().progress(fraction)
        if self.moment == "features" and fraction > 0.1:
            os.kill(os.getpid(), signal.SIGKILL)

    def publish(self, event_type: str, **fields: Any) -> None:
        super().publish(event_type, **fields)
        if self.moment == "head" and event_type == "epoch" and fields["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def put_checkpoint(self, folder: Path) -> None:
        epoch = max((event["epoch"] for event in self.read_events(0)[0] if event["type"] == "epoch"), default=0)
        if self.moment == "replacing" and epoch > HEAD_EPOCHS + 2:
            self.checkpoint.rename(self.path / "checkpoint.old-0")
            os.kill(os.getpid(), signal.SIGKILL)
        super().put_checkpoint(folder)
        if self.moment == "between" and epoch == HEAD_EPOCHS:
            os.kill(os.getpid(), signal.SIGKILL)


def make_run(path: Path) -> RunFolder:
    """A run of noisy images, with a cache of its own."""
    generator = np.random.default_rng(0)
    path.mkdir()
    rows = []
    for index in range(IMAGES):
        pixels = generator.integers(0, 190, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        pixels[..., index % CLASSES] += 40
        file = path / f"{index}.png"
        Image.fromarray(pixels).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append({"name": file.name, "path": str(file), "sha256": digest, "target": index % CLASSES})
    spec = {
        "algorithm": "image_classification",
        "name": "tiny",
        "hyperparameters": validate_hyperparameters(manifest("image_classification"), HYPERPARAMETERS),
        "images": "input/images.jsonl",
        "labels": [{"label": label, "class_name": ""} for label in range(CLASSES)],
        "seed": 5,
        "threads": 1,
        "gpus": 0,
        "cache": str(path / "cache"),
    }
    run = RunFolder.create(path / "run", spec)
    write_jsonl(run.input / "images.jsonl", rows)
    return run


def main(folder: Path, moment: str) -> None:
    # Often, so that a kill is after a checkpoint, and sometimes while one is written.
    progress.CHECKPOINT_INTERVAL_S, progress.CHECKPOINT_SHARE = 0.02, 1.0
    prepare_environment(threads=1, gpus=0, home=folder / "keras")
    from jobs.algorithms.image_classification import features
    from jobs.algorithms.image_classification.train import train

    features._ROWS_PER_CHUNK = 8
    train(_Dying(folder, moment))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
