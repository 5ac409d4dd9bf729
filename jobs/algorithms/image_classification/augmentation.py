"""Chance inside the graph that follows from one number for each image, and the variations of images made with it.

The numbers come from seed, epoch and step, so that a training that goes on after an interruption, or on several
devices, sees the variations that it would have seen.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from jobs.algorithms.image_classification.settings import Variations

Vary = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def draw_keys(count: int, *, seed: int, epoch: int, step: int) -> NDArray[np.int32]:
    """int32 (count,): where the chance of each image of a step begins."""
    return np.random.default_rng((seed, 3, epoch, step)).integers(0, 2**31 - 1, count, dtype=np.int32)


def uniform(keys: tf.Tensor, count: int, *, salt: int) -> tf.Tensor:
    """float32 (batch, count) in [0, 1) from int32 (batch,): the finalizer of MurmurHash3 over key and place."""
    places = tf.constant((np.arange(1, count + 1, dtype=np.uint64) * 0x9E3779B1 + salt * 0x85EBCA77) % 2**32, tf.uint64)
    hashed = tf.bitwise.bitwise_xor(
        tf.cast(keys, tf.uint32)[:, None] * tf.constant(0xCC9E2D51, tf.uint32), tf.cast(places, tf.uint32)[None, :]
    )
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        hashed = tf.bitwise.bitwise_xor(hashed, tf.bitwise.right_shift(hashed, tf.constant(shift, tf.uint32)))
        hashed *= tf.constant(factor, tf.uint32)
    return tf.cast(tf.bitwise.right_shift(hashed, tf.constant(8, tf.uint32)), tf.float32) / 2**24


def vary_images(variations: Variations) -> Vary | None:
    """A function of uint8 images (batch, height, width, 3) and keys int32 (batch,); None where nothing is varied."""
    if not variations.any:
        return None

    def vary(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        draws = tf.unstack(uniform(keys, 7, salt=1), axis=1)
        if variations.rotation_degrees or variations.zoom or variations.shift:
            images = _move(images, variations, draws[:4])
        images = flip(images, keys, horizontal=variations.flip_horizontal, vertical=variations.flip_vertical)
        if variations.brightness:
            factors = 1 + variations.brightness * (2 * draws[4] - 1)
            images = tf.saturate_cast(tf.round(tf.cast(images, tf.float32) * factors[:, None, None, None]), tf.uint8)
        return images

    return vary


def flip(maps: tf.Tensor, keys: tf.Tensor, *, horizontal: bool, vertical: bool) -> tf.Tensor:
    """Half of the maps (batch, height, width, channels) of any type mirrored left-right, and half of them up-down."""
    draws = uniform(keys, 2, salt=2) < 0.5
    if horizontal:
        maps = tf.where(draws[:, 0, None, None, None], tf.reverse(maps, [2]), maps)
    if vertical:
        maps = tf.where(draws[:, 1, None, None, None], tf.reverse(maps, [1]), maps)
    return maps


def _move(images: tf.Tensor, variations: Variations, draws: list[tf.Tensor]) -> tf.Tensor:
    """Rotate, zoom and shift around the centre; what comes in from outside is the mirrored image."""
    height, width = images.shape[1:3]
    turn, zoom, right, down = (2 * draw - 1 for draw in draws)
    angle = turn * (variations.rotation_degrees * math.pi / 180)
    scale = 1 / (1 + variations.zoom * zoom)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    # From places of the output to those of the input: x' = cos x - sin y + a, y' = sin x + cos y + b.
    out_x, out_y = centre_x + variations.shift * width * right, centre_y + variations.shift * height * down
    a = centre_x - cos * out_x + sin * out_y
    b = centre_y - sin * out_x - cos * out_y
    nothing = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([cos, -sin, a, sin, cos, b, nothing, nothing], axis=1),
        output_shape=tf.constant([height, width]),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


@keras.saving.register_keras_serializable(package="dlmodeler")
class KeyedDropout(layers.Layer):
    """Leaves out a share of the values of each sample in training, by the sample's key that `set_keys` gave it."""

    def __init__(self, rate: float, **options: object) -> None:
        super().__init__(**options)
        self.rate = rate
        self._keys: tf.Tensor | None = None

    def call(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        shape = inputs.shape[1:]
        draws = tf.reshape(uniform(self._keys, math.prod(shape), salt=3), (-1, *shape))
        return inputs * tf.cast(draws >= self.rate, inputs.dtype) / (1 - self.rate)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "rate": self.rate}


def set_keys(network: keras.Model, keys: tf.Tensor) -> None:
    """Tell the dropouts of the network the keys (batch,) of the samples that it is called with next, in this graph."""
    for layer in network.layers:
        if isinstance(layer, KeyedDropout):
            layer._keys = keys
        elif isinstance(layer, keras.Model):
            set_keys(layer, keys)
