"""EfficientNet-Lite0 with its batch normalisation folded into the convolutions, in two forms of the same numbers.

`build_network` is the whole network as convolutions, to be served and to compute what stays frozen. `TopBlocks` is its
end, to be trained, in a form that is twice to five times as fast on a CPU.
Tan and Le, EfficientNet (2019); Lite: ReLU6 instead of swish, no squeeze and excitation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

FEATURES = 1280
_STEM = 32
_EPSILON = 1e-3
# Maps of at most this side are worked on as matrices: above, the matrix of a convolution takes more than it saves.
_MATRIX_SIDE = 14

Parameters = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Block:
    """An inverted residual: expand by 1x1, convolve each channel, project by 1x1, add where the shape stays."""

    number: int
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def is_residual(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs

    def name(self, part: str) -> str:
        return f"block{self.number}_{part}"


def _blocks() -> tuple[Block, ...]:
    # repeats, kernel, stride of the first, expansion, outputs
    rows = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    )
    blocks: list[Block] = []
    inputs = _STEM
    for repeats, kernel, stride, expansion, outputs in rows:
        for repeat in range(repeats):
            blocks.append(Block(len(blocks), kernel, stride if repeat == 0 else 1, expansion, inputs, outputs))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _blocks()


def fold(arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of every convolution by the name of its layer, from weights by torch's names.

    Kernels are (height, width, inputs, outputs), those of a convolution of each channel (height, width, channels, 1).
    """

    def folded(convolution: str, normalisation: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scale = arrays[f"{normalisation}.weight"] / np.sqrt(arrays[f"{normalisation}.running_var"] + _EPSILON)
        kernel = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = arrays[f"{normalisation}.bias"] - arrays[f"{normalisation}.running_mean"] * scale
        kernel = kernel.transpose(2, 3, 0, 1) if kernel.shape[1] == 1 else kernel.transpose(2, 3, 1, 0)
        return np.ascontiguousarray(kernel, np.float32), bias.astype(np.float32)

    parameters = {"stem": folded("_conv_stem", "_bn0"), "top": folded("_conv_head", "_bn1")}
    for block in BLOCKS:
        prefix = f"_blocks.{block.number}"
        if block.expansion > 1:
            parameters[block.name("expand")] = folded(f"{prefix}._expand_conv", f"{prefix}._bn0")
        parameters[block.name("depthwise")] = folded(f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        parameters[block.name("project")] = folded(f"{prefix}._project_conv", f"{prefix}._bn2")
    return parameters


def maps_shape(size_px: int, *, first_block: int) -> tuple[int, int, int]:
    """(height, width, channels) of what goes into a block, for images of this size."""
    strides = [2, *(block.stride for block in BLOCKS[:first_block])]
    side = size_px
    for stride in strides:
        side = math.ceil(side / stride)
    channels = BLOCKS[first_block - 1].outputs if first_block else _STEM
    return side, side, channels


def build_network(*, size_px: int, classes: int | None = None) -> keras.Model:
    """uint8 (batch, size_px, size_px, 3) to features (batch, 1280), or with `classes` to logits, in float32.

    `block<n>_in` names what goes into a block; `set_parameters` gives it its weights.
    """
    images = keras.Input((size_px, size_px, 3), dtype="uint8", name="images")
    maps = layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32")(images)
    maps = _activated(layers.Conv2D(_STEM, 3, strides=2, padding="same", dtype="float32", name="stem"), maps)
    for block in BLOCKS:
        maps = layers.Identity(dtype="float32", name=block.name("in"))(maps)
        maps = _inverted_residual(block, maps)
    maps = _activated(layers.Conv2D(FEATURES, 1, dtype="float32", name="top"), maps)
    answer = layers.GlobalAveragePooling2D(dtype="float32", name="features")(maps)
    if classes is not None:
        answer = layers.Dense(classes, dtype="float32", name="logits")(answer)
    return keras.Model(images, answer)


def _activated(convolution: layers.Layer, maps: Any) -> Any:
    return layers.ReLU(6.0, dtype="float32")(convolution(maps))


def _inverted_residual(block: Block, inputs: Any) -> Any:
    maps = inputs
    if block.expansion > 1:
        expand = layers.Conv2D(block.inputs * block.expansion, 1, dtype="float32", name=block.name("expand"))
        maps = _activated(expand, maps)
    depthwise = layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", dtype="float32", name=block.name("depthwise")
    )
    maps = _activated(depthwise, maps)
    maps = layers.Conv2D(block.outputs, 1, dtype="float32", name=block.name("project"))(maps)
    return layers.Add(dtype="float32")([inputs, maps]) if block.is_residual else maps


def set_parameters(network: keras.Model, parameters: Parameters) -> None:
    """Give the convolutions their kernels and biases, by name."""
    for name, values in parameters.items():
        network.get_layer(name).set_weights(values)


class TopBlocks(layers.Layer):
    """The network from block `first_block` on, to be trained: maps (batch, h, w, channels) to features (batch, 1280).

    Small maps are kept as (channels, batch, cells): 1x1 convolutions are then one large product of matrices, and a
    convolution of each channel is a product with a (cells, cells) matrix that holds the kernel at every place.
    Features are float32 whatever the blocks compute in.
    """

    def __init__(self, parameters: Parameters, *, first_block: int, **options: Any) -> None:
        super().__init__(**options)
        self._blocks = BLOCKS[first_block:]
        names = [name for name in parameters if name != "stem"]
        learned = {"top", *(block.name(part) for block in self._blocks for part in ("expand", "depthwise", "project"))}
        self._initial = {name: parameters[name] for name in names if name in learned}
        self._kernels: dict[str, Any] = {}
        self._biases: dict[str, Any] = {}

    def build(self, input_shape: Sequence[int | None]) -> None:
        for name, (kernel, bias) in self._initial.items():
            self._kernels[name] = self._weight(f"{name}_kernel", kernel)
            self._biases[name] = self._weight(f"{name}_bias", bias)
        self._initial = {}

    def _weight(self, name: str, value: NDArray[np.float32]) -> Any:
        return self.add_weight(name=name, shape=value.shape, initializer=lambda *_, **__: tf.constant(value))

    def parameters(self) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """What `set_parameters` takes."""
        return {name: (self._kernels[name].numpy(), self._biases[name].numpy()) for name in self._kernels}

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        side = maps.shape[1]
        blocks = list(self._blocks)
        while blocks and side > _MATRIX_SIDE:
            block = blocks.pop(0)
            maps = self._on_large_maps(block, maps)
            side = maps.shape[1]
        values = tf.transpose(tf.reshape(maps, (-1, side * side, maps.shape[-1])), (2, 0, 1))
        for block in blocks:
            values = self._on_small_maps(block, values, side)
            side = math.ceil(side / block.stride)
        values = self._mix(values, "top", activated=True)
        return tf.transpose(tf.reduce_mean(tf.cast(values, tf.float32), axis=2))

    # -- (batch, height, width, channels) -----------------------------------------------------

    def _on_large_maps(self, block: Block, inputs: tf.Tensor) -> tf.Tensor:
        maps = inputs
        strides = (1, block.stride, block.stride, 1)
        if block.expansion > 1:
            maps = tf.nn.relu6(self._convolve(maps, block.name("expand")))
        name = block.name("depthwise")
        maps = tf.nn.depthwise_conv2d(maps, tf.convert_to_tensor(self._kernels[name]), strides, "SAME")
        maps = tf.nn.relu6(tf.nn.bias_add(maps, tf.convert_to_tensor(self._biases[name])))
        maps = self._convolve(maps, block.name("project"))
        return inputs + maps if block.is_residual else maps

    def _convolve(self, maps: tf.Tensor, name: str) -> tf.Tensor:
        convolved = tf.nn.conv2d(maps, tf.convert_to_tensor(self._kernels[name]), 1, "SAME")
        return tf.nn.bias_add(convolved, tf.convert_to_tensor(self._biases[name]))

    # -- (channels, batch, cells) -------------------------------------------------------------

    def _on_small_maps(self, block: Block, inputs: tf.Tensor, side: int) -> tf.Tensor:
        values = inputs
        if block.expansion > 1:
            values = self._mix(values, block.name("expand"), activated=True)
        name = block.name("depthwise")
        places = _places(block.kernel, block.stride, side)
        taps = tf.reshape(tf.convert_to_tensor(self._kernels[name]), (block.kernel**2, -1))
        matrices = tf.matmul(
            taps, tf.constant(places, taps.dtype), transpose_a=True
        )  # (channels, cells in * cells out)
        values = tf.matmul(values, tf.reshape(matrices, (-1, side * side, math.ceil(side / block.stride) ** 2)))
        values = tf.nn.relu6(values + tf.convert_to_tensor(self._biases[name])[:, None, None])
        values = self._mix(values, block.name("project"), activated=False)
        return inputs + values if block.is_residual else values

    def _mix(self, values: tf.Tensor, name: str, *, activated: bool) -> tf.Tensor:
        """A 1x1 convolution."""
        inputs, cells = values.shape[0], values.shape[2]
        kernel = tf.reshape(tf.convert_to_tensor(self._kernels[name]), (inputs, -1))
        mixed = tf.matmul(kernel, tf.reshape(values, (inputs, -1)), transpose_a=True)
        mixed += tf.convert_to_tensor(self._biases[name])[:, None]
        if activated:
            mixed = tf.nn.relu6(mixed)
        return tf.reshape(mixed, (kernel.shape[1], -1, cells))


def _places(kernel: int, stride: int, side: int) -> NDArray[np.float32]:
    """(taps, cells in * cells out): 1 where a tap of the kernel leads from cell to cell; padded as "same" is."""
    side_out = math.ceil(side / stride)
    before = max((side_out - 1) * stride + kernel - side, 0) // 2
    places = np.zeros((kernel, kernel, side, side, side_out, side_out), np.float32)
    out = np.arange(side_out)
    for down in range(kernel):
        for right in range(kernel):
            rows, columns = out * stride + down - before, out * stride + right - before
            for row_out in out[(rows >= 0) & (rows < side)]:
                for column_out in out[(columns >= 0) & (columns < side)]:
                    places[down, right, rows[row_out], columns[column_out], row_out, column_out] = 1
    return places.reshape(kernel * kernel, -1)
