"""The exported network as OpenVINO IR, and the proof that it answers as the SavedModel does."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Probabilities of the two in float32 differ by rounding only, about 1e-6; a wrong conversion differs by far more.
_TOLERANCE = 1e-3
_SAMPLES = 256
_EXPLAINED_SAMPLES = 4
# Heat maps are in parts of their maximum, which makes rounding larger; nobody sees a hundredth.
_HEAT_TOLERANCE = 1e-2
_BATCH = 32


class EngineError(Exception):
    """The network could not be made into an engine that answers the same."""


@dataclass(frozen=True)
class Agreement:
    """How an engine's answers on `samples` images differ from the SavedModel's."""

    samples: int
    other_classes: int
    max_difference: float


def import_openvino() -> Any:
    """OpenVINO, with its telemetry kept from being imported: it would send an event over the network at once."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes the import fail.
    import openvino

    return openvino


def convert(saved_model: Path, folder: Path, *, samples: NDArray[np.uint8], threads: int) -> Agreement:
    """Write `serving_default` of a SavedModel as `folder`/model.xml and model.bin in float32 and compare the answers.

    Args:
        samples: uint8 (image, height, width, 3); at most 256 of them, evenly spread, are answered by both.

    Raises:
        EngineError: OpenVINO cannot convert or compile it, or the answers differ.
    """
    try:
        ov = import_openvino()
        core = ov.Core()
        model = core.read_model(saved_model)
        ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        compiled = core.compile_model(folder / "model.xml", "CPU", settings)
    except (RuntimeError, ImportError, OSError) as error:
        raise EngineError(f"OpenVINO cannot convert the model: {error}") from error

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answered: NDArray[np.float32] = compiled(images)["probabilities"]
        return answered

    agreement = _compare(answer, _saved_model_answer(saved_model), samples)
    if agreement.other_classes or not agreement.max_difference <= _TOLERANCE:
        raise EngineError(
            f"OpenVINO answers another class for {agreement.other_classes} of {agreement.samples} images; "
            f"the largest difference of a probability is {agreement.max_difference:.2g}, "
            f"at most {_TOLERANCE:g} is expected"
        )
    return agreement


def convert_explanation(graph: Any, folder: Path, *, samples: NDArray[np.uint8], threads: int) -> None:
    """Write a TensorFlow function as `folder`/explain.xml and explain.bin and see that it answers the same.

    Args:
        graph: the concrete function: `images` uint8 (batch, height, width, 3) and `classes` int32 (batch,) to
            `heatmaps` float32 (batch, h, w) in 0..1.
        samples: images, of which a few are answered by both.

    Raises:
        EngineError: OpenVINO cannot convert or compile it, or the answers differ.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = folder / "explain.pb"
    try:
        ov = import_openvino()
        frozen.write_bytes(convert_variables_to_constants_v2(graph).graph.as_graph_def().SerializeToString())
        model = ov.Core().read_model(frozen)
        for port in model.inputs:
            port.set_names({port.get_any_name().partition(":")[0]})
        model.outputs[0].set_names({"heatmaps"})
        ov.save_model(model, folder / "explain.xml", compress_to_fp16=False)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        compiled = ov.Core().compile_model(folder / "explain.xml", "CPU", settings)
    except (RuntimeError, ImportError, OSError) as error:
        _discard_explanation(folder)
        raise EngineError(f"OpenVINO cannot convert what explains the model: {error}") from error
    finally:
        frozen.unlink(missing_ok=True)
    images = samples[:_EXPLAINED_SAMPLES]
    classes = np.zeros(len(images), np.int32)
    theirs = graph(images=tf.constant(images), classes=tf.constant(classes))["heatmaps"].numpy()
    difference = float(np.max(np.abs(compiled({"images": images, "classes": classes})["heatmaps"] - theirs)))
    if not difference <= _HEAT_TOLERANCE:
        _discard_explanation(folder)
        raise EngineError(
            f"OpenVINO explains otherwise: the largest difference of a heat map is {difference:.2g}, "
            f"at most {_HEAT_TOLERANCE:g} is expected"
        )


def _discard_explanation(folder: Path) -> None:
    for name in ("explain.xml", "explain.bin"):
        (folder / name).unlink(missing_ok=True)


Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def _saved_model_answer(path: Path) -> Answer:
    import tensorflow as tf

    serving = tf.saved_model.load(str(path)).signatures["serving_default"]

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = serving(tf.constant(images))["probabilities"].numpy()
        return probabilities

    return answer


def _compare(engine: Answer, reference: Answer, samples: NDArray[np.uint8]) -> Agreement:
    count = other_classes = 0
    difference = 0.0
    for images in _batches(samples):
        ours, theirs = engine(images), reference(images)
        count += len(images)
        other_classes += int(np.sum(ours.argmax(axis=1) != theirs.argmax(axis=1)))
        difference = max(difference, float(np.max(np.abs(ours - theirs))))
    return Agreement(count, other_classes, difference)


def _batches(samples: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    rows = np.linspace(0, len(samples) - 1, min(len(samples), _SAMPLES)).astype(np.int64)
    for start in range(0, len(rows), _BATCH):
        yield samples[rows[start : start + _BATCH]]
