"""Heat maps of transfer learning lie on what decides, and follow from the network's weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.algorithms.image_classification.pretrained_weights import load_pretrained_weights
from tests.jobs.pasted import COLOURS, NOTHING, OBJECT_PX, SIZE_PX, Pasted, paste

CLASSES = 4


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


def pretrained(size_px: int) -> Any:
    from jobs.algorithms.image_classification.efficientnet_lite0 import build_network, fold, set_parameters

    network = build_network(size_px=size_px, classes=CLASSES)
    set_parameters(network, fold(load_pretrained_weights().arrays))
    return network


@pytest.fixture(scope="module")
def learned() -> Any:
    """Frozen blocks with a last layer that tells the pasted objects apart: least squares on standardised features."""
    import keras

    network, seen = pretrained(SIZE_PX), paste(240, seed=1)
    features = keras.Model(network.input, network.get_layer("features").output).predict(seen.pixels, verbose=0)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 0.1
    scaled = (features - mean) / deviation
    wanted = np.eye(CLASSES)[seen.targets] - 1 / CLASSES
    kernel = scaled.T @ np.linalg.solve(scaled @ scaled.T + 10 * np.eye(len(scaled)), wanted) / deviation[:, None]
    network.get_layer("logits").set_weights([kernel, -mean @ kernel])
    return network


def maps(network: Any, pasted: Pasted) -> NDArray[np.float32]:
    from jobs.algorithms.image_classification.explain import explanation

    explain = explanation(network)
    assert explain is not None
    heat: NDArray[np.float32] = explain(pasted.pixels, pasted.targets.astype(np.int32)).numpy()
    return heat


def test_the_hottest_place_is_on_the_object_that_decides(learned: Any) -> None:
    unseen = paste(80, seed=2)
    assert (learned.predict(unseen.pixels, verbose=0).argmax(axis=1) == unseen.targets).mean() >= 0.95
    heat = maps(learned, unseen)
    assert heat.shape == (80, 8, 8)
    assert heat.min() >= 0
    assert (heat.max(axis=(1, 2)) == 1).all()
    assert unseen.is_on_object(heat)[unseen.targets != NOTHING].mean() > 0.9


def test_of_two_objects_that_of_the_class_becomes_hotter(learned: Any) -> None:
    generator = np.random.default_rng(4)
    pixels = np.repeat(generator.integers(60, 190, (24, SIZE_PX, SIZE_PX, 1), dtype=np.uint8), 3, axis=3)
    first = np.arange(24) % len(COLOURS)
    corners = generator.integers(0, SIZE_PX // 2 - OBJECT_PX, (24, 2))
    for image, number, (top, left) in zip(pixels, first, corners, strict=True):
        for target, shift in ((number, 0), ((number + 1) % len(COLOURS), SIZE_PX // 2)):
            rows, columns = (slice(start + shift, start + shift + OBJECT_PX) for start in (top, left))
            image[rows, columns] = COLOURS[target]
    second = (first + 1) % len(COLOURS)
    half = 4  # of 8 cells
    of_first, of_second = (maps(learned, Pasted(pixels, targets, corners)) for targets in (first, second))
    for there, asked, other in (
        (slice(None, half), of_first, of_second),
        (slice(half, None), of_second, of_first),
    ):
        assert (asked[:, there, there].max(axis=(1, 2)) > other[:, there, there].max(axis=(1, 2)) - 1e-6).mean() > 0.9
        assert asked[:, there, there].sum() > 1.2 * other[:, there, there].sum()


def test_other_weights_give_other_maps(learned: Any) -> None:
    import keras

    unseen = paste(24, seed=3)
    heat = maps(learned, unseen)
    other = keras.models.clone_model(learned)
    generator = np.random.default_rng(0)
    for mine, theirs in zip(other.variables, learned.variables, strict=True):
        value = theirs.numpy()
        mine.assign(generator.permutation(value.ravel()).reshape(value.shape))
    changed = maps(other, unseen)
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(heat, changed, strict=True) if b.any()]
    assert not likeness or np.mean(likeness) < 0.5
    assert unseen.is_on_object(changed)[unseen.targets != NOTHING].mean() < 0.5


@pytest.mark.parametrize(("size_px", "source"), [(64, "block5_in"), (99, "block11_in")])
def test_the_gradient_is_that_of_a_tape(size_px: int, source: str) -> None:
    import keras
    import tensorflow as tf

    from jobs.algorithms.image_classification.explain import contribution_maps

    network = pretrained(size_px)
    images = np.random.default_rng(0).integers(0, 256, (3, size_px, size_px, 3), dtype=np.uint8)
    classes = np.array([0, 1, 3], np.int32)
    heat = contribution_maps(network)(images, classes).numpy()
    middle = network.get_layer(source).output
    features = keras.Model(network.input, middle)(images)
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = keras.Model(middle, network.output)(features)
        above_mean = tf.gather(logits - tf.reduce_mean(logits, axis=1, keepdims=True), classes, axis=1, batch_dims=1)
    expected = tf.reduce_sum(tf.nn.relu(tape.gradient(above_mean, features) * features), axis=-1).numpy()
    expected /= expected.max(axis=(1, 2), keepdims=True)
    assert heat.shape == expected.shape
    assert np.abs(heat - expected).max() < 1e-4
