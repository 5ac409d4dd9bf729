"""Image classification: what a run folder makes of a few tiny images."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets.inspection.images import fit_rgb, read_rgb
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, write_jsonl
from dlmodeler_site.sentences import to_json
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.data import epoch_order, load_pixels, read_manifest, split_stratified
from jobs.algorithms.image_classification.train import train
from jobs.algorithms.registry import manifest

CLASSES = 3
SMALL = {"num_types": CLASSES, "batch_size": 8, "learning_rate": 0.01, "mixed_precision": "float32"} | {
    f"filter_num{n}": 4 for n in range(1, 7)
}


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """24 images of 160 x 140 pixels, the class in the colour, half of them JPEG."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    rows = []
    for index in range(24):
        target = index % CLASSES
        pixels = generator.integers(0, 120, (140, 160, 3), dtype=np.uint8)
        pixels[..., target] += 120
        path = folder / f"{index}{'.jpg' if index % 2 else '.png'}"
        Image.fromarray(pixels).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append({"name": path.name, "path": str(path), "sha256": digest, "target": target})
    return rows


def make_run(path: Path, rows: list[dict[str, Any]], *, seed: int = 7, **hyperparameters: Any) -> RunFolder:
    algorithm = manifest("image_classification")
    spec = {
        "algorithm": algorithm.name,
        "name": "tiny",
        "hyperparameters": validate_hyperparameters(algorithm, SMALL | {"epochs": 2} | hyperparameters),
        "images": "input/images.jsonl",
        "labels": [{"label": index + 1, "class_name": name} for index, name in enumerate(("red", "green", "blue"))],
        "seed": seed,
        "threads": 2,
        "gpus": 0,
        "cache": str(path.parent / "cache"),
    }
    run = RunFolder.create(path, spec)
    write_jsonl(run.input / "images.jsonl", rows)
    return run


def events(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.read_events(0)[0] if event["type"] == kind]


def pixels_of(rows: list[dict[str, Any]]) -> NDArray[np.uint8]:
    return np.stack([fit_rgb(read_rgb(Path(row["path"])), width=128, height=128) for row in rows])


def make_learner(
    *, size_px: int = 128, filters: tuple[int, ...] = (4,) * 6, dropout_rate: float = 0.0, **how: Any
) -> Any:
    from jobs.algorithms.image_classification.learner import Learner
    from jobs.algorithms.image_classification.model import build_network
    from jobs.algorithms.image_classification.settings import Recipe
    from jobs.algorithms.image_classification.stages import Stage

    network = build_network(
        size_px=size_px, filters=filters, classes=CLASSES, dtype_policy="float32", seed=7, dropout_rate=dropout_rate
    )
    vary = how.pop("vary", None)
    recipe = Recipe(**{"batch_size": 8, "epochs": 2, "learning_rate": 0.01, **how})
    return Learner(Stage("training", np.zeros((1, size_px, size_px, 3), np.uint8), network, recipe, vary=vary))


def learn(learner: Any, pixels: NDArray[np.uint8], targets: NDArray[np.int32], **given: Any) -> tuple[float, int]:
    given = {"weights": np.ones(len(targets), np.float32), "keys": np.arange(len(targets), dtype=np.int32), **given}
    answer: tuple[float, int] = learner.learn(pixels, targets, given["weights"], given["keys"], rate=given["rate"])
    return answer


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, images: list[dict[str, Any]]) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("finished") / "run", images)
    train(run)
    return run


@pytest.fixture(scope="module")
def saved_model(finished: RunFolder) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(finished.output / "bundle"))


def test_every_epoch_is_published_and_the_last_is_the_result(finished: RunFolder) -> None:
    epochs = events(finished, "epoch")
    assert [(event["epoch"], event["step"]) for event in epochs] == [(1, 3), (2, 6)]
    result = finished.result()
    assert result is not None
    assert result["epochs"] == 2
    assert result["metrics"].keys() == {"loss", "accuracy"}
    for event in epochs:
        metrics = event["metrics"]
        assert metrics.keys() == {*result["metrics"], "learning_rate", "images_per_second", "memory_bytes"}
        assert (event["stage"], metrics["learning_rate"]) == ("training", 0.01)
        assert metrics["images_per_second"] > 0
        assert metrics["memory_bytes"] > 100e6
    assert result["metrics"].items() <= epochs[-1]["metrics"].items()
    assert result["record"]["precision"] == "float32"
    assert result["record"]["class_counts"] == [8, 8, 8]
    phases = [event["name"] for event in events(finished, "phase")]
    assert phases == ["decoding", "start", "preparing", "training", "export", "measuring"]
    values = [event["value"] for event in events(finished, "progress")]
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_training_moves_every_weight(finished: RunFolder) -> None:
    learner = make_learner()
    before = learner.network.get_weights()
    assert learner.restore(finished.checkpoint) == []
    for old, new in zip(before, learner.network.get_weights(), strict=True):
        assert np.abs(new - old).max() > 1e-4


def test_the_exported_model_answers_what_the_trained_model_answers(
    finished: RunFolder, saved_model: Any, images: list[dict[str, Any]]
) -> None:
    import tensorflow as tf

    learner = make_learner()
    learner.restore(finished.checkpoint)
    pixels = pixels_of(images)
    signature = saved_model.signatures["serving_default"]
    (received,) = signature.structured_input_signature[1].values()
    assert (received.dtype, received.shape.as_list()) == (tf.uint8, [None, 128, 128, 3])
    probabilities = signature(tf.constant(pixels))["probabilities"].numpy()
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (24, CLASSES)
    np.testing.assert_allclose(probabilities, tf.nn.softmax(learner.network(pixels)).numpy(), atol=1e-5)


def test_standard_layers_answer_the_same(images: list[dict[str, Any]]) -> None:
    from jobs.algorithms.image_classification.model import of_standard_layers

    network = make_learner().network
    standard = of_standard_layers(network)
    assert {type(layer).__module__.split(".")[0] for layer in standard.layers} == {"keras"}
    pixels = pixels_of(images)
    np.testing.assert_allclose(standard(pixels).numpy(), network(pixels).numpy(), atol=1e-5)


def test_encoded_images_are_answered_as_their_pixels(saved_model: Any, images: list[dict[str, Any]]) -> None:
    import tensorflow as tf

    encoded = tf.constant([Path(row["path"]).read_bytes() for row in images])
    answered = saved_model.signatures["serving_encoded"](encoded)["probabilities"].numpy()
    expected = saved_model.signatures["serving_default"](tf.constant(pixels_of(images)))["probabilities"].numpy()
    assert answered.shape == (24, CLASSES)
    np.testing.assert_allclose(answered, expected, atol=2e-3)


def test_the_engine_answers_as_the_saved_model(
    finished: RunFolder, saved_model: Any, images: list[dict[str, Any]]
) -> None:
    import tensorflow as tf

    from jobs.bundles.conversion import import_openvino

    bundle = finished.output / "bundle"
    description = json.loads((bundle / "bundle.json").read_text())
    assert description["engine"]["name"] == "openvino"
    gate = description["engine"]["gate"]
    assert (gate["part"], gate["samples"], gate["refused"]) == ("training", 24, "float32_wanted")
    assert description["engine"]["max_difference"] < 1e-4
    core = import_openvino().Core()
    compiled = core.compile_model(bundle / "engine/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pixels = pixels_of(images)
    expected = saved_model.signatures["serving_default"](tf.constant(pixels))["probabilities"].numpy()
    np.testing.assert_allclose(compiled(pixels)["probabilities"], expected, atol=1e-4)
    assert sys.modules["openvino_telemetry"] is None


def test_the_bundle_carries_its_label_map(finished: RunFolder) -> None:
    bundle = finished.output / "bundle"
    description = json.loads((bundle / "bundle.json").read_text())
    assert description["labels"] == finished.spec["labels"]
    assert json.loads((bundle / "assets/labels.json").read_text()) == finished.spec["labels"]
    assert description["input"] == {"kind": "image", "shape": [None, 128, 128, 3], "dtype": "uint8"}


def test_outputs_without_a_label_get_unused_numbers() -> None:
    from jobs.algorithms.image_classification.export import label_map

    named = [{"label": 1, "class_name": "red"}, {"label": 4, "class_name": "blue"}]
    assert [entry["label"] for entry in label_map(named, classes=4)] == [1, 4, 0, 2]


def test_steps_are_those_of_plain_keras() -> None:
    """Pooling before the ReLU and working on a large batch in pieces change nothing but rounding."""
    import keras
    from keras import layers

    learner = make_learner(size_px=64, filters=(8,) * 6, learning_rate=0.001)
    plain = keras.Sequential([keras.Input((64, 64, 3)), layers.Rescaling(1 / 255)])
    for _ in range(6):
        plain.add(layers.Conv2D(8, 3, padding="same", activation="relu"))
        plain.add(layers.MaxPooling2D(2))
    plain.add(layers.Flatten())
    plain.add(layers.Dense(CLASSES, activation="softmax"))
    plain.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    plain.set_weights(learner.network.get_weights())
    generator = np.random.default_rng(1)
    for batch in (16, 150):
        pixels = generator.integers(0, 256, (batch, 64, 64, 3), dtype=np.uint8)
        targets = generator.integers(0, CLASSES, batch).astype(np.int32)
        loss_sum, correct = learn(learner, pixels, targets, rate=0.001)
        expected = plain.train_on_batch(pixels, targets, return_dict=True)
        plain.reset_metrics()
        assert loss_sum / batch == pytest.approx(expected["loss"], rel=1e-4)
        assert correct / batch == pytest.approx(expected["accuracy"], abs=1e-6)
    for ours, theirs in zip(learner.network.get_weights(), plain.get_weights(), strict=True):
        # Adam's first steps are the sign of the gradient: where that is nearly 0, rounding decides it.
        assert np.mean(np.abs(ours - theirs) < 1e-5) > 0.99


def test_a_stopped_training_goes_on_where_it_was(
    tmp_path: Path, finished: RunFolder, images: list[dict[str, Any]]
) -> None:
    whole = make_run(tmp_path / "whole", images, epochs=6, validation_split=0.25)
    train(whole)
    run = make_run(tmp_path / "run", images, epochs=6, validation_split=0.25)

    def stop_after_an_epoch() -> None:
        while not events(run, "epoch"):
            time.sleep(0.001)
        run.request_stop()

    watcher = threading.Thread(target=stop_after_an_epoch, daemon=True)
    watcher.start()
    with pytest.raises(StopRequested):
        train(run)
    watcher.join(timeout=5)
    assert (run.checkpoint / "state.npz").is_file()
    assert run.result() is None
    before = len(events(run, "epoch"))
    assert 1 <= before < 6

    (run.path / "STOP").unlink()
    train(run)
    assert [event["epoch"] for event in events(run, "epoch")] == list(range(1, 7))
    for ours, expected in zip(events(run, "epoch"), events(whole, "epoch"), strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert ours["metrics"][name] == pytest.approx(expected["metrics"][name], rel=1e-3)


def test_a_damaged_checkpoint_starts_the_training_again(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    run = make_run(tmp_path / "run", images, epochs=1)
    run.checkpoint.mkdir()
    (run.checkpoint / "state.npz").write_bytes(b"PK\x03\x04 cut off")
    train(run)
    assert [event["epoch"] for event in events(run, "epoch")] == [1]
    assert any("starts from the beginning" in event["text"] for event in events(run, "message"))


def test_a_checkpoint_of_another_training_is_not_gone_on_with(
    tmp_path: Path, finished: RunFolder, images: list[dict[str, Any]]
) -> None:
    run = make_run(tmp_path / "run", images, seed=8, epochs=1)
    shutil.copytree(finished.checkpoint, run.checkpoint)
    train(run)
    assert [event["epoch"] for event in events(run, "epoch")] == [1]
    assert any("it is of another training: settings was" in event["text"] for event in events(run, "message"))


def test_a_checkpoint_of_another_network_changes_nothing(finished: RunFolder) -> None:
    learner = make_learner(filters=(5,) * 6)
    before = learner.network.get_weights()
    with pytest.raises(ValueError, match="shape"):
        learner.restore(finished.checkpoint)
    np.testing.assert_equal(learner.network.get_weights(), before)


def test_a_loss_that_is_no_number_fails_with_its_cause(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    run = make_run(tmp_path / "run", images, epochs=20)
    spec = run.spec
    spec["hyperparameters"]["learning_rate"] = 1e38  # Beyond what the manifest allows
    (run.path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(RunError, match=r"at epoch \d+; lower learning_rate \(1e\+38 was given\)") as caught:
        train(run)
    assert caught.value.reason == "diverged"
    assert "%(epoch)d" in to_json(caught.value.message)["template"]
    assert not run.checkpoint.exists()


def test_more_labels_than_outputs_are_refused(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    run = make_run(tmp_path / "run", images, num_types=2)
    with pytest.raises(RunError, match="3 classes, but num_types is 2") as caught:
        train(run)
    assert caught.value.reason == "num_types_too_small"
    assert to_json(caught.value.message)["values"] == {"count": 3, "num_types": 2}


def test_the_process_trains_and_leaves_a_clean_log(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    run = make_run(tmp_path / "run", images, epochs=1)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.algorithms", str(run.path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.partition(" ")[2] for line in done.stdout.splitlines()]  # each begins with its time
    assert said[0] == "Decoding 24 images to 128 x 128 pixels"
    assert said[3].startswith("Epoch 1: loss ")
    assert "Exporting the model" in said
    assert run.result() is not None
    assert (run.output / "bundle/saved_model.pb").is_file()


def test_unreadable_images_are_named_before_anything_is_trained(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    """Enough images for several processes to decode."""
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    bad = {"name": "b/broken.jpg", "path": str(broken), "sha256": "0", "target": 0}
    run = make_run(tmp_path / "run", [*images * 25, bad])
    done = subprocess.run(
        [sys.executable, "-m", "jobs.algorithms", str(run.path)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1
    error = run.error()
    assert error is not None
    assert error["reason"] == "unreadable_image"
    assert error["message"].startswith("1 image cannot be read: b/broken.jpg: ")
    stored = to_json(error["message"])
    assert stored["template"] == "1 image cannot be read: %(named)s"
    (named,) = stored["values"]["named"]["values"].values()
    assert named["values"]["part0"] == "b/broken.jpg"
    assert named["values"]["part1"]["template"], "why the image cannot be read is a sentence as well"
    assert list((tmp_path / "cache").glob("*.npy")) == []


def test_decoded_images_are_shared_by_later_trainings(tmp_path: Path, images: list[dict[str, Any]]) -> None:
    run = make_run(tmp_path / "run", images)
    rows = read_manifest(run.input / "images.jsonl", labels=CLASSES)
    first = load_pixels(run, rows, cache=tmp_path / "cache", size_px=128, threads=1)
    np.testing.assert_array_equal(first.pixels, pixels_of(images))
    assert first.targets.tolist() == [row["target"] for row in images]
    (cached,) = (tmp_path / "cache").glob("*.npy")
    inode = cached.stat().st_ino
    again = load_pixels(run, rows, cache=tmp_path / "cache", size_px=128, threads=1)
    assert cached.stat().st_ino == inode
    np.testing.assert_array_equal(again.pixels, first.pixels)
    other = load_pixels(run, rows[::-1], cache=tmp_path / "cache", size_px=128, threads=1)
    np.testing.assert_array_equal(other.pixels, first.pixels[::-1])
    cached.write_bytes(cached.read_bytes()[:1000])
    mended = load_pixels(run, rows, cache=tmp_path / "cache", size_px=128, threads=1)
    np.testing.assert_array_equal(mended.pixels, other.pixels[::-1])


def test_a_split_takes_its_share_of_every_class_and_leaves_one() -> None:
    targets = np.array([0] * 20 + [1] * 10 + [2], dtype=np.int32)
    training, validation = split_stratified(targets, share=0.3, seed=1)
    assert sorted([*training, *validation]) == list(range(31))
    assert np.bincount(targets[validation], minlength=3).tolist() == [6, 3, 0]
    np.testing.assert_array_equal(validation, split_stratified(targets, share=0.3, seed=1)[1])
    assert validation.tolist() != split_stratified(targets, share=0.3, seed=2)[1].tolist()
    assert len(split_stratified(targets, share=0.0, seed=1)[1]) == 0


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    indexes = np.arange(50)
    order = epoch_order(indexes, seed=1, epoch=3)
    assert sorted(order) == list(range(50))
    np.testing.assert_array_equal(order, epoch_order(indexes, seed=1, epoch=3))
    assert order.tolist() != epoch_order(indexes, seed=1, epoch=4).tolist()
    assert order.tolist() != epoch_order(indexes, seed=2, epoch=3).tolist()
