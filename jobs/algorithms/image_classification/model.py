"""The network: six blocks of convolution and pooling, one dense layer. Imports Keras, so only the trainer loads it."""

from collections.abc import Sequence
from itertools import count

import keras
import tensorflow as tf
from keras import layers, ops

from jobs.algorithms.image_classification.augmentation import KeyedDropout


@keras.saving.register_keras_serializable(package="dlmodeler")
class ConvolutionBlock(layers.Layer):
    """3x3 convolution (stride 1, same padding, bias), ReLU, 2x2 max-pool: (b, h, w, c) to (b, h // 2, w // 2, filters).

    Pools before it adds the bias and clips: both are monotone, so values and gradients are the same, on a quarter of
    the elements.
    """

    def __init__(self, filters: int, *, seed: int, **options: object) -> None:
        super().__init__(**options)
        self.filters = filters
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            name="kernel",
            shape=(3, 3, input_shape[-1], self.filters),
            initializer=keras.initializers.GlorotUniform(seed=self.seed),
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        convolved = ops.conv(inputs, self.kernel, strides=1, padding="same", data_format="channels_last")
        pooled = ops.max_pool(convolved, pool_size=2, strides=2, padding="valid", data_format="channels_last")
        return ops.relu(ops.add(pooled, self.bias))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "filters": self.filters, "seed": self.seed}


def build_network(
    *,
    size_px: int,
    filters: Sequence[int],
    classes: int,
    dtype_policy: str,
    seed: int = 0,
    dropout_rate: float = 0.0,
) -> keras.Sequential:
    """uint8 pixels (batch, size_px, size_px, 3) to float32 logits (batch, classes); softmax of them is the answer."""
    seeds = count(seed * 1000)
    blocks = [ConvolutionBlock(number, seed=next(seeds), dtype=dtype_policy) for number in filters]
    # The answer needs the range of float32 whatever the blocks compute in.
    dense = layers.Dense(
        classes, kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)), dtype="float32"
    )
    return keras.Sequential(
        [
            keras.Input((size_px, size_px, 3), dtype="uint8"),
            layers.Rescaling(1 / 255, dtype=dtype_policy),
            *blocks,
            layers.Flatten(dtype=dtype_policy),
            *([KeyedDropout(dropout_rate, dtype=dtype_policy)] if dropout_rate else []),
            dense,
        ]
    )


def of_standard_layers(network: keras.Model) -> keras.Model:
    """The same network with the layers of Keras alone in place of `ConvolutionBlock`, for those who have but Keras."""
    if not any(isinstance(layer, ConvolutionBlock) for layer in network.layers):
        return network
    standard: list[layers.Layer] = [keras.Input(network.input_shape[1:], dtype="uint8")]
    for layer in network.layers:
        if isinstance(layer, ConvolutionBlock):
            standard += [
                layers.Conv2D(layer.filters, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
            ]
        else:
            standard.append(type(layer).from_config(layer.get_config()))
    twin = keras.Sequential(standard)
    twin.set_weights(network.get_weights())
    return twin
