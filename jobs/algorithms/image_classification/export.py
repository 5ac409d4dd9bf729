"""The bundle of a trained network: SavedModel, engine, bundle.json (docs/contracts.md)."""

import datetime
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import write_json
from jobs.algorithms.image_classification.explain import explanation
from jobs.algorithms.image_classification.model import of_standard_layers
from jobs.bundles.bundle import KERAS_FILE, EngineChoice
from jobs.bundles.conversion import ENGINE_FILE, EngineError, convert, convert_explanation
from jobs.bundles.formats import NotConvertibleError, write_keras
from jobs.bundles.gate import GateSamples, choose_engine

_LABELS_FILE = "labels.json"
_EXPLAIN = "serving_explain"


def _signatures(network: keras.Model) -> dict[str, Any]:
    """The functions that the SavedModel serves, traced."""
    height, width, channels = network.input_shape[1:]

    def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(network(images, training=False))}

    def decode(content: tf.Tensor) -> tf.Tensor:
        """JPEG or PNG bytes to uint8 (height, width, 3), as `read_rgb` and `fit_rgb` do (an EXIF orientation aside)."""
        # The kernel tells PNG by its signature, whatever the operation is called.
        image = tf.io.decode_jpeg(content, channels=channels, dct_method="INTEGER_ACCURATE")
        fitted = tf.image.resize(image, (height, width), method="bilinear", antialias=True)
        return tf.saturate_cast(tf.round(fitted), tf.uint8)

    def answer_encoded(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.TensorSpec((height, width, channels), tf.uint8)
        return answer(tf.map_fn(decode, encoded, fn_output_signature=pixels))

    def trace(function: Callable[..., dict[str, tf.Tensor]], *arguments: tf.TensorSpec) -> Any:
        return tf.function(function, input_signature=arguments, autograph=False).get_concrete_function()

    images = tf.TensorSpec((None, height, width, channels), tf.uint8, name="images")
    classes = tf.TensorSpec((None,), tf.int32, name="classes")
    signatures = {
        "serving_default": trace(answer, images),
        "serving_encoded": trace(answer_encoded, tf.TensorSpec((None,), tf.string, name="encoded")),
    }
    if explain := explanation(network):
        signatures[_EXPLAIN] = trace(lambda images, classes: {"heatmaps": explain(images, classes)}, images, classes)
    return signatures


def export_bundle(
    bundle: Path,
    network: keras.Model,
    *,
    labels: Sequence[dict[str, Any]],
    algorithm: str,
    name: str,
    metrics: dict[str, float],
    samples: GateSamples,
    bfloat16: bool,
    threads: int,
    report: Callable[[str], None],
) -> None:
    """Write the bundle of `network` (logits of uint8 images, computed in float32) into a new folder.

    Where no engine can be made that agrees with it on `samples`, `report` hears why and TensorFlow is the engine.
    `bfloat16`: the engine may compute in it where that makes no difference.
    """
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    classes = network.output_shape[-1]
    named = label_map(labels, classes=classes)
    signatures = _save(bundle, network, named)
    _write_keras(bundle, network, report)
    engine = _make_engine(bundle, samples, threads, bfloat16, report)
    explain = engine.name == "openvino" and _make_explanation(bundle, signatures, samples.pixels, threads, report)
    write_json(
        bundle / "bundle.json",
        {
            "schema": 1,
            "algorithm": algorithm,
            "model": {
                "name": name,
                "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
                "metrics": metrics,
            },
            "input": {"kind": "image", "shape": list(network.input_shape), "dtype": "uint8"},
            "labels": named,
            "engine": engine.as_json(),
            "explain": explain,
        },
    )


def label_map(labels: Sequence[dict[str, Any]], *, classes: int) -> list[dict[str, Any]]:
    """One entry for each output; outputs that no label was given for get the least unused numbers and no class name."""
    used = {entry["label"] for entry in labels}
    spare = (number for number in range(classes) if number not in used)
    rest = [{"label": next(spare), "class_name": ""} for _ in range(classes - len(labels))]
    return [*labels, *rest]


def _save(bundle: Path, network: keras.Model, labels: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the SavedModel; answers its signatures."""
    labels_file = bundle / _LABELS_FILE
    labels_file.write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")
    # A plain module with the variables alone: tracking the Keras model would trace and store all its layers again.
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    module.labels = tf.saved_model.Asset(str(labels_file))
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    signatures = _signatures(network)
    tf.saved_model.save(module, str(bundle), signatures=signatures, options=options)
    labels_file.unlink()  # Saving copied it into assets/.
    return signatures


def _write_keras(bundle: Path, network: keras.Model, report: Callable[[str], None]) -> None:
    """The file for Keras, where it needs no code of ours; `report` hears why not."""
    try:
        write_keras(of_standard_layers(network), bundle / KERAS_FILE)
    except NotConvertibleError as error:
        report(f"{error}. The model cannot be downloaded for Keras.")


def _make_engine(
    bundle: Path, samples: GateSamples, threads: int, bfloat16: bool, report: Callable[[str], None]
) -> EngineChoice:
    (bundle / ENGINE_FILE).parent.mkdir()
    try:
        convert(bundle)
        engine = choose_engine(bundle, samples=samples, threads=threads, bfloat16=bfloat16)
    except EngineError as error:
        shutil.rmtree((bundle / ENGINE_FILE).parent)
        report(f"{error}. TensorFlow will serve the model.")
        return EngineChoice("tensorflow", "f32", 0.0, {"refused": "no_engine"})
    report(f"The model will be served in {'bfloat16' if engine.precision == 'bf16' else 'float32'}")
    return engine


def _make_explanation(
    bundle: Path, signatures: dict[str, Any], samples: NDArray[np.uint8], threads: int, report: Callable[[str], None]
) -> bool:
    """Whether the engine can explain too; `report` hears why not."""
    if _EXPLAIN not in signatures:
        return False
    try:
        convert_explanation(signatures[_EXPLAIN], bundle / "engine", samples=samples, threads=threads)
    except EngineError as error:
        report(f"{error}. The model will not explain its answers.")
        return False
    return True
