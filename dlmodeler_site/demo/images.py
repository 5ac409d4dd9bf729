"""What the demo learns from: handwritten digits that scikit-learn ships, or the user's own images."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PER_CLASS, PREDICTED, SIZE_PX = 60, 20, 128


@dataclass(frozen=True)
class DemoImages:
    """Files to train with, their label csv, files to predict, and what is known of these."""

    train: list[Path]
    labels: Path
    predict: list[Path]
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)


def digits(folder: Path) -> DemoImages:
    """60 digits of each class as PNG, a csv of their labels, and 20 others to predict."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    taken: dict[int, int] = {}
    train: list[Path] = []
    predict: list[Path] = []
    rows: list[tuple[str, int]] = []
    truth: dict[str, str] = {}
    for number, (pixels, label) in enumerate(zip(data.images, data.target, strict=True)):
        name, label = f"digit-{number}.png", int(label)
        image = Image.fromarray((pixels * 255 / 16).astype("uint8")).resize(
            (SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC
        )
        if taken.get(label, 0) < PER_CLASS:
            taken[label] = taken.get(label, 0) + 1
            image.save(folder / name)
            train.append(folder / name)
            rows.append((name, label))
        elif len(predict) < PREDICTED:
            image.save(folder / name)
            predict.append(folder / name)
            truth[name] = str(label)
    labels = folder / "labels.csv"
    with open(labels, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    # 600 images with the original's 100 epochs take minutes; these settle in a few.
    return DemoImages(train, labels, predict, {"epochs": 12, "batch_size": 32}, truth)


def given(images: Path, labels: Path, predict: Path) -> DemoImages:
    """The user's own folders and csv, trained with all defaults."""
    return DemoImages(_files(images), labels, _files(predict))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
