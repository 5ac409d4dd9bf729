"""The whole model in one graph: rows of a csv to answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.algorithms.tabular.encoder import Cells, Encoder, Features
from jobs.algorithms.tabular.linear import Linear
from jobs.algorithms.tabular.network import Network, answers, linear_outputs

_ANSWERED_AT_ONCE = 8192


@dataclass(frozen=True)
class NumberScale:
    """How standardised numbers become those of the target column."""

    mean: float
    deviation: float


class TableModel(tf.Module):
    """Blends what the linear part and the networks answer, `share` of it the networks'.

    `scale` is that of a regression's target; None for a classification.
    """

    def __init__(
        self, encoder: Encoder, linear: Linear, network: Network, *, share: float, scale: NumberScale | None
    ) -> None:
        super().__init__(name="table_model")
        self._encoder = encoder
        self._network = network
        self._share = share
        self._scale = scale
        # What is tracked is saved as files beside the graph and not as constants in it, which may not pass 2 GB.
        self.table = encoder.table
        self.linear = [
            tf.Variable(part, trainable=False) for part in (linear.weights, linear.word_weights, linear.bias)
        ]
        self.weights = [variable.value for variable in network.variables]
        signature = [tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None, None), tf.int32)]
        self._answered = tf.function(self.answer_features, input_signature=signature, autograph=False)

    @property
    def is_classification(self) -> bool:
        return self._scale is None

    def answer_features(self, dense: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Probabilities (row, class), or numbers (row,), float32."""
        dense.set_shape((None, self._encoder.width))
        ids.set_shape((None, self._encoder.places))
        weights = self._encoder.weigh(ids)
        parts = []
        if self._share < 1:
            linear = linear_outputs(self.linear, dense, ids, weights)
            parts.append((1 - self._share) * answers(linear, is_classification=self.is_classification))
        if self._share > 0:
            outputs = self._network.outputs(dense, ids, weights)
            of_members = answers(outputs, is_classification=self.is_classification)
            parts.append(self._share * tf.reduce_mean(of_members, axis=0))
        blend = tf.add_n(parts)
        if self._scale is None:
            return blend
        numbers = tf.cast(blend, tf.float64) * self._scale.deviation + self._scale.mean
        return tf.cast(numbers, tf.float32)

    def serve(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the SavedModel answers to string cells (row, column)."""
        name = "probabilities" if self.is_classification else "values"
        return {name: self.answer_features(*self._encoder.encode(rows))}

    def predict(self, features: Features) -> NDArray[np.float32]:
        """The answers for features of many rows."""
        pieces = [
            self._answered(features.dense[piece], features.ids[piece]).numpy() for piece in _pieces(len(features.dense))
        ]
        return np.concatenate(pieces)

    def predict_cells(self, cells: Cells) -> NDArray[np.float32]:
        return self.predict(self._encoder.transform(cells))


def linear_answers(
    encoder: Encoder, linear: Linear, features: Features, *, is_classification: bool
) -> NDArray[np.float32]:
    """What the linear part answers for all rows: probabilities, or standardised numbers."""
    parts = [tf.constant(part) for part in (linear.weights, linear.word_weights, linear.bias)]

    def answer(dense: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[Any]:
        places = tf.constant(ids)
        outputs = linear_outputs(parts, tf.constant(dense), places, encoder.weigh(places))
        found: NDArray[Any] = answers(outputs, is_classification=is_classification).numpy()
        return found

    return np.concatenate(
        [answer(features.dense[piece], features.ids[piece]) for piece in _pieces(len(features.dense))]
    )


def _pieces(rows: int) -> Sequence[slice]:
    return [slice(start, start + _ANSWERED_AT_ONCE) for start in range(0, rows, _ANSWERED_AT_ONCE)]
