"""What the frozen part of a pretrained network makes of the images: computed once, kept for later trainings."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.array_cache import allocate, locked, open_array
from jobs.algorithms.data import release_pages
from jobs.algorithms.progress import tell
from jobs.bundles.conversion import import_openvino

# Part of the cache key: raise it when the same network gives other numbers for the same pixels.
_VERSION = 1
# OpenVINO is fastest with few images at a time: what they become then stays in the processor's cache.
_BATCH = 8
_ROWS_PER_CHUNK = 512

Compute = Callable[[NDArray[np.uint8]], Sequence[NDArray[Any]]]
# uint8 images (batch, height, width, 3) and the index of the first of them to images of the same shape.
VaryRows = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Wanted:
    """One thing to compute of every image. `name` tells it, and the weights that it depends on, from all others."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Frozen:
    """float16 (image, …) each, memory-mapped. While `files` are open the arrays are not evicted."""

    arrays: tuple[NDArray[np.float16], ...]
    files: tuple[BinaryIO, ...]


def load_frozen(
    run: RunFolder,
    pixels: NDArray[np.uint8],
    wanted: Mapping[str, Wanted],
    network: Callable[[], keras.Model],
    *,
    pixels_key: str,
    cache: Path,
    dtype_policy: str,
    threads: int,
    progress: float,
    begins_at: float = 0.0,
    vary: VaryRows | None = None,
) -> Frozen:
    """Map what is `wanted` into memory, in its order, computing what no training computed before.

    A training that was stopped or killed meanwhile is gone on with by the next one.

    Args:
        pixels: uint8 (image, height, width, 3).
        wanted: by the name of the layer of `network()` that answers it.
        progress: how far the run is when all is done, from `begins_at` on.
        vary: what is done to the images before; the names of what is `wanted` tell which.

    Raises:
        RunError: the disk is full.
        StopRequested: the site asked the process to stop.
    """
    shapes = {layer: (len(pixels), *one.shape) for layer, one in wanted.items()}
    paths = {layer: cache / f"{_key(pixels_key, one, dtype_policy)}.npy" for layer, one in wanted.items()}
    with ExitStack() as locks:
        for path in sorted(paths.values()):
            locks.enter_context(locked(run, path))
        mapped = {layer: open_array(paths[layer], shapes[layer], np.float16) for layer in wanted}
        missing = [layer for layer in wanted if mapped[layer] is None]
        if missing:
            tell(run, f"Computing what the pretrained layers see in {len(pixels)} images")
            compute = _compute(network(), missing, dtype_policy=dtype_policy, threads=threads)
            files = {paths[layer]: shapes[layer] for layer in missing}
            _fill(run, pixels, files, compute, begins_at=begins_at, progress=progress, vary=vary)
            mapped |= {layer: open_array(paths[layer], shapes[layer], np.float16) for layer in missing}
        else:
            tell(run, f"Using what the pretrained layers saw in {len(pixels)} images before")
    found = [one for one in mapped.values() if one is not None]
    if len(found) < len(wanted):
        raise RunError(_("The cache of the pretrained layers was removed while it was used. Train again."))
    return Frozen(tuple(array for array, _file in found), tuple(file for _array, file in found))


def _key(pixels_key: str, wanted: Wanted, dtype_policy: str) -> str:
    return hashlib.sha256(f"{_VERSION} {pixels_key} {wanted.name} {dtype_policy}".encode()).hexdigest()


def _fill(
    run: RunFolder,
    pixels: NDArray[np.uint8],
    shapes: Mapping[Path, tuple[int, ...]],
    compute: Compute,
    *,
    begins_at: float,
    progress: float,
    vary: VaryRows | None,
) -> None:
    # What is half made belongs to this set of files: another set that has one of them computes other rows of it.
    of_set = hashlib.sha256(" ".join(sorted(path.name for path in shapes)).encode()).hexdigest()[:16]
    partial = {path: path.with_name(f".{path.name}.part-{of_set}") for path in shapes}
    note = min(shapes).with_name(f".{min(shapes).name}.rows-{of_set}")  # how many rows of all of them are done
    done = _rows_done(note, {partial[path]: shape for path, shape in shapes.items()})
    if not done:
        note.unlink(missing_ok=True)  # of files that are gone: it must not speak of these, of which nothing is done
        for path, shape in shapes.items():
            allocate(partial[path], shape, np.float16)
    for start in range(done, len(pixels), _ROWS_PER_CHUNK):
        rows = slice(start, min(start + _ROWS_PER_CHUNK, len(pixels)))
        targets = [np.lib.format.open_memmap(partial[path], mode="r+")[rows] for path in shapes]
        for first in range(0, rows.stop - start, _BATCH):
            run.check_stop()
            batch = slice(first, first + _BATCH)
            images = pixels[rows][batch]
            if vary:
                images = vary(images, start + first)
            for target, answer in zip(targets, compute(images), strict=True):
                target[batch] = answer
        # Mapped rows count as memory of the process as long as it has them; those of `targets` go with the variable.
        release_pages(pixels)
        note.write_text(str(rows.stop), encoding="ascii")
        run.progress(begins_at + (progress - begins_at) * rows.stop / len(pixels))
    for path in shapes:
        partial[path].replace(path)
    note.unlink()


def _rows_done(note: Path, shapes: Mapping[Path, tuple[int, ...]]) -> int:
    """The rows that an earlier training computed of arrays of these shapes before it ended."""
    try:
        done = int(note.read_text(encoding="ascii"))
        arrays = [np.load(path, mmap_mode="r") for path in shapes]
    except (OSError, ValueError):
        return 0
    are_whole = all(array.shape == shape for array, shape in zip(arrays, shapes.values(), strict=True))
    return done if are_whole and not done % _ROWS_PER_CHUNK else 0


def _compute(network: keras.Model, names: Sequence[str], *, dtype_policy: str, threads: int) -> Compute:
    """What answers the outputs of the layers for a batch of images, in float16: OpenVINO, twice as fast on a CPU."""
    outputs = [network.get_layer(name).output for name in names]
    inner = keras.Model(network.inputs, outputs)
    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="images")]

    @tf.function(input_signature=signature, autograph=False)
    def answer(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(output, tf.float16) for output in tf.nest.flatten(inner(images, training=False))]

    if tf.config.list_logical_devices("GPU"):
        return lambda images: [output.numpy() for output in answer(images)]
    ov = import_openvino()
    model = ov.convert_model(answer.get_concrete_function())
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype_policy == "mixed_bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    compiled = ov.Core().compile_model(model, "CPU", settings)
    return lambda images: list(compiled(images).values())
