"""The gate: what may serve a model, and at which precision, is decided on images that were held out."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deployments.modelserver.admission import Admission
from deployments.modelserver.app import ModelServerApp
from deployments.modelserver.loading import load_predictor
from dlmodeler_site.sentences import from_json
from jobs.bundles.bundle import load_bundle
from jobs.bundles.conversion import ENGINE_FILE, EngineError, convert
from jobs.bundles.engine import has_bfloat16, load_engine
from jobs.bundles.gate import LEAST_SPEEDUP, MOST_SAMPLES, GateSamples, Measured, choose_engine, refusal
from tests.deployments.bundles import LABELS, SIZE_PX, describe

Answer = Callable[[Any], Any]
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="the CPU has no bfloat16")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("engine", "gate"):
        monkeypatch.setattr(f"jobs.bundles.{module}.has_bfloat16", lambda: False)


def write_model(path: Path, logits: Answer) -> Path:
    """A SavedModel and its engine, of a function from float32 images (batch, 16, 16, 3) in 0..1 to logits."""
    import tensorflow as tf

    def answer(images: Any) -> dict[str, Any]:
        return {"probabilities": tf.nn.softmax(logits(tf.cast(images, tf.float32) / 255))}

    specification = tf.TensorSpec((None, SIZE_PX, SIZE_PX, 3), tf.uint8, name="images")
    module = tf.Module()
    module.answer = tf.function(answer, input_signature=[specification], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    (path / ENGINE_FILE).parent.mkdir()
    convert(path)
    return path


def constant(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def near_ties(images: Any) -> Any:
    """Two classes that the images hardly tell apart: what decides is smaller than bfloat16 can tell."""
    import tensorflow as tf

    one = constant(SIZE_PX * SIZE_PX * 3, 1)
    weights = np.concatenate([one, one + 1e-4 * constant(*one.shape, seed=1), one - 100], axis=1)
    return tf.reshape(images, (-1, SIZE_PX * SIZE_PX * 3)) @ weights


def clear_cut(images: Any) -> Any:
    """The colour that is strongest, after convolutions that are there to be slow."""
    import tensorflow as tf

    colours = tf.reduce_mean(images, axis=(1, 2)) * 20
    features = tf.tile(images, (1, 4, 4, 16))
    for seed in range(3):
        features = tf.nn.relu(tf.nn.conv2d(features, constant(3, 3, 48, 48, seed=seed) / 20, 1, "SAME"))
    return colours + 1e-3 * tf.tanh(tf.reduce_mean(features, axis=(1, 2)))[:, :3]


def coloured(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    targets = np.arange(count, dtype=np.int32) % 3
    pixels = np.random.default_rng(0).integers(0, 100, (count, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    pixels[np.arange(count), :, :, targets] += 100
    return pixels, targets


def samples(count: int = 90) -> GateSamples:
    return GateSamples.of(*coloured(count), held_out=np.arange(count // 3))


# -- which images decide ------------------------------------------------------------------------


def test_only_what_was_held_out_decides_and_all_where_nothing_was() -> None:
    pixels, targets = np.zeros((2000, 1, 1, 3), np.uint8), np.zeros(2000, np.int32)
    some = GateSamples.of(pixels, targets, held_out=np.array([3, 5, 8]))
    assert (some.rows.tolist(), some.are_held_out) == ([3, 5, 8], True)
    everything = GateSamples.of(pixels[:20], targets[:20], held_out=np.array([], np.int64))
    assert (everything.rows.tolist(), everything.are_held_out) == (list(range(20)), False)
    many = GateSamples.of(pixels, targets, held_out=np.arange(400, 2000))
    assert len(set(many.rows.tolist())) == MOST_SAMPLES == 500
    assert (many.rows[0], many.rows[-1]) == (400, 1999)


# -- what is let through ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (Measured(agreement=0.995, accuracy=0.898, max_difference=0.5), ""),
        (Measured(agreement=0.994, accuracy=0.9, max_difference=0.5), "other_classes"),
        (Measured(agreement=0.995, accuracy=0.896, max_difference=0.5), "less_accurate"),
        (Measured(agreement=1.0, accuracy=0.9, max_difference=2.0), "other_classes"),  # something was no number
    ],
)
def test_bfloat16_is_let_through_up_to_the_limits(measured: Measured, why: str) -> None:
    assert refusal("bf16", measured, of=0.9) == why


def test_float32_must_differ_by_rounding_only() -> None:
    assert refusal("f32", Measured(agreement=1.0, accuracy=0.9, max_difference=1e-5), of=0.9) == ""
    assert refusal("f32", Measured(agreement=1.0, accuracy=0.9, max_difference=2e-3), of=0.9) == "other_classes"


def test_an_engine_of_another_network_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", clear_cut)
    other = write_model(tmp_path / "other", near_ties)
    for file in (other / "engine").iterdir():
        file.replace(model / "engine" / file.name)
    with pytest.raises(EngineError, match="another class"):
        choose_engine(model, samples=samples(), threads=1, bfloat16=True)


@needs_bfloat16
def test_a_model_whose_classes_are_others_in_bfloat16_is_served_in_float32(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", near_ties)
    engine = choose_engine(model, samples=samples(), threads=2, bfloat16=True)
    assert (engine.name, engine.precision, engine.gate["refused"]) == ("openvino", "f32", "other_classes")
    assert engine.gate["bf16"]["agreement"] < 0.995
    assert engine.gate["f32"]["agreement"] == 1
    assert engine.max_difference == engine.gate["f32"]["max_difference"] < 1e-4

    describe(model, labels=LABELS, engine=json.loads(json.dumps(engine.as_json())))
    bundle = load_bundle(model)
    assert bundle.engine == engine
    assert load_engine(bundle, threads=1).precision == "f32"


@needs_bfloat16
def test_a_model_that_is_as_good_and_faster_in_bfloat16_is_served_so(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", clear_cut)
    engine = choose_engine(model, samples=samples(), threads=2, bfloat16=True)
    gate = engine.gate
    assert (engine.precision, gate["refused"], gate["part"], gate["samples"]) == ("bf16", "", "held_out", 30)
    assert (gate["accuracy"], gate["f32"]["accuracy"], gate["bf16"]["accuracy"]) == (1, 1, 1)
    assert gate["f32"]["cpu_ms"] >= LEAST_SPEEDUP * gate["bf16"]["cpu_ms"] > 0
    assert engine.max_difference == gate["bf16"]["max_difference"] > 0


def test_bfloat16_is_not_tried_where_the_training_asks_for_float32(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", clear_cut)
    engine = choose_engine(model, samples=samples(), threads=1, bfloat16=False)
    assert (engine.precision, engine.gate["refused"]) == ("f32", "float32_wanted")
    assert "bf16" not in engine.gate


# -- a machine without bfloat16 -----------------------------------------------------------------


@pytest.mark.usefixtures("without_bfloat16")
def test_a_training_on_a_machine_without_bfloat16_chooses_float32(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", clear_cut)
    engine = choose_engine(model, samples=samples(), threads=1, bfloat16=True)
    assert (engine.precision, engine.gate["refused"]) == ("f32", "no_bfloat16")


@needs_bfloat16
def test_a_bundle_in_bfloat16_runs_in_float32_where_there_is_none_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_model(tmp_path / "model", clear_cut)
    pixels, _targets = coloured(3)

    def served(precision: str) -> Any:
        describe(model, engine={"name": "openvino", "precision": precision})
        return load_predictor(model, threads=1)

    f32, bf16 = served("f32").engine, served("bf16").engine
    assert (f32.precision, f32.fallback, bf16.precision, bf16.fallback) == ("f32", "", "bf16", "")
    assert (bf16.predict(pixels) != f32.predict(pixels)).any()

    monkeypatch.setattr("jobs.bundles.engine.has_bfloat16", lambda: False)
    with caplog.at_level(logging.WARNING):
        moved = served("bf16")
    assert "FALLBACK to float32" in caplog.text
    assert (moved.engine.predict(pixels) == f32.predict(pixels)).all()
    app = ModelServerApp(moved, Admission(active=1, waiting=1, deadline_s=1))
    environ = {"PATH_INFO": "/metadata", "REQUEST_METHOD": "GET"}
    told = json.loads(b"".join(app(environ, lambda _status, _headers: None)))["engine"]
    assert (told["name"], told["precision"]) == ("openvino", "f32")
    assert "no bfloat16" in from_json(told["fallback"])
