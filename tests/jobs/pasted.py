"""Images whose class is the colour of a square that is pasted at a random place of gray noise; class 3 has none.

Without it a network may learn one of the colours as what is neither of the others, which no place speaks for.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest

SIZE_PX, OBJECT_PX = 128, 36
NOTHING = 3
NAMES = ("red", "green", "blue", "nothing")
COLOURS = ((230, 60, 60), (60, 200, 60), (70, 70, 240))


@dataclass(frozen=True)
class Pasted:
    """uint8 (image, SIZE_PX, SIZE_PX, 3), the class of each, and the upper left corner of its object."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    corners: NDArray[np.int64]

    def is_on_object(self, heat: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the middle of the hottest cell of each map (image, h, w) lies on the object."""
        places = heat.reshape(len(heat), -1).argmax(axis=1)
        cells = np.stack(np.unravel_index(places, heat.shape[1:]), axis=1)
        middles = (cells + 0.5) * (SIZE_PX / np.array(heat.shape[1:]))
        inside: NDArray[np.bool_] = np.all((middles >= self.corners) & (middles <= self.corners + OBJECT_PX), axis=1)
        return inside


def paste(count: int, *, seed: int) -> Pasted:
    generator = np.random.default_rng(seed)
    noise = generator.integers(60, 190, (count, SIZE_PX, SIZE_PX, 1), dtype=np.uint8)
    pixels = np.repeat(noise, 3, axis=3)
    targets = np.arange(count) % (NOTHING + 1)
    corners = generator.integers(0, SIZE_PX - OBJECT_PX, (count, 2))
    for image, target, (top, left) in zip(pixels, targets, corners, strict=True):
        if target == NOTHING:
            continue
        texture = generator.integers(-20, 15, (OBJECT_PX, OBJECT_PX, 1))
        image[top : top + OBJECT_PX, left : left + OBJECT_PX] = np.array(COLOURS[target]) + texture
    return Pasted(pixels, targets, corners)


def make_run(path: Path, pasted: Pasted, targets: NDArray[np.int64], **hyperparameters: Any) -> RunFolder:
    """A run folder of a training of the images, as PNG files beside it, with `targets` as their labels."""
    algorithm = manifest("image_classification")
    small = {f"filter_num{block}": filters for block, filters in enumerate((8, 12, 16, 16, 24, 24), start=1)}
    settings = {"num_types": 4, "batch_size": 32, "learning_rate": 0.002, "epochs": 20, **small, **hyperparameters}
    spec = {
        "algorithm": algorithm.name,
        "name": "pasted",
        "hyperparameters": validate_hyperparameters(algorithm, settings),
        "images": "input/images.jsonl",
        "labels": [{"label": number, "class_name": name} for number, name in enumerate(NAMES, 1)],
        "seed": 3,
        "threads": 2,
        "gpus": 0,
        "cache": str(path.parent / "cache"),
    }
    run = RunFolder.create(path, spec)
    files = path.parent / "images"
    files.mkdir()
    rows = []
    for index, (pixels, target) in enumerate(zip(pasted.pixels, targets, strict=True)):
        file = files / f"{index}.png"
        Image.fromarray(pixels).save(file, compress_level=1)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append({"name": file.name, "path": str(file), "sha256": digest, "target": int(target)})
    write_jsonl(run.input / "images.jsonl", rows)
    return run
