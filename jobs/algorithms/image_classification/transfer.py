"""The plan of transfer learning: a new last layer on a pretrained network, then its last blocks learn too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from jobs.algorithms.data import release_pages
from jobs.algorithms.image_classification.augmentation import KeyedDropout, Vary, draw_keys, flip, vary_images
from jobs.algorithms.image_classification.efficientnet_lite0 import (
    BLOCKS,
    FEATURES,
    Parameters,
    TopBlocks,
    build_network,
    fold,
    maps_shape,
    set_parameters,
)
from jobs.algorithms.image_classification.features import VaryRows, Wanted, load_frozen
from jobs.algorithms.image_classification.pretrained_weights import load_pretrained_weights
from jobs.algorithms.image_classification.settings import Settings, Variations
from jobs.algorithms.image_classification.stages import Stage, Task

# Part of the progress bar for what is computed before the stages begin.
_FROZEN_SHARE = 0.25
# One epoch of fine-tuning takes so much longer, for each block that learns, than one of the last layer alone.
_BLOCK_COST = 40.0
_ROWS_PER_CHUNK = 1024
# So many varied copies of every image at most: each takes the time and the room of the images themselves.
_MOST_COPIES = 3
_STANDARDISATION_FLOOR = 0.1


@dataclass(frozen=True)
class TransferPlan:
    """Implements `stages.Plan`: `head` on the features of the frozen network, then `fine_tuning` of its last blocks."""

    settings: Settings
    stages: Sequence[Stage]
    parameters: Parameters
    standardisation: layers.Normalization
    logits: layers.Dense
    top: TopBlocks | None
    begins_at: float = _FROZEN_SHARE

    def served(self) -> keras.Model:
        network = build_network(size_px=self.settings.image_size_px, classes=self.settings.num_types)
        learned = self.top.parameters() if self.top is not None else {}
        set_parameters(network, {**self.parameters, **learned})
        # The last layer takes the standardisation of its inputs on itself.
        kernel, bias = (variable.numpy() for variable in (self.logits.kernel, self.logits.bias))
        mean, deviation = (array.numpy().ravel() for array in _moments(self.standardisation))
        scaled = kernel / deviation[:, None]
        network.get_layer("logits").set_weights([scaled, bias - mean @ scaled])
        return network


def make_plan(task: Task) -> TransferPlan:
    """Compute what the frozen blocks see, unless a training of the same images did, and lay out the stages."""
    settings = task.settings
    weights = load_pretrained_weights()
    parameters = fold(weights.arrays)
    first_block = len(BLOCKS) - settings.fine_tune_blocks
    wanted = {"features": Wanted(f"{weights.key} features", (FEATURES,))}
    if settings.fine_tune_blocks:
        shape = maps_shape(settings.image_size_px, first_block=first_block)
        wanted[f"block{first_block}_in"] = Wanted(f"{weights.key} before block {first_block}", shape)

    def frozen_network() -> keras.Model:
        network = build_network(size_px=settings.image_size_px)
        set_parameters(network, parameters)
        return network

    moved = replace(settings.variations, flip_horizontal=False, flip_vertical=False)
    copies = min(_MOST_COPIES, max(settings.recipe.epochs, settings.fine_tune_epochs)) if moved.any else 0

    def frozen_arrays(copy: int) -> Sequence[NDArray[np.float16]]:
        """Of the images as they are (0), or of one of their varied copies."""
        of_copy = {
            layer: Wanted(f"{one.name} of copy {copy} by {moved}", one.shape) if copy else one
            for layer, one in wanted.items()
        }
        frozen = load_frozen(
            task.run,
            task.data.pixels,
            of_copy,
            frozen_network,
            pixels_key=task.data.key,
            cache=task.cache,
            dtype_policy=task.dtype_policy,
            threads=task.threads,
            begins_at=_FROZEN_SHARE * copy / (copies + 1),
            progress=_FROZEN_SHARE * (copy + 1) / (copies + 1),
            vary=_varied_copy(moved, len(task.data.pixels), copy) if copy else None,
        )
        return frozen.arrays

    features, *maps = frozen_arrays(0)
    varied = [frozen_arrays(copy) for copy in range(1, copies + 1)]
    train, _held_out = task.data.split(share=settings.validation_split, seed=task.seed)
    head = _Head(features, train, settings)
    stages = [replace(head.stage(features), varied=[arrays[0] for arrays in varied])]
    top = None
    if maps:
        top = TopBlocks(parameters, first_block=first_block, dtype=task.dtype_policy, name="top_blocks")
        fine_tuning = head.fine_tuning_stage(maps[0], top)
        stages.append(replace(fine_tuning, varied=[arrays[1] for arrays in varied]))
    return TransferPlan(settings, stages, parameters, head.standardisation, head.logits, top)


class _Head:
    """Features to logits: standardisation by the training images, dropout, a dense layer that begins at 0."""

    def __init__(self, features: NDArray[np.float16], train: NDArray[np.int64], settings: Settings) -> None:
        self._settings = settings
        mean, variance = _mean_and_variance(features, train)
        # A feature that is all but absent here must not become the loudest where it occurs.
        variance += _STANDARDISATION_FLOOR * variance.mean()
        self.standardisation = layers.Normalization(mean=mean, variance=variance, dtype="float32")
        self._dropout = KeyedDropout(settings.dropout_rate, dtype="float32")
        self.logits = layers.Dense(settings.num_types, kernel_initializer="zeros", dtype="float32", name="logits")

    def stage(self, features: NDArray[np.float16]) -> Stage:
        inputs = keras.Input(features.shape[1:], dtype="float16")
        network = keras.Model(inputs, self._answer(layers.Identity(dtype="float32")(inputs)))
        return Stage("head", features, network, self._settings.recipe)

    def fine_tuning_stage(self, maps: NDArray[np.float16], top: TopBlocks) -> Stage:
        settings = self._settings
        inputs = keras.Input(maps.shape[1:], dtype="float16")
        recipe = replace(
            settings.recipe, epochs=settings.fine_tune_epochs, learning_rate=settings.fine_tune_learning_rate
        )
        return Stage(
            "fine_tuning",
            maps,
            keras.Model(inputs, self._answer(top(inputs))),
            recipe,
            vary=_flips(settings.variations),
            cost=_BLOCK_COST * settings.fine_tune_blocks,
            rate_name="fine_tune_learning_rate",
        )

    def _answer(self, features: keras.KerasTensor) -> keras.KerasTensor:
        return self.logits(self._dropout(self.standardisation(features)))


def _moments(standardisation: layers.Normalization) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.convert_to_tensor(standardisation.mean), tf.sqrt(tf.convert_to_tensor(standardisation.variance))


def _mean_and_variance(
    features: NDArray[np.float16], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each feature over some images, by chunks, so that memory does not grow with the images."""
    total = np.zeros(features.shape[1])
    squares = np.zeros(features.shape[1])
    for start in range(0, len(rows), _ROWS_PER_CHUNK):
        chunk = features[rows[start : start + _ROWS_PER_CHUNK]].astype(np.float64)
        total += chunk.sum(axis=0)
        squares += (chunk**2).sum(axis=0)
    release_pages(features)
    mean = total / len(rows)
    return mean, np.maximum(squares / len(rows) - mean**2, 0)


def _flips(variations: Variations) -> Vary | None:
    """The flips of images, done to maps: what the frozen blocks see in a flipped image is all but the same."""
    if not (variations.flip_horizontal or variations.flip_vertical):
        return None

    def vary(maps: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return flip(maps, keys, horizontal=variations.flip_horizontal, vertical=variations.flip_vertical)

    return vary


def _varied_copy(variations: Variations, count: int, copy: int) -> VaryRows:
    """Turned, zoomed, moved and lit as the images of the original network, always the same for a copy's number."""
    vary = vary_images(variations) or (lambda images, _keys: images)
    keys = draw_keys(count, seed=0, epoch=copy, step=0)

    def vary_rows(images: NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
        varied: NDArray[np.uint8] = vary(tf.constant(images), keys[first : first + len(images)]).numpy()
        return varied

    return vary_rows
