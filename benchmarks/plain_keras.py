"""The same network and task as anyone would write it in Keras: what `benchmarks.training` compares with.

python -m benchmarks.plain_keras IMAGES LABELS OUTPUT EPOCHS
"""

import csv
import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image


def main(images: Path, labels: Path, output: Path, epochs: int) -> None:
    with open(labels, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if (images / row[0]).is_file()]
    classes = sorted({row[1] for row in rows})
    x = np.stack([np.asarray(Image.open(images / row[0]).convert("RGB").resize((128, 128))) for row in rows])
    y = np.array([classes.index(row[1]) for row in rows])

    model = keras.Sequential([keras.Input((128, 128, 3)), layers.Rescaling(1 / 255)])
    for filters in (20, 40, 60, 80, 100, 100):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(len(classes), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    history = model.fit(x, y, batch_size=100, epochs=epochs, verbose=2)
    model.export(output / "saved_model", verbose=False)
    metrics = {name: values[-1] for name, values in history.history.items()}
    (output / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
