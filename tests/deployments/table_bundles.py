"""Small bundles of models that read tables: real SavedModels that take texts, made without training."""

import json
from pathlib import Path
from typing import Any

COLUMNS: list[dict[str, Any]] = [
    {"name": "size", "type": "number", "examples": ["1.5", "8"]},
    {"name": "colour", "type": "category", "examples": ["red", "green"]},
    {"name": "fresh", "type": "category", "examples": ["yes", "no"], "optional": True},
]
LABELS = [{"label": "apple", "class_name": "apple"}, {"label": "pear", "class_name": "pear"}]
DESCRIPTION: dict[str, Any] = {
    "schema": 1,
    "algorithm": "tabular",
    "model": {"name": "fruit", "created_at": "2026-01-01T00:00:00Z", "metrics": {"accuracy": 1.0}},
    "task": "classification",
    "input": {"kind": "table", "columns": COLUMNS, "target": "fruit"},
    "labels": LABELS,
    "engine": {"name": "tensorflow", "precision": "f32"},
}
REGRESSION: dict[str, Any] = {
    "task": "regression",
    "labels": [],
    "input": {"kind": "table", "columns": COLUMNS, "target": "price"},
}


def make_table_bundle(path: Path, **changes: Any) -> Path:
    """An apple is red: p(apple) = 0.9 where colour is "red", 0.2 else. Its price: size in tenths, 0 where missing.

    What is fresh ("yes") costs 100 more.
    """
    import tensorflow as tf

    description = DESCRIPTION | changes

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, len(COLUMNS)], tf.string, name="rows")])
        def serve(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
            size = tf.strings.to_number(tf.where(rows[:, 0] == "", "0", rows[:, 0]))
            if description["task"] == "regression":
                return {"values": size / 10 + tf.where(rows[:, 2] == "yes", 100.0, 0.0)}
            apple = tf.where(rows[:, 1] == "red", 0.9, 0.2)
            return {"probabilities": tf.stack([apple, 1 - apple], axis=1)}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})
    (path / "bundle.json").write_text(json.dumps(description))
    return path
