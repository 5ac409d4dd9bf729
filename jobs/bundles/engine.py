"""Engines: what turns pixels, or the cells of rows, into probabilities or values."""

import logging
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle, ImageInput, TableInput
from jobs.bundles.conversion import import_openvino
from jobs.bundles.errors import BundleError

logger = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.object_]  # of str
Probabilities = npt.NDArray[np.float32]
Answers = npt.NDArray[np.float32]


class Engine(Protocol):
    """Thread-safe. `fallback` says why engine or precision is not what the bundle names, empty when it is."""

    name: str
    precision: str
    fallback: str

    def predict(self, batch: Pixels | Cells) -> Answers:
        """float32: probabilities (batch, classes), or for a regression values (batch,).

        Args:
            batch: uint8 (batch, height, width, 3) of images, texts (batch, columns) of rows, "" = missing.
        """
        ...


class OpenVinoEngine:
    """One stream of one thread for each of `threads` callers: requests neither wait for nor pin each other's cores."""

    name = "openvino"

    def __init__(self, model: Path, *, output: str, precision: str, threads: int, fallback: str = "") -> None:
        self.precision = precision
        self.fallback = fallback
        compiled = (
            import_openvino()
            .Core()
            .compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": threads,
                    "INFERENCE_NUM_THREADS": threads,
                    "INFERENCE_PRECISION_HINT": precision,
                    # Two servers that pin take the same cores.
                    "ENABLE_CPU_PINNING": False,
                },
            )
        )
        self._compiled = compiled
        self._output = compiled.outputs[0]
        for each in compiled.outputs:
            if output in each.get_names():
                self._output = each
        self._requests: deque[Any] = deque(compiled.create_infer_request() for _stream in range(threads))

    def predict(self, batch: Pixels | Cells) -> Answers:
        try:
            request = self._requests.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            answer: Answers = request.infer(np.ascontiguousarray(batch), share_inputs=True)[self._output]
            return answer
        finally:
            self._requests.append(request)


def has_bfloat16() -> bool:
    """Whether this machine's CPU computes in bfloat16; on others OpenVINO imitates it."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class TensorFlowEngine:
    """The SavedModel's own `serving_default`: slower to start and bigger, always available."""

    name = "tensorflow"
    precision = "f32"

    def __init__(self, bundle: Bundle, *, threads: int, fallback: str = "") -> None:
        import tensorflow as tf

        self.fallback = fallback
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            logger.info("TensorFlow is already running in this process: it keeps its number of threads.")
        self._model = tf.saved_model.load(str(bundle.path))
        self._function = self._model.signatures["serving_default"]
        self._constant = tf.constant
        _positional, inputs = self._function.structured_input_signature
        (self._input,) = inputs
        self._output = bundle.output

    def predict(self, batch: Pixels | Cells) -> Answers:
        outputs = self._function(**{self._input: self._constant(batch)})
        answer: Answers = outputs[self._output].numpy()
        return answer


def load_engine(bundle: Bundle, *, threads: int) -> Engine:
    """The bundle's engine, warmed up; loudly, float32 where the CPU has no bfloat16, TensorFlow where OpenVINO fails.

    Raises:
        BundleError: no engine can be loaded, or its shapes do not fit `bundle.json`.
    """
    if bundle.engine.name == "tensorflow":
        return _load_tensorflow(bundle, threads=threads)
    if not bundle.openvino_model.exists():
        return _load_tensorflow(bundle, threads=threads, fallback=_("the bundle has no engine/model.xml"))
    try:
        engine = _load_openvino(bundle, threads=threads)
    except (ImportError, RuntimeError) as error:
        cause = _("OpenVINO could not load engine/model.xml: %(cause)s", cause=_cause(bundle, error))
        return _load_tensorflow(bundle, threads=threads, fallback=cause)
    _check(bundle, engine, rounds=threads)
    return engine


def _load_openvino(bundle: Bundle, *, threads: int) -> OpenVinoEngine:
    precision, fallback = bundle.engine.precision, ""
    if precision == "bf16" and not has_bfloat16():
        precision = "f32"
        fallback = _("the CPU of this machine has no bfloat16, in which the bundle was to be served: float32 is used")
        logger.warning("FALLBACK to float32 for %s: %s", bundle.path, fallback)
    return OpenVinoEngine(
        bundle.openvino_model, output=bundle.output, precision=precision, threads=threads, fallback=fallback
    )


def _load_tensorflow(bundle: Bundle, *, threads: int, fallback: str = "") -> Engine:
    if fallback:
        logger.warning("FALLBACK to the TensorFlow engine for %s: %s", bundle.path, fallback)
    if not bundle.saved_model.exists():
        raise BundleError(
            _(
                "No engine can be loaded: %(why)s, and there is no saved_model.pb. Export the training again.",
                why=fallback or _("the bundle names tensorflow"),
            )
        )
    try:
        engine = TensorFlowEngine(bundle, threads=threads, fallback=fallback)
    except Exception as error:
        raise BundleError(_("TensorFlow cannot load the SavedModel: %(cause)s", cause=_cause(bundle, error))) from error
    _check(bundle, engine, rounds=1)
    return engine


def _cause(bundle: Bundle, error: Exception) -> str:
    """What a library says, with files named as in the bundle and not as on this machine."""
    return str(error).replace(f"{bundle.path}/", "")


def _check(bundle: Bundle, engine: Engine, *, rounds: int) -> None:
    """Predict an empty sample, so that the first user does not pay for lazy set-up, and compare the shapes."""
    empty = _empty(bundle.input)
    expected = (1, len(bundle.labels)) if bundle.task == "classification" else (1,)
    for _round in range(rounds):
        try:
            answer = engine.predict(empty)
        except Exception as error:
            raise BundleError(
                _(
                    "The %(engine)s engine does not take the input shape of bundle.json, %(shape)s: %(cause)s",
                    engine=engine.name,
                    shape=str(empty.shape),
                    cause=_cause(bundle, error),
                )
            ) from error
        if answer.shape != expected:
            raise BundleError(_other_answer(bundle, engine, answer.shape, expected))


def _empty(of: ImageInput | TableInput) -> Pixels | Cells:
    """A black image, or a row of which every value is missing."""
    if isinstance(of, TableInput):
        return np.full((1, len(of.columns)), "", object)
    return np.zeros((1, of.height, of.width, 3), np.uint8)


def _other_answer(bundle: Bundle, engine: Engine, received: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if bundle.task == "regression":
        return _(
            "The %(engine)s engine answers shape %(shape)s; of a regression %(expected)s was expected.",
            engine=engine.name,
            shape=str(received),
            expected=str(expected),
        )
    return _(
        "The %(engine)s engine answers shape %(shape)s; "
        "bundle.json lists %(labels)d labels, so %(expected)s was expected.",
        engine=engine.name,
        shape=str(received),
        labels=len(bundle.labels),
        expected=str(expected),
    )
