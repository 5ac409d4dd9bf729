"""The `serving_default` of a SavedModel as ONNX and LiteRT, and a Keras file: uint8 images in, probabilities out."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_OPSET = 17  # read by ONNX Runtime since 1.12


class NotConvertibleError(Exception):
    """The converter cannot write the network in this format."""


def write_onnx(saved_model: Path, target: Path) -> None:
    """Write the network as ONNX: input `images`, output `probabilities`.

    Raises:
        NotConvertibleError: it has an operation that ONNX lacks.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    import tf2onnx.convert

    model = tf.saved_model.load(str(saved_model))  # must outlive the function, whose variables it holds
    serving = model.signatures["serving_default"]
    _positional, arguments = serving.structured_input_signature
    ((name, specification),) = arguments.items()
    function = tf.function(lambda images: serving(**{name: images}), autograph=False)
    signature = [tf.TensorSpec(specification.shape, specification.dtype, name=name)]
    try:
        tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET, output_path=str(target))
    except (ValueError, NotImplementedError, RuntimeError) as error:
        raise NotConvertibleError(f"tf2onnx: {error}") from error


def write_litert(saved_model: Path, target: Path) -> None:
    """Write the network as LiteRT, with the signature `serving_default` of the SavedModel.

    Raises:
        NotConvertibleError: it has an operation that LiteRT lacks.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=["serving_default"])
    try:
        content = converter.convert()
    except Exception as error:  # the converter's own class is private
        if type(error).__name__ != "ConverterError":
            raise
        raise NotConvertibleError(f"LiteRT: {error}") from error
    target.write_bytes(content)


def write_keras(network: Any, target: Path) -> None:
    """Write a Keras model (uint8 images to logits) as a .keras file that answers probabilities.

    Raises:
        NotConvertibleError: it has a layer that Keras alone cannot load.
    """
    import keras

    own = {type(layer).__name__ for layer in network._flatten_layers() if not _is_keras(layer)}
    if own:
        raise NotConvertibleError(f"Keras alone has no {', '.join(sorted(own))}")
    probabilities = keras.layers.Softmax(name="probabilities", dtype="float32")(network.outputs[0])
    keras.Model(network.inputs[0], probabilities, name="model").save(target)


def _is_keras(layer: Any) -> bool:
    return type(layer).__module__.split(".")[0] == "keras" and type(layer).__name__ != "Lambda"


WRITERS: Mapping[str, tuple[str, Callable[[Path, Path], None]]] = {
    "onnx": ("model.onnx", write_onnx),
    "litert": ("model.tflite", write_litert),
}
