"""The bundle of a model of tables: SavedModel and bundle.json (docs/contracts.md)."""

import datetime
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from dlmodeler_site.compute.run_folder import write_json
from jobs.algorithms.tabular.kinds import Column
from jobs.algorithms.tabular.model import TableModel
from jobs.bundles.bundle import SCHEMA, EngineChoice, TableColumn, TableInput

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,8}")


def export_bundle(
    bundle: Path,
    model: TableModel,
    *,
    columns: Sequence[Column],
    left_out: Sequence[Column],
    target: str,
    classes: Sequence[str],
    algorithm: str,
    name: str,
    metrics: dict[str, float],
) -> None:
    """Write the bundle into a new folder. TensorFlow is its engine: others take no texts."""
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    rows = tf.TensorSpec((None, len(columns)), tf.string, name="rows")
    serve = tf.function(model.serve, input_signature=[rows], autograph=False).get_concrete_function()
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(model, str(bundle), signatures={"serving_default": serve}, options=options)
    table = TableInput(
        tuple(TableColumn(each.name, each.kind, each.examples, each.optional) for each in columns),
        target,
        tuple(each.name for each in left_out),
    )
    engine = EngineChoice("tensorflow", "f32", 0.0, {"refused": "table"})
    write_json(
        bundle / "bundle.json",
        {
            "schema": SCHEMA,
            "algorithm": algorithm,
            "task": "classification" if model.is_classification else "regression",
            "model": {
                "name": name,
                "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
                "metrics": metrics,
            },
            "input": table.as_json(),
            "labels": label_map(classes),
            "engine": engine.as_json(),
        },
    )


def label_map(classes: Sequence[str]) -> list[dict[str, Any]]:
    """One entry for each class: its number where all are whole numbers, or else its text, which is its name too."""
    are_numbers = all(_WHOLE.fullmatch(value) for value in classes)
    return [{"label": int(value) if are_numbers else value, "class_name": value} for value in classes]
