"""The exported network, and what explains it, as OpenVINO IR."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINE_FILE = Path("engine", "model.xml")  # in a bundle
_EXPLAINED_SAMPLES = 4
# Heat maps are in parts of their maximum, which makes rounding larger; nobody sees a hundredth.
_HEAT_TOLERANCE = 1e-2


class EngineError(Exception):
    """The network could not be made into an engine that answers the same."""


def import_openvino() -> Any:
    """OpenVINO, with its telemetry kept from being imported: it would send an event over the network at once."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes the import fail.
    import openvino

    return openvino


def convert(saved_model: Path) -> None:
    """Write `serving_default` of a SavedModel as model.xml and model.bin in float32 into its folder `engine/`.

    Raises:
        EngineError: OpenVINO cannot convert it.
    """
    try:
        ov = import_openvino()
        ov.save_model(ov.Core().read_model(saved_model), saved_model / ENGINE_FILE, compress_to_fp16=False)
    except (RuntimeError, ImportError, OSError) as error:
        raise EngineError(f"OpenVINO cannot convert the model: {error}") from error


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
