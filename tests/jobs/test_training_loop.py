"""The loop over stages, on points of a plane in three classes: what it keeps, when it stops, how it learns."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested
from jobs.algorithms.image_classification.settings import Recipe, Variations

RECIPE = Recipe(batch_size=16, epochs=4, learning_rate=0.05)


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


def points(count: int = 60, *, seed: int = 0, noise: float = 0.6) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    generator = np.random.default_rng(seed)
    targets = np.arange(count, dtype=np.int32) % 3
    centres = np.array([[0, 1], [1, -1], [-1, -1]], np.float32)
    inputs = centres[targets] + generator.normal(0, noise, (count, 2))
    return inputs.astype(np.float32), targets


def network(*, dropout_rate: float = 0.0) -> Any:
    import keras
    from keras import layers

    from jobs.algorithms.image_classification.augmentation import KeyedDropout

    def dense(units: int, seed: int, activation: str | None = None) -> Any:
        start = keras.initializers.GlorotUniform(seed=seed)
        return layers.Dense(units, activation=activation, kernel_initializer=start)

    return keras.Sequential([keras.Input((2,)), dense(8, 3, "tanh"), KeyedDropout(dropout_rate), dense(3, 4)])


def make_loop(
    path: Path, *recipes: Recipe, data: Any = None, share: float = 0.0, seed: int = 1, **options: Any
) -> tuple[Any, RunFolder]:
    from jobs.algorithms.data import split_stratified
    from jobs.algorithms.image_classification.loop import Loop, Samples
    from jobs.algorithms.image_classification.stages import Stage

    inputs, targets = data or points()
    one = options.pop("network", None) or network()
    run = RunFolder(path) if path.exists() else RunFolder.create(path, {})
    stages = [Stage(f"stage{number}", inputs, one, recipe) for number, recipe in enumerate(recipes or [RECIPE])]
    train, held_out = split_stratified(targets, share=share, seed=seed)
    weights = options.pop("weights", np.ones(len(targets), np.float32))
    return Loop(run, stages, Samples(targets, weights, train, held_out), identity={}, seed=seed, **options), run


def epochs(run: RunFolder) -> list[dict[str, Any]]:
    return [event for event in run.read_events(0)[0] if event["type"] == "epoch"]


def test_epochs_are_numbered_on_through_the_stages(tmp_path: Path) -> None:
    second = replace(RECIPE, epochs=2, learning_rate=0.001)
    loop, run = make_loop(tmp_path / "run", RECIPE, second, begins_at=0.5)
    outcome = loop.run_to_end()
    told = [(event["epoch"], event["stage"], event["metrics"]["learning_rate"]) for event in epochs(run)]
    assert told == [(n, "stage0", 0.05) for n in range(1, 5)] + [(n, "stage1", 0.001) for n in (5, 6)]
    assert outcome.epochs == outcome.epoch == 6
    progress = [event["value"] for event in run.read_events(0)[0] if event["type"] == "progress"]
    assert progress == sorted(progress)
    assert progress[0] >= 0.5
    plans = [event for event in run.read_events(0)[0] if event["type"] == "plan"]
    assert [(plan["epochs"], [stage["last_epoch"] for stage in plan["stages"]]) for plan in plans] == [(6, [4, 6])] * 2
    # The second stage began with what the first one had learned.
    assert epochs(run)[4]["metrics"]["loss"] < epochs(run)[0]["metrics"]["loss"]


def test_a_training_stops_when_the_model_gets_no_better_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    recipe = Recipe(batch_size=8, epochs=200, learning_rate=0.3, early_stopping=True, patience=3, restore_best=True)
    loop, run = make_loop(tmp_path / "run", recipe, data=points(noise=1.5), share=0.4)
    outcome = loop.run_to_end()
    losses = [event["metrics"]["val_loss"] for event in epochs(run)]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 200
    assert (outcome.epoch, outcome.epochs) == (best + 1, len(losses))
    assert outcome.metrics["val_loss"] == losses[best]
    again = loop._measure(loop._samples.held_out)
    assert again["val_loss"] == pytest.approx(losses[best], rel=1e-6)


def test_the_plan_is_told_anew_when_a_stage_ended_early(tmp_path: Path) -> None:
    early = Recipe(batch_size=8, epochs=200, learning_rate=0.3, early_stopping=True, patience=3)
    loop, run = make_loop(tmp_path / "run", early, RECIPE, data=points(noise=1.5), share=0.4)
    outcome = loop.run_to_end()
    plans = [event for event in run.read_events(0)[0] if event["type"] == "plan"]
    assert [plan["epochs"] for plan in plans] == [204, outcome.epochs]
    assert [stage["last_epoch"] for stage in plans[1]["stages"]] == [outcome.epochs - 4, outcome.epochs]


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_without_images_kept_aside_the_training_itself_is_watched(tmp_path: Path, monitor: Any) -> None:
    recipe = replace(RECIPE, epochs=100, early_stopping=True, patience=2, learning_rate=0.5, monitor=monitor)
    loop, run = make_loop(tmp_path / "run", recipe, data=points(noise=1.5))
    outcome = loop.run_to_end()
    assert outcome.epochs < 100
    values = [(event["metrics"]["accuracy"], -event["metrics"]["loss"]) for event in epochs(run)]
    watched = values if monitor == "accuracy" else [value[1:] for value in values]
    assert watched.index(max(watched)) == len(watched) - 3


def test_classes_of_one_image_and_batches_larger_than_all_images(tmp_path: Path) -> None:
    inputs, _targets = points(4)
    loop, run = make_loop(
        tmp_path / "run",
        replace(RECIPE, batch_size=1000, early_stopping=True, restore_best=True),
        data=(inputs, np.arange(4, dtype=np.int32) % 3),
        share=0.5,
    )
    loop.run_to_end()
    assert [event["step"] for event in epochs(run)] == [1, 2, 3, 4]
    assert "val_loss" in epochs(run)[0]["metrics"]  # of the one class that has two images
    alone, run = make_loop(tmp_path / "alone", data=(inputs[:3], np.arange(3, dtype=np.int32)), share=0.5)
    alone.run_to_end()
    assert "val_loss" not in epochs(run)[0]["metrics"]


def test_a_loss_that_is_no_number_names_the_rate_of_its_stage(tmp_path: Path) -> None:
    inputs, targets = points()
    loop, _run = make_loop(tmp_path / "run", data=(np.where(targets[:, None] == 1, np.nan, inputs), targets))
    with pytest.raises(RunError, match=r"NaN at epoch 1; lower learning_rate \(0.05 was given\)"):
        loop.run_to_end()


def test_balanced_classes_count_the_same() -> None:
    from jobs.algorithms.image_classification.loop import class_weights

    targets = np.array([0] * 6 + [1] * 3 + [3] * 1 + [0], np.int32)
    weights = class_weights(targets, np.arange(10))
    assert weights[:10].mean() == pytest.approx(1)
    assert [weights[targets == label][0] * count for label, count in ((0, 6), (1, 3), (3, 1))] == pytest.approx(
        [10 / 3] * 3
    )


@pytest.mark.parametrize(
    ("recipe", "at", "expected"),
    [
        (replace(RECIPE, warmup_epochs=2), (0.5, 1, 2, 4), (0.0125, 0.025, 0.05, 0.05)),
        (replace(RECIPE, schedule="cosine"), (1e-9, 2, 4), (0.05, 0.025, 0)),
        (replace(RECIPE, schedule="cosine", warmup_epochs=2), (1, 3, 4), (0.025, 0.025, 0)),
        (replace(RECIPE, schedule="step", decay_rate=0.5, decay_epochs=2), (1.9, 2, 4), (0.05, 0.025, 0.0125)),
        (replace(RECIPE, schedule="exponential", decay_rate=0.25, decay_epochs=2), (1, 2), (0.025, 0.0125)),
    ],
)
def test_the_learning_rate_follows_its_schedule(recipe: Recipe, at: Any, expected: Any) -> None:
    assert [recipe.rate_at(epochs) for epochs in at] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_learns_and_decays_kernels_only(tmp_path: Path, optimizer: Any) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, epochs=20, momentum=0.5, learning_rate=0.02)
    plain, run = make_loop(tmp_path / "plain", recipe)
    plain.run_to_end()
    losses = [event["metrics"]["loss"] for event in epochs(run)]
    assert losses[-1] < 0.7 * losses[0]
    decayed, _run = make_loop(tmp_path / "decayed", replace(recipe, weight_decay=1.0))
    decayed.run_to_end()
    kernels = [[np.abs(w).sum() for w in each._stages[0].network.get_weights()[::2]] for each in (plain, decayed)]
    assert np.all(np.array(kernels[1]) < 0.9 * np.array(kernels[0]))


def test_smoothed_and_weighted_losses_are_those_of_keras() -> None:
    import keras
    import tensorflow as tf

    from jobs.algorithms.image_classification.learner import Learner
    from jobs.algorithms.image_classification.stages import Stage

    inputs, targets = points(10)
    weights = np.linspace(0.5, 2, 10, dtype=np.float32)
    learner = Learner(Stage("one", inputs, network(), replace(RECIPE, label_smoothing=0.2)))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction="sum")
    expected = loss(tf.one_hot(targets, 3), learner.network(inputs), sample_weight=weights)
    assert learner.measure(inputs, targets, weights)[0] == pytest.approx(float(expected), rel=1e-5)


def test_a_stop_in_the_measurement_goes_on_with_it(tmp_path: Path) -> None:
    """The stop comes when all steps of the epoch are done and its images kept aside are being measured."""
    whole, run = make_loop(tmp_path / "whole", share=0.4)
    whole.run_to_end()
    expected = [event["metrics"]["val_loss"] for event in epochs(run)]
    loop, run = make_loop(tmp_path / "run", share=0.4)
    measure = loop._learner.measure

    def stopping(*batch: Any) -> Any:
        if loop._at.epoch == 2:
            run.request_stop()
        return measure(*batch)

    loop._learner.measure = stopping
    with pytest.raises(StopRequested):
        loop.run_to_end()
    (run.path / "STOP").unlink()
    make_loop(run.path, share=0.4)[0].run_to_end()
    told = epochs(run)
    assert [event["epoch"] for event in told] == [1, 2, 3, 4]
    assert [event["metrics"]["val_loss"] for event in told] == pytest.approx(expected, rel=1e-5)


def test_a_checkpoint_left_aside_is_found(tmp_path: Path) -> None:
    loop, run = make_loop(tmp_path / "run")
    loop.run_to_end()
    run.checkpoint.rename(run.path / "checkpoint.old-1")
    again, run = make_loop(run.path)
    again.run_to_end()
    assert len(epochs(run)) == 4
    state = json.loads(json.dumps(again._identity))
    assert state == loop._identity


def test_chance_in_the_graph_is_even_and_follows_from_its_keys() -> None:
    from jobs.algorithms.image_classification.augmentation import draw_keys, uniform

    keys = draw_keys(2000, seed=1, epoch=2, step=3)
    draws = uniform(keys, 50, salt=1).numpy()
    np.testing.assert_array_equal(draws, uniform(draw_keys(2000, seed=1, epoch=2, step=3), 50, salt=1).numpy())
    assert not np.any(draws == uniform(draw_keys(2000, seed=1, epoch=2, step=4), 50, salt=1).numpy())
    assert draws.min() >= 0
    assert draws.max() < 1
    share = np.histogram(draws, bins=20)[0] / draws.size
    np.testing.assert_allclose(share, 0.05, atol=0.004)
    assert np.abs(np.corrcoef(draws, rowvar=False) - np.eye(50)).max() < 0.1
    assert np.abs(np.corrcoef(draws[:100]) - np.eye(100)).max() < 0.7
    others = uniform(keys, 50, salt=2).numpy()
    assert abs(np.corrcoef(draws.ravel(), others.ravel())[0, 1]) < 0.01


def test_images_vary_as_they_should() -> None:
    from jobs.algorithms.image_classification.augmentation import draw_keys, vary_images

    assert vary_images(Variations()) is None
    keys = draw_keys(40, seed=1, epoch=1, step=0)
    image = np.zeros((32, 48, 3), np.uint8)
    image[12:16, 14:20] = 200
    images = np.stack([image] * 40)

    def varied(**how: Any) -> NDArray[np.uint8]:
        vary = vary_images(Variations(**how))
        assert vary is not None
        answer: NDArray[np.uint8] = vary(images, keys).numpy()
        assert answer.dtype == np.uint8
        assert answer.shape == images.shape
        return answer

    flipped = varied(flip_horizontal=True, flip_vertical=True)
    kinds = [image, image[:, ::-1], image[::-1], image[::-1, ::-1]]
    found = [[bool(np.array_equal(each, kind)) for kind in kinds] for each in flipped]
    assert all(sum(each) == 1 for each in found)
    assert min(np.sum(found, axis=0)) >= 3
    lit = varied(brightness=0.2)[:, 13, 16, 0]
    assert lit.min() >= 160
    assert lit.max() <= 240
    assert len(set(lit.tolist())) > 10
    moved = varied(shift=0.25)
    places = np.array([np.argwhere(each[..., 0] > 100).mean(axis=0) for each in moved])
    assert np.all(np.abs(places - [13.5, 16.5]) <= [8.5, 12.5])
    assert places.std(axis=0).min() > 2
    size = np.array([(each[..., 0] > 100).sum() for each in varied(zoom=0.3)])
    assert size.min() < 24 < size.max() < 60
    turned = varied(rotation_degrees=180.0)
    assert len({each.tobytes() for each in turned}) == 40
    centre = np.stack([np.full((32, 48, 3), 77, np.uint8)] * 40)
    vary = vary_images(Variations(rotation_degrees=45.0, zoom=0.2, shift=0.1))
    assert vary is not None
    assert np.all(np.abs(vary(centre, keys).numpy().astype(int) - 77) <= 1)  # nothing black comes in


def test_dropout_leaves_out_its_share_by_the_keys_of_the_samples() -> None:
    from jobs.algorithms.image_classification.augmentation import KeyedDropout

    layer = KeyedDropout(0.25)
    values = np.ones((200, 40), np.float32)
    assert np.all(layer(values, training=False).numpy() == 1)
    layer._keys = np.arange(200, dtype=np.int32)
    dropped = layer(values, training=True).numpy()
    assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.02)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    layer._keys = np.arange(200, dtype=np.int32)[::-1]
    np.testing.assert_array_equal(layer(values, training=True).numpy(), dropped[::-1])
