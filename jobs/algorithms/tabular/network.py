"""The blend that answers: a linear part, and a group of small networks whose answers are averaged."""

from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf

from jobs.algorithms.tabular.encoder import Bag

_WORD_SIZE = 16  # numbers that stand for an id
_WORD_SCALE = 0.1


class Network:
    """`members` networks of the same shape, each with its own weights: hidden layers with ReLU and dropout.

    Their variables are `variables`, float32. The vectors that stand for ids are shared.
    """

    def __init__(
        self,
        *,
        members: int,
        width: int,
        words: int,
        bags: Sequence[Bag],
        outputs: int,
        hidden_layers: int,
        hidden_units: int,
        seed: int,
    ) -> None:
        generator = np.random.default_rng((seed, 4))
        self.members = members
        self._bags = tuple(bags)
        self._vectors: keras.Variable | None = None
        self.variables: list[keras.Variable] = []
        if bags:
            vectors = generator.normal(0, _WORD_SCALE, (words, _WORD_SIZE))
            self._vectors = self._variable(vectors, "vectors")
        self._layers: list[tuple[keras.Variable, keras.Variable]] = []
        sizes = [width + _WORD_SIZE * len(bags), *[hidden_units] * hidden_layers, outputs]
        for number, (before, after) in enumerate(pairwise(sizes)):
            # He for the hidden layers; small for the last one, so that the first answers are cautious.
            deviation = np.sqrt(2 / max(before, 1)) * (0.1 if number == hidden_layers else 1)
            kernel = generator.normal(0, deviation, (members, before, after))
            bias = np.zeros((members, 1, after))
            self._layers.append((self._variable(kernel, f"kernel_{number}"), self._variable(bias, f"bias_{number}")))

    def _variable(self, values: np.ndarray, name: str) -> keras.Variable:
        variable = keras.Variable(values.astype(np.float32), name=name)
        self.variables.append(variable)
        return variable

    def outputs(
        self,
        dense: tf.Tensor,
        ids: tf.Tensor,
        weights: tf.Tensor,
        *,
        dropout: float = 0.0,
        key: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(member, row, output) of dense (row, feature), ids and their weights (row, place).

        With a `key`, int32 (2,), hidden units are dropped, the same ones for the same key.
        """
        parts = [dense]
        if self._vectors is not None:
            vectors = tf.gather(self._vectors.value, ids) * weights[:, :, None]
            parts += [tf.reduce_sum(vectors[:, bag.start : bag.start + bag.length], axis=1) for bag in self._bags]
        values = tf.concat(parts, axis=1)[None]
        for number, (kernel, bias) in enumerate(self._layers):
            values = tf.matmul(values, kernel.value) + bias.value
            if number == len(self._layers) - 1:
                break
            values = tf.nn.relu(values)
            if dropout and key is not None:
                of_layer = key + tf.constant([0, number])
                values = tf.nn.experimental.stateless_dropout(values, dropout, seed=of_layer)
        return values


def linear_outputs(parts: Sequence[tf.Tensor], dense: tf.Tensor, ids: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """(row, output) of the linear part, whose `parts` are weights, word_weights and bias of a `Linear`."""
    of_dense, of_words, bias = parts
    outputs = tf.matmul(dense, of_dense) + bias
    if ids.shape[1]:
        outputs += tf.reduce_sum(tf.gather(of_words, ids) * weights[:, :, None], axis=1)
    return outputs


def answers(outputs: tf.Tensor, *, is_classification: bool) -> tf.Tensor:
    """Probabilities (…, row, class) of logits, or numbers (…, row)."""
    return tf.nn.softmax(outputs) if is_classification else outputs[..., 0]
