"""Whether OpenVINO may serve a network, and at which precision: decided on images that it and the SavedModel answer.

It may where it gives the SavedModel's classes and is right as often; in bfloat16 only where that is faster as well.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.bundles.bundle import EngineChoice
from jobs.bundles.conversion import ENGINE_FILE, EngineError
from jobs.bundles.engine import OpenVinoEngine, has_bfloat16

LEAST_AGREEMENT = 0.995
MOST_ACCURACY_LOST = 0.002
LEAST_SPEEDUP = 1.15
MOST_SAMPLES = 500
# Probabilities in float32 differ by rounding only, about 1e-6; a wrong conversion differs by far more. In bfloat16 they
# may differ by anything but what is no number.
_MOST_DIFFERENCE = {"f32": 1e-3, "bf16": 1.0}
_NOT_A_NUMBER = 3.0  # in place of it: further from every probability than is let through
_BATCH = 32
_LEAST_ROUNDS, _MOST_ROUNDS, _TIMED_S = 5, 100, 0.4

Pixels = NDArray[np.uint8]
Answers = NDArray[np.float32]


@dataclass(frozen=True)
class GateSamples:
    """The images of a training, of which at most `MOST_SAMPLES` are answered by the candidates.

    `pixels` are uint8 (image, height, width, 3), `targets` (image,) the output that is right for each. `rows` are those
    that are answered; whether they are held out is `are_held_out`.
    """

    pixels: Pixels
    targets: NDArray[np.int32]
    rows: NDArray[np.int64]
    are_held_out: bool

    @classmethod
    def of(cls, pixels: Pixels, targets: NDArray[np.int32], *, held_out: NDArray[np.int64]) -> "GateSamples":
        """Those held out, or all where none were, evenly spread where they are too many."""
        rows = held_out if len(held_out) else np.arange(len(pixels))
        evenly = np.linspace(0, len(rows) - 1, min(len(rows), MOST_SAMPLES)).astype(np.int64)
        return cls(pixels, targets, rows[evenly], bool(len(held_out)))

    def accuracy(self, answers: Answers) -> float:
        return float(np.mean(answers.argmax(axis=1) == self.targets[self.rows]))


@dataclass(frozen=True)
class Measured:
    """An engine at one precision: the share of the samples with the SavedModel's class, the share it is right about.

    `cpu_ms`: median CPU time of one image on one thread, which is its latency on a core that nobody else uses; None
    where there was nothing to compare it with.
    """

    agreement: float
    accuracy: float
    max_difference: float
    cpu_ms: float | None = None


def choose_engine(saved_model: Path, *, samples: GateSamples, threads: int, bfloat16: bool) -> EngineChoice:
    """OpenVINO at the precision that it is to be served at on machines like this one.

    Args:
        saved_model: the bundle's folder, with the converted network in `engine/`.
        bfloat16: whether the engine may compute in it at all.

    Raises:
        EngineError: OpenVINO cannot load the network, or does not answer as the SavedModel even in float32.
    """
    reference = _reference_answers(saved_model, samples)
    gate: dict[str, Any] = {
        "part": "held_out" if samples.are_held_out else "training",
        "samples": len(samples.rows),
        "accuracy": samples.accuracy(reference),
    }
    full = _load(saved_model, "f32", threads=threads)
    f32 = _measure(full, samples, reference, threads=threads)
    if refusal("f32", f32, of=gate["accuracy"]):
        raise EngineError(
            f"OpenVINO answers {1 - f32.agreement:.2%} of {len(samples.rows)} images with another class and is right "
            f"about {f32.accuracy:.2%} of them, the SavedModel about {gate['accuracy']:.2%}; the largest difference of "
            f"a probability is {f32.max_difference:.2g}, at most {_MOST_DIFFERENCE['f32']:g} is expected"
        )
    gate["refused"] = "float32_wanted" if not bfloat16 else "" if has_bfloat16() else "no_bfloat16"
    if not gate["refused"]:
        half = _load(saved_model, "bf16", threads=threads)
        bf16 = _measure(half, samples, reference, threads=threads)
        full_ms, half_ms = _cpu_ms([full, half], samples)
        f32, bf16 = replace(f32, cpu_ms=full_ms), replace(bf16, cpu_ms=half_ms)
        too_slow = "" if full_ms >= LEAST_SPEEDUP * half_ms else "not_faster"
        gate["refused"] = refusal("bf16", bf16, of=gate["accuracy"]) or too_slow
        gate["bf16"] = asdict(bf16)
    gate["f32"] = asdict(f32)
    precision = "f32" if gate["refused"] else "bf16"
    return EngineChoice("openvino", precision, gate[precision]["max_difference"], gate)


def refusal(precision: str, measured: Measured, *, of: float) -> str:
    """Why it may not answer in place of what is right about the share `of`; "" where it may."""
    if measured.agreement < LEAST_AGREEMENT or measured.max_difference > _MOST_DIFFERENCE[precision]:
        return "other_classes"
    if of - measured.accuracy > MOST_ACCURACY_LOST + 1e-9:
        return "less_accurate"
    return ""


def _load(saved_model: Path, precision: str, *, threads: int) -> OpenVinoEngine:
    try:
        return OpenVinoEngine(saved_model / ENGINE_FILE, output="probabilities", precision=precision, threads=threads)
    except (ImportError, RuntimeError) as error:
        raise EngineError(f"OpenVINO cannot load the model: {error}") from error


def _measure(engine: OpenVinoEngine, samples: GateSamples, reference: Answers, *, threads: int) -> Measured:
    """Each image is asked by itself, as most requests are."""

    def answer(row: int) -> Answers:
        return engine.predict(samples.pixels[row][None])

    with ThreadPoolExecutor(threads) as workers:
        answers = _numbers(np.concatenate(list(workers.map(answer, samples.rows))))
    return Measured(
        agreement=float(np.mean(answers.argmax(axis=1) == reference.argmax(axis=1))),
        accuracy=samples.accuracy(answers),
        max_difference=float(np.max(np.abs(answers - reference))),
    )


def _reference_answers(saved_model: Path, samples: GateSamples) -> Answers:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    serving = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    batches = (samples.rows[start : start + _BATCH] for start in range(0, len(samples.rows), _BATCH))
    answers = [serving(tf.constant(samples.pixels[rows]))["probabilities"].numpy() for rows in batches]
    return _numbers(np.concatenate(answers))


def _numbers(answers: Answers) -> Answers:
    return np.nan_to_num(answers, nan=_NOT_A_NUMBER, posinf=_NOT_A_NUMBER, neginf=_NOT_A_NUMBER)


def _cpu_ms(engines: list[OpenVinoEngine], samples: GateSamples) -> list[float]:
    """Medians of runs of one image in turn; of CPU time, so that what else runs on the machine decides nothing."""
    images: list[Pixels] = [samples.pixels[row][None] for row in samples.rows[:_MOST_ROUNDS]]
    times: list[list[float]] = [[] for _engine in engines]
    end = time.monotonic() + _TIMED_S
    for number in range(_MOST_ROUNDS):
        if number >= _LEAST_ROUNDS and time.monotonic() >= end:
            break
        for engine, spent in zip(engines, times, strict=True):
            began = time.process_time()
            engine.predict(images[number % len(images)])
            spent.append((time.process_time() - began) * 1000)
    return [float(np.median(spent)) for spent in times]
