"""Small bundles for tests, made without TensorFlow."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from jobs.bundles.conversion import import_openvino

SIZE_PX = 16
LABELS: list[dict[str, Any]] = [
    {"label": 10, "class_name": "red"},
    {"label": 20, "class_name": "green"},
    {"label": 30, "class_name": None},
]
DESCRIPTION: dict[str, Any] = {
    "schema": 1,
    "algorithm": "image_classification",
    "model": {"name": "mean colour", "created_at": "2026-01-01T00:00:00Z", "metrics": {"accuracy": 1.0}},
    "input": {"kind": "image", "shape": [None, SIZE_PX, SIZE_PX, 3], "dtype": "uint8"},
    "labels": LABELS,
    "engine": {"name": "openvino", "precision": "f32", "max_difference": 0.0},
}


def describe(path: Path, **changes: Any) -> Path:
    """Write `bundle.json` with some top-level fields changed."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "bundle.json").write_text(json.dumps(DESCRIPTION | changes))
    return path


def make_bundle(path: Path, *, scale: float = 1 / 16, **changes: Any) -> Path:
    """A bundle whose classes are the colours: softmax of the mean of each channel times `scale`.

    `changes` are of `bundle.json`.
    """
    openvino = import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([-1, SIZE_PX, SIZE_PX, 3], np.uint8, name="images")
    means = ops.reduce_mean(ops.convert(images, "f32"), np.array([1, 2]))
    probabilities = ops.softmax(ops.multiply(means, np.float32(scale)), 1)
    describe(path, **changes)
    (path / "engine").mkdir()
    openvino.save_model(
        openvino.Model([probabilities], [images]), path / "engine" / "model.xml", compress_to_fp16=False
    )
    return path


def add_explainer(path: Path) -> None:
    """Let the bundle explain: what spoke for a class is how bright the image's pixels are."""
    openvino = import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([-1, SIZE_PX, SIZE_PX, 3], np.uint8, name="images")
    classes = ops.parameter([-1], np.int32, name="classes")
    bright = ops.reduce_mean(ops.convert(images, "f32"), np.array([3]))
    some = ops.multiply(ops.convert(ops.reduce_max(classes, np.array([0])), "f32"), np.float32(0))
    heat = ops.add(ops.divide(bright, np.float32(255)), some)
    heat.output(0).get_tensor().set_names({"heatmaps"})
    openvino.save_model(openvino.Model([heat], [images, classes]), path / "engine" / "explain.xml")
