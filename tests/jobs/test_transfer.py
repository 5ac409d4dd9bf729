"""Transfer learning: the pretrained network is the published one, and a training of it is a training like any other."""

import hashlib
import io
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from datasets.inspection.images import fit_rgb
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, write_jsonl
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.image_classification.pretrained_weights import (
    PretrainedWeights,
    WeightsError,
    load_pretrained_weights,
    read_tensors,
)
from jobs.algorithms.image_classification.train import train
from jobs.algorithms.registry import manifest

SIZE_PX = 64
TINY = {
    "network": "transfer",
    "num_types": 3,
    "image_size": SIZE_PX,
    "epochs": 2,
    "fine_tune_blocks": 1,
    "fine_tune_epochs": 1,
    "mixed_precision": "float32",
}
DAISY = 985  # of the classes of ImageNet


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


@pytest.fixture(scope="module")
def weights() -> PretrainedWeights:
    return load_pretrained_weights()


@pytest.fixture(scope="module")
def network(weights: PretrainedWeights) -> Any:
    return pretrained(weights, SIZE_PX)


def pretrained(weights: PretrainedWeights, size_px: int) -> Any:
    from jobs.algorithms.image_classification.efficientnet_lite0 import build_network, fold, set_parameters

    network = build_network(size_px=size_px)
    set_parameters(network, fold(weights.arrays))
    return network


def between(network: Any, first: str, last: str) -> Any:
    """What goes into one layer as inputs, what comes out of another one as outputs."""
    import keras

    return keras.Model(network.input, [network.get_layer(name).output for name in (first, last)])


def make_run(path: Path, **hyperparameters: Any) -> RunFolder:
    """A run of 12 images of three colours."""
    generator = np.random.default_rng(0)
    rows = []
    for index in range(12):
        pixels = generator.integers(0, 120, (80, 90, 3), dtype=np.uint8)
        pixels[..., index % 3] += 120
        file = path.parent / f"{index}.png"
        Image.fromarray(pixels).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append({"name": file.name, "path": str(file), "sha256": digest, "target": index % 3})
    spec = {
        "algorithm": "image_classification",
        "name": "tiny",
        "hyperparameters": validate_hyperparameters(manifest("image_classification"), {**TINY, **hyperparameters}),
        "images": "input/images.jsonl",
        "labels": [{"label": index + 1, "class_name": name} for index, name in enumerate(("red", "green", "blue"))],
        "seed": 7,
        "threads": 2,
        "gpus": 0,
        "cache": str(path.parent / "cache"),
    }
    run = RunFolder.create(path, spec)
    write_jsonl(run.input / "images.jsonl", rows)
    return run


def told(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.read_events(0)[0] if event["type"] == kind]


def random_pixels(count: int, size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)


# -- the file of weights ----------------------------------------------------------------------


def pickled(value: Any) -> bytes:
    """The operations that put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def function(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0, numbers: int = 6) -> bytes:
    storage = b"(" + pickled("storage") + function("torch", "FloatStorage") + pickled("a") + pickled("cpu")
    storage += pickled(numbers) + b"NtQ"
    rest = pickled(offset) + pickled(shape) + pickled(strides) + pickled(False) + pickled({})
    return function("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + rest + b"tR"


def torch_file(value: bytes, *, version: int = 1001) -> io.BytesIO:
    """A file as torch used to write it: one tensor `x` in a storage of the numbers 0 to 5."""
    headers = (0x1950A86A20F9469CFC6C, version, {"little_endian": True})
    content = b"".join(pickle.dumps(header, protocol=2) for header in headers)
    content += b"\x80\x02}" + pickled("x") + value + b"s." + pickle.dumps(["a"], protocol=2)
    return io.BytesIO(content + struct.pack("<q", 6) + np.arange(6, dtype="<f4").tobytes())


def test_a_tensor_is_read_with_its_strides() -> None:
    assert read_tensors(torch_file(tensor((2, 3), (3, 1))))["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_tensors(torch_file(tensor((2, 2), (1, 2), offset=1)))["x"].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (function("os", "system") + b"(" + pickled("exit 1") + b"tR", "asks for os.system"),
        (function("builtins", "eval") + b"(" + pickled("1") + b"tR", "asks for builtins.eval"),
        (tensor((7,), (1,)), "does not lie in its storage"),
        (tensor((2,), (1,), offset=-1), "does not lie in its storage"),
        (tensor((10**9,), (0,)), "does not lie in its storage"),
        (tensor((2,), (1,), numbers=8), "size of storage"),
    ],
)
def test_what_is_not_a_tensor_of_the_file_is_refused(value: bytes, why: str) -> None:
    with pytest.raises(WeightsError, match=why):
        read_tensors(torch_file(value))


def test_a_file_that_is_cut_off_or_of_another_version_is_refused() -> None:
    whole = torch_file(tensor((6,), (1,))).getvalue()
    for size in (10, 100, len(whole) - 1):
        with pytest.raises(WeightsError, match="damaged"):
            read_tensors(io.BytesIO(whole[:size]))
    with pytest.raises(WeightsError, match="version is 7"):
        read_tensors(torch_file(tensor((6,), (1,)), version=7))


# -- the network ------------------------------------------------------------------------------


def convolve(maps: NDArray[Any], kernel: NDArray[Any], stride: int) -> NDArray[Any]:
    """(height, width, inputs) with torch's (outputs, inputs or 1, size, size), zeros around as TensorFlow's "same"."""
    size, side = kernel.shape[-1], -(-maps.shape[0] // stride)
    before = max((side - 1) * stride + size - maps.shape[0], 0) // 2
    padded = np.pad(maps, ((before, size), (before, size), (0, 0)))
    answer = np.empty((side, side, len(kernel)))
    for row, column in np.ndindex(side, side):
        window = padded[row * stride : row * stride + size, column * stride : column * stride + size]
        subscripts = "hwc,chw->c" if kernel.shape[1] == 1 else "hwi,oihw->o"
        answer[row, column] = np.einsum(subscripts, window, kernel[:, 0] if kernel.shape[1] == 1 else kernel)
    return answer


def normalise(maps: NDArray[Any], arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    mean, variance = arrays[f"{name}.running_mean"], arrays[f"{name}.running_var"]
    scaled: NDArray[Any] = (maps - mean) / np.sqrt(variance + 1e-3) * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]
    return scaled


@pytest.mark.parametrize(("number", "stride"), [(2, 1), (3, 2)])
def test_a_block_computes_what_its_definition_says(
    network: Any, weights: PretrainedWeights, number: int, stride: int
) -> None:
    arrays, prefix = weights.arrays, f"_blocks.{number}"
    inputs, outputs = between(network, f"block{number}_in", f"block{number + 1}_in")(random_pixels(1))
    maps = np.clip(
        normalise(convolve(inputs[0].numpy(), arrays[f"{prefix}._expand_conv.weight"], 1), arrays, f"{prefix}._bn0"),
        0,
        6,
    )
    maps = np.clip(
        normalise(convolve(maps, arrays[f"{prefix}._depthwise_conv.weight"], stride), arrays, f"{prefix}._bn1"), 0, 6
    )
    maps = normalise(convolve(maps, arrays[f"{prefix}._project_conv.weight"], 1), arrays, f"{prefix}._bn2")
    expected = maps + inputs[0].numpy() if stride == 1 else maps
    assert np.abs(outputs[0].numpy() - expected).max() < 1e-4


def test_a_daisy_is_a_daisy(weights: PretrainedWeights) -> None:
    photo = load_sample_image("flower.jpg")
    pixels = fit_rgb(photo[:, 100:527], width=224, height=224)
    features = pretrained(weights, 224)(pixels[None]).numpy()[0]
    logits = weights.arrays["_fc.weight"] @ features + weights.arrays["_fc.bias"]
    assert DAISY in np.argsort(logits)[-5:]


@pytest.mark.parametrize("first_block", [2, 11, 15])
def test_blocks_in_training_answer_what_they_answer_served(
    network: Any, weights: PretrainedWeights, first_block: int
) -> None:
    from jobs.algorithms.image_classification.efficientnet_lite0 import TopBlocks, fold, maps_shape

    maps, features = between(network, f"block{first_block}_in", "features")(random_pixels(2))
    assert maps.shape[1:] == maps_shape(SIZE_PX, first_block=first_block)
    top = TopBlocks(fold(weights.arrays), first_block=first_block)
    assert np.abs(top(maps).numpy() - features.numpy()).max() < 1e-4
    for name, (kernel, bias) in top.parameters().items():
        assert (kernel == network.get_layer(name).get_weights()[0]).all()
        assert (bias == network.get_layer(name).get_weights()[1]).all()


# -- what frozen blocks see -------------------------------------------------------------------


class _StoppedAfterAChunk(RunFolder):
    def progress(self, fraction: float) -> None:
        super().progress(fraction)
        self.request_stop()


WANTED = {"features": (1280,), "block15_in": (1, 1, 192)}


def load(
    run: RunFolder, network: Any, pixels: NDArray[np.uint8], cache: Path, shapes: dict[str, tuple[int, ...]] = WANTED
) -> Any:
    from jobs.algorithms.image_classification.features import Wanted, load_frozen

    wanted = {layer: Wanted(layer, shape) for layer, shape in shapes.items()}
    how: dict[str, Any] = {"pixels_key": "k", "cache": cache, "dtype_policy": "float32", "threads": 2, "progress": 0.5}
    return load_frozen(run, pixels, wanted, lambda: network, **how)


def test_what_was_computed_before_a_stop_is_not_computed_again(weights: PretrainedWeights, tmp_path: Path) -> None:
    small = pretrained(weights, 32)
    pixels = random_pixels(520, 32)
    with pytest.raises(StopRequested):
        load(_StoppedAfterAChunk.create(tmp_path / "stopped", {}), small, pixels, tmp_path)
    assert not list(tmp_path.glob("*.npy"))
    other = pixels.copy()
    other[0] = 0  # computed before, so nothing looks at it again
    other[-1] = 0
    run = RunFolder.create(tmp_path / "resumed", {})
    features, maps = load(run, small, other, tmp_path).arrays
    expected_maps, expected = between(small, "block15_in", "features")(pixels)
    assert np.abs(features[:-1] - expected[:-1]).max() < 0.02
    assert np.abs(maps[:-1] - expected_maps[:-1]).max() < 0.1
    assert np.abs(features[-1] - expected[-1]).max() > 0.1
    # The next one takes it as it is; in another precision it is another array.
    again = load(RunFolder.create(tmp_path / "again", {}), None, pixels, tmp_path)
    assert (again.arrays[0] == features).all()
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert not list(tmp_path.glob(".*"))


class _StoppedAtOnce(RunFolder):
    def check_stop(self) -> None:
        raise StopRequested


def test_what_is_half_made_is_used_only_as_far_as_it_goes(weights: PretrainedWeights, tmp_path: Path) -> None:
    small = pretrained(weights, 32)
    pixels = random_pixels(520, 32)
    expected = between(small, "block15_in", "features")(pixels)[1]

    def stopped(kind: type[RunFolder], name: str, **options: Any) -> None:
        with pytest.raises(StopRequested):
            load(kind.create(tmp_path / name, {}), small, pixels, tmp_path, **options)

    stopped(_StoppedAfterAChunk, "both")
    stopped(_StoppedAtOnce, "one of them", shapes={"features": WANTED["features"]})
    features, _maps = load(RunFolder.create(tmp_path / "both again", {}), small, pixels, tmp_path).arrays
    assert np.abs(features - expected).max() < 0.02
    for file in tmp_path.glob("*.npy"):
        file.unlink()
    stopped(_StoppedAfterAChunk, "before their end")
    for part in tmp_path.glob(".*.part-*"):
        part.unlink()  # as the cache does with what nobody goes on with; how many rows were done is still noted
    stopped(_StoppedAtOnce, "after their beginning")
    features, _maps = load(RunFolder.create(tmp_path / "at last", {}), small, pixels, tmp_path).arrays
    assert np.abs(features - expected).max() < 0.02


# -- a training -------------------------------------------------------------------------------


def test_the_head_learns_first_and_then_the_last_blocks(tmp_path: Path) -> None:
    import tensorflow as tf

    run = make_run(tmp_path / "run")
    train(run)
    epochs = told(run, "epoch")
    assert [(event["epoch"], event["stage"]) for event in epochs] == [(1, "head"), (2, "head"), (3, "fine_tuning")]
    progress = [event["value"] for event in told(run, "progress")]
    assert progress == sorted(progress)
    assert run.result() is not None
    bundle = run.output / "bundle"
    assert (bundle / "engine" / "model.xml").is_file()
    assert (bundle / "engine" / "explain.xml").is_file()
    serving = tf.saved_model.load(str(bundle)).signatures["serving_default"]
    answers = serving(images=tf.constant(random_pixels(3)))["probabilities"].numpy()
    assert answers.shape == (3, 3)
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-5)

    again = make_run(tmp_path / "again")
    train(again)
    assert any("saw in 12 images before" in event["text"] for event in told(again, "message"))
    losses = [[event["metrics"]["loss"] for event in told(one, "epoch")] for one in (run, again)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_what_is_served_answers_what_was_trained(tmp_path: Path) -> None:
    from jobs.algorithms.data import load_pixels, read_manifest
    from jobs.algorithms.image_classification.settings import Settings
    from jobs.algorithms.image_classification.stages import Task
    from jobs.algorithms.image_classification.transfer import make_plan

    run = make_run(tmp_path / "run")
    settings = Settings.of(run.spec["hyperparameters"])
    found = read_manifest(run.path / "input" / "images.jsonl", labels=3)
    data = load_pixels(run, found, cache=tmp_path, size_px=SIZE_PX, threads=1)
    plan = make_plan(Task(run, settings, data, tmp_path, "float32", 1, 7))
    head, fine_tuning = plan.stages
    assert fine_tuning.inputs.dtype == np.float16
    assert fine_tuning.recipe.learning_rate == settings.fine_tune_learning_rate
    generator = np.random.default_rng(0)
    for variable in fine_tuning.network.trainable_variables:
        variable.assign_add(generator.normal(0, 0.02, variable.shape).astype(np.float32))
    trained = fine_tuning.network(np.asarray(fine_tuning.inputs)).numpy()
    assert np.abs(plan.served()(data.pixels).numpy() - trained).max() < 0.02
    assert head.network(np.asarray(head.inputs)).shape == trained.shape


def plan_of(run: RunFolder, cache: Path) -> Any:
    from jobs.algorithms.data import load_pixels, read_manifest
    from jobs.algorithms.image_classification.settings import Settings
    from jobs.algorithms.image_classification.stages import Task
    from jobs.algorithms.image_classification.transfer import make_plan

    settings = Settings.of(run.spec["hyperparameters"])
    found = read_manifest(run.path / "input" / "images.jsonl", labels=3)
    data = load_pixels(run, found, cache=cache, size_px=SIZE_PX, threads=1)
    return make_plan(Task(run, settings, data, cache, "float32", 1, 7)), data


def test_both_stages_learn_from_varied_images(tmp_path: Path, network: Any) -> None:
    from jobs.algorithms.image_classification.augmentation import draw_keys, vary_images
    from jobs.algorithms.image_classification.settings import Variations

    run = make_run(tmp_path / "run", rotation=90, brightness=50)
    plan, data = plan_of(run, tmp_path)
    progress = [event["value"] for event in told(run, "progress")]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(plan.begins_at)
    head, fine_tuning = plan.stages
    for stage in (head, fine_tuning):
        assert len(stage.varied) == 2  # no more than the epochs
        assert stage.learned_from(0) is stage.varied[0]
        assert stage.learned_from(3) is stage.varied[1]
        for copy in stage.varied:
            assert copy.shape == stage.inputs.shape
            assert np.abs(copy - stage.inputs).max() > 0.1
    vary = vary_images(Variations(rotation_degrees=90, brightness=0.5))
    assert vary is not None
    turned = vary(np.asarray(data.pixels), draw_keys(12, seed=0, epoch=2, step=0)).numpy()
    assert np.abs(network(turned).numpy() - head.varied[1]).max() < 0.05
    # The next one finds the copies; another angle has copies of its own, and without one there are none.
    files = len(list(tmp_path.glob("*.npy")))
    again = make_run(tmp_path / "again", rotation=90, brightness=50)
    assert (plan_of(again, tmp_path)[0].stages[0].varied[0] == head.varied[0]).all()
    assert len(list(tmp_path.glob("*.npy"))) == files
    plain, _data = plan_of(make_run(tmp_path / "plain"), tmp_path)
    assert not any(stage.varied for stage in plain.stages)
    assert (plain.stages[0].inputs == head.inputs).all()


def test_held_out_images_are_measured_as_they_are_and_the_others_learned_from_varied(tmp_path: Path) -> None:
    from dataclasses import replace

    from jobs.algorithms.image_classification.loop import Loop, Samples

    plan, data = plan_of(make_run(tmp_path / "run", rotation=90), tmp_path)
    everything = np.arange(12)
    samples = Samples(data.targets, np.ones(12, np.float32), everything[:9], everything[9:])
    head = plan.stages[0]
    # A loss that is not a number ends the training: nothing may read these.
    inputs, copies = np.array(head.inputs), [np.array(copy) for copy in head.varied]
    inputs[:9] = np.nan
    for copy in copies:
        copy[9:] = np.nan
    run = RunFolder.create(tmp_path / "loop", {})
    Loop(run, [replace(head, inputs=inputs, varied=copies)], samples, identity={}, seed=1).run_to_end()
    assert len(told(run, "epoch")) == 2
    with pytest.raises(RunError):
        Loop(run, [replace(head, inputs=inputs, varied=[])], samples, identity={"other": 1}, seed=1).run_to_end()
