"""A really trained model: its evaluation, its explanations, and what its deployment answers."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from numpy.typing import NDArray
from PIL import Image

from dlmodeler_site.compute.run_folder import RunFolder, read_json, read_jsonl
from dlmodeler_site.storage import workspace
from jobs.algorithms.image_classification.train import train
from jobs.bundles.bundle import load_bundle
from jobs.bundles.engine import has_bfloat16
from jobs.bundles.explainer import Explainer
from tests.cast import make_cast
from tests.deployments.parts import activate, deploy, keeper, make_training, token_of
from tests.jobs.pasted import NOTHING, SIZE_PX, Pasted, make_run, paste

COUNT = 480


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


@pytest.fixture(scope="module")
def pasted() -> Pasted:
    return paste(COUNT, seed=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pasted: Pasted) -> RunFolder:
    """Two of hundred labels are wrong, so that there are mistakes to look at."""
    targets = pasted.targets.copy()
    targets[::50] = (targets[::50] + 1) % 4
    run = make_run(tmp_path_factory.mktemp("trained") / "run", pasted, targets, validation_split=0.4, epochs=30)
    train(run)
    return run


@pytest.fixture(scope="module")
def rows(trained: RunFolder) -> list[dict[str, Any]]:
    return list(read_jsonl(trained.output / "evaluation" / "evaluation.jsonl"))


def place(row: dict[str, Any]) -> int:
    return int(row["name"].removesuffix(".png"))


def explained(run: RunFolder, images: NDArray[np.uint8], classes: list[int]) -> NDArray[np.float32]:
    return np.array(Explainer(load_bundle(run.output / "bundle"), threads=2).heatmaps(list(images), classes))


def test_the_training_measures_what_it_held_out(trained: RunFolder, rows: list[dict[str, Any]]) -> None:
    summary = read_json(trained.output / "evaluation" / "evaluation.json")
    assert (summary["part"], summary["samples"], summary["of"]) == ("held_out", 192, 192)
    assert summary["accuracy"] > 0.9
    result = trained.result()
    assert result is not None
    assert summary["accuracy"] == pytest.approx(result["metrics"]["val_accuracy"], abs=0.011)
    worst = summary["worst"]
    assert worst == sorted(worst, key=lambda mistake: -mistake["loss"])
    assert len(worst) == sum(row["target"] != row["predicted"] for row in rows)
    for mistake in worst:
        assert rows[mistake["row"]]["name"] == mistake["name"]
        with Image.open(trained.output / "evaluation" / mistake["heatmap"]) as heatmap:
            assert heatmap.size == (SIZE_PX, SIZE_PX)


def test_the_hottest_place_is_on_the_object_that_decides(trained: RunFolder, rows: list[dict[str, Any]]) -> None:
    unseen = paste(80, seed=2)
    heat = explained(trained, unseen.pixels, unseen.targets.tolist())
    assert heat.shape == (80, 8, 8)
    assert (heat.min(), heat.max()) == (0, 1)
    assert unseen.is_on_object(heat)[unseen.targets != NOTHING].mean() > 0.8


def test_the_saved_model_explains_likewise_and_other_weights_otherwise(trained: RunFolder, pasted: Pasted) -> None:
    import tensorflow as tf

    images, classes = pasted.pixels[:24], pasted.targets[:24].astype(np.int32)
    heat = explained(trained, images, classes.tolist())
    model = tf.saved_model.load(str(trained.output / "bundle"))
    explain = model.signatures["serving_explain"]
    theirs = explain(images=tf.constant(images), classes=tf.constant(classes))["heatmaps"].numpy()
    assert np.abs(heat - theirs).max() < 1e-3
    generator = np.random.default_rng(0)
    for variable in explain.variables:
        variable.assign(generator.permutation(variable.numpy().ravel()).reshape(variable.shape))
    other = explain(images=tf.constant(images), classes=tf.constant(classes))["heatmaps"].numpy()
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(heat, other, strict=True) if b.any()]
    assert not likeness or np.mean(likeness) < 0.5


@pytest.mark.django_db
@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_the_deployment_answers_the_evaluations_class_for_every_held_out_image(
    trained: RunFolder, rows: list[dict[str, Any]], pasted: Pasted, tmp_path: Path
) -> None:
    cast = make_cast()
    training = make_training(cast, tmp_path)
    workspace().delete_tree(training.export_key)
    copy = shutil.copytree(trained.output / "bundle", tmp_path / "bundle")  # Putting it may move it.
    workspace().put_tree(training.export_key, copy)
    deployment = deploy(cast, tmp_path, training=training)
    files = {row["name"]: trained.path.parent / "images" / row["name"] for row in rows}
    client, token = Client(), token_of(deployment)

    def ask(names: list[str], query: str = "") -> Any:
        inputs = [io.BytesIO(files[name].read_bytes()) for name in names]
        for name, file in zip(names, inputs, strict=True):
            file.name = name
        headers = {"token": token, "Accept": "application/json"}
        return client.post(f"/d/{deployment.pk}/predict{query}", {"input": inputs}, headers=headers)

    with keeper() as servers:
        activate(servers, deployment)
        names = list(files)
        one_by_one = [ask([name]).json()["predictions"][0]["label"] for name in names]
        at_once = [
            prediction["label"]
            for start in range(0, len(names), 50)
            for prediction in ask(names[start : start + 50]).json()["predictions"]
        ]
        evaluated = [row["predicted"] for row in rows]
        assert one_by_one == evaluated
        assert at_once == evaluated

        plain = ask(names[:2]).json()["predictions"]
        answered = ask(names[:2], "?explain=1").json()["predictions"]
        heatmaps = [base64.b64decode(prediction.pop("heatmap")) for prediction in answered]
        assert answered == plain
        for heatmap in heatmaps:
            with Image.open(io.BytesIO(heatmap)) as picture:
                assert (picture.format, picture.size) == ("PNG", (SIZE_PX, SIZE_PX))
        of_red = ask(names[:1], "?explain=1&class=red").json()["predictions"][0]["heatmap"]
        of_1 = ask(names[:1], "?explain=true&class=1").json()["predictions"][0]["heatmap"]
        of_blue = ask(names[:1], "?explain=1&class=3").json()["predictions"][0]["heatmap"]
        assert of_red == of_1 != of_blue
        for query, reason in (
            ("?explain=1&class=cat", "invalid_class"),
            ("?explain=maybe", "invalid_explain"),
            ("?explain=1&format=text", "invalid_format"),
        ):
            refused = ask(names[:1], query)
            assert (refused.status_code, refused.json()["reason"]) == (400, reason)


def test_the_engine_is_within_what_the_gate_lets_through(trained: RunFolder) -> None:
    engine = read_json(trained.output / "bundle" / "bundle.json")["engine"]
    gate = engine["gate"]
    assert engine["name"] == "openvino"
    assert (gate["part"], gate["samples"], gate["f32"]["agreement"]) == ("held_out", 192, 1)
    assert engine["precision"] == ("f32" if gate["refused"] else "bf16")
    assert ("bf16" in gate) == has_bfloat16()
    evaluated = read_json(trained.output / "evaluation" / "evaluation.json")
    assert evaluated["engine"] == {"name": "openvino", "precision": engine["precision"], "fallback": "", "gate": gate}
    assert evaluated["accuracy"] == gate[engine["precision"]]["accuracy"]


def test_the_gradient_is_that_of_a_tape(pasted: Pasted) -> None:
    import tensorflow as tf

    from jobs.algorithms.image_classification.explain import gradient_maps
    from jobs.algorithms.image_classification.model import build_network

    network = build_network(size_px=SIZE_PX, filters=(4, 6, 8, 8, 10, 12), classes=4, dtype_policy="float32", seed=5)
    images, classes = tf.constant(pasted.pixels[:12]), tf.constant(pasted.targets[:12].astype(np.int32))
    heat = gradient_maps(network)(images, classes).numpy()

    features = images
    for layer in network.layers[:5]:  # rescaling and four blocks: 8 x 8 cells
        features = layer(features)
    with tf.GradientTape() as tape:
        tape.watch(features)
        values = features
        for layer in network.layers[5:]:
            values = layer(values)
        values -= tf.reduce_mean(values, axis=1, keepdims=True)
        logits = tf.gather(values, classes, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(logits, features), axis=(1, 2), keepdims=True)
    expected = tf.nn.relu(tf.reduce_sum(features * weights, axis=-1)).numpy()
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-12)
    assert heat.max() == 1
    assert np.abs(heat - expected).max() < 1e-4
