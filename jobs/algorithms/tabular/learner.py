"""The networks in training: steps over the rows, their answers, their state on disk."""

import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.algorithms.tabular.encoder import Encoder, Features
from jobs.algorithms.tabular.network import Network, answers

_STATE_FILE = "state.npz"
_ANSWERED_AT_ONCE = 8192


class Learner:
    """A network and its AdamW over the features of all rows.

    `targets` are int32 classes or float32 standardised numbers, `weights` float32, `folds` int32 or -1, one for each
    row of `features`. A member of the network does not learn from one of the folds, so that it can be asked about it.
    """

    def __init__(
        self,
        network: Network,
        encoder: Encoder,
        features: Features,
        targets: NDArray[Any],
        weights: NDArray[np.float32],
        folds: NDArray[np.int32],
        *,
        learning_rate: float,
        weight_decay: float,
        dropout_rate: float,
        seed: int,
    ) -> None:
        self._network = network
        self._encoder = encoder
        self._is_classification = targets.dtype == np.int32
        self._dropout_rate = dropout_rate
        self._seed = seed
        self._optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
        self._optimizer.exclude_from_weight_decay(var_names=["bias"])
        self._optimizer.build(network.variables)
        self._variables = [variable.value for variable in network.variables]
        self._data = tuple(tf.constant(part) for part in (features.dense, features.ids, targets, weights, folds))
        self._aside = tf.constant(np.arange(network.members) % max(int(folds.max()) + 1, 1), tf.int32)
        rows, number = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.int32)
        # jit_compile: XLA takes twice the time on a CPU. autograph: the one loop is written as such.
        options: dict[str, Any] = {"autograph": False, "jit_compile": False}
        self._steps = tf.function(self._learn, input_signature=[rows, number, number], **options)
        self._answered = tf.function(self._answer, input_signature=[rows], **options)
        self._unseen = tf.function(self._answer_unseen, input_signature=[rows], **options)

    def learn(self, rows: NDArray[np.int32], *, batch_size: int, first_step: int) -> float:
        """Take a step for each `batch_size` of the rows, in their order; answers the mean of the losses."""
        return float(self._steps(rows, batch_size, first_step))

    def answer(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean answer of the members: probabilities (row, class), or standardised numbers (row,)."""
        return self._in_pieces(self._answered, rows)

    def answer_unseen(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean answer of those members that do not learn from the row's fold; each row is of one."""
        return self._in_pieces(self._unseen, rows)

    @staticmethod
    def _in_pieces(answered: Callable[[NDArray[np.int32]], Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        starts = range(0, len(rows), _ANSWERED_AT_ONCE)
        pieces = [answered(rows[start : start + _ANSWERED_AT_ONCE].astype(np.int32)).numpy() for start in starts]
        return np.concatenate(pieces)

    def weights(self) -> list[NDArray[np.float32]]:
        """A copy of the networks' weights."""
        return [variable.numpy() for variable in self._network.variables]

    def set_weights(self, weights: Sequence[NDArray[np.float32]]) -> None:
        for variable, array in zip(self._network.variables, weights, strict=True):
            variable.assign(array)

    def save(self, folder: Path, state: dict[str, Any], *, best: Sequence[NDArray[np.float32]]) -> None:
        """Write weights, the best ones so far (as many, or none), the optimizer and `state` (JSON) into `folder`."""
        parts = {
            "weight": self.weights(),
            "best": best,
            "optimizer": [each.numpy() for each in self._optimizer.variables],
        }
        arrays = {f"{name}_{index}": array for name, some in parts.items() for index, array in enumerate(some)}
        np.savez(folder / _STATE_FILE, state=np.array(json.dumps(state)), **arrays)

    def restore(self, folder: Path, *, expected: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
        """Take over what `save` wrote; answers its state and the best weights. On an error nothing has changed.

        Raises:
            ValueError: the file is absent or damaged, or its state differs from `expected`; says which.
        """
        state, arrays = _read(folder)
        for name, value in expected.items():
            if state.get(name) != value:
                raise ValueError(f"it is of another training: {name} was {state.get(name)}, now {value}")
        variables = {"weight": self._network.variables, "optimizer": self._optimizer.variables}
        pairs = [
            (variable, arrays.get(f"{kind}_{index}"))
            for kind, some in variables.items()
            for index, variable in enumerate(some)
        ]
        for variable, array in pairs:
            if array is None or array.shape != tuple(variable.shape):
                raise ValueError(f"it lacks what fits to {variable.path}")
        for variable, array in pairs:
            variable.assign(array)
        best = [arrays[f"best_{index}"] for index in range(len(self._network.variables)) if f"best_{index}" in arrays]
        return state, best

    def _of(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        dense, ids = (tf.gather(part, rows) for part in self._data[:2])
        return dense, ids, self._encoder.weigh(ids)

    def _answer(self, rows: tf.Tensor) -> tf.Tensor:
        outputs = self._network.outputs(*self._of(rows))
        return tf.reduce_mean(answers(outputs, is_classification=self._is_classification), axis=0)

    def _answer_unseen(self, rows: tf.Tensor) -> tf.Tensor:
        outputs = self._network.outputs(*self._of(rows))
        of_members = answers(outputs, is_classification=self._is_classification)
        counts = tf.cast(tf.equal(self._aside[:, None], tf.gather(self._data[4], rows)[None]), tf.float32)
        shares = counts / tf.reduce_sum(counts, axis=0)
        return tf.reduce_sum(of_members * (shares[..., None] if self._is_classification else shares), axis=0)

    def _loss(self, rows: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """The mean over the rows of the losses of all networks, each by itself, summed over the networks."""
        key = tf.stack([step, tf.constant(self._seed % 2**31, tf.int32)])
        outputs = self._network.outputs(*self._of(rows), dropout=self._dropout_rate, key=key)
        targets, weights, folds = (tf.gather(part, rows) for part in self._data[2:])
        is_learned = tf.cast(tf.not_equal(self._aside[:, None], folds[None]), tf.float32)
        if self._is_classification:
            members = tf.broadcast_to(targets[None], tf.shape(outputs)[:2])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=members, logits=outputs)
        else:
            losses = tf.square(outputs[..., 0] - targets[None])
        return tf.reduce_sum(losses * weights[None] * is_learned) / tf.cast(tf.shape(rows)[0], tf.float32)

    def _learn(self, rows: tf.Tensor, batch_size: tf.Tensor, first_step: tf.Tensor) -> tf.Tensor:
        steps = (tf.shape(rows)[0] + batch_size - 1) // batch_size

        def one(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = rows[number * batch_size : (number + 1) * batch_size]
            with tf.GradientTape() as tape:
                loss = self._loss(batch, first_step + number)
            gradients = [tf.convert_to_tensor(each) for each in tape.gradient(loss, self._variables)]
            self._optimizer.apply(gradients)
            return number + 1, total + loss

        start = (tf.constant(0), tf.constant(0.0))
        _number, total = tf.while_loop(lambda number, _total: number < steps, one, start, parallel_iterations=1)
        return total / tf.cast(steps, tf.float32) / self._network.members


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with np.load(folder / _STATE_FILE, allow_pickle=False) as file:
            state: dict[str, Any] = json.loads(str(file["state"]))
            return state, {name: file[name] for name in file.files if name != "state"}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is damaged: {error}") from error
