"""A network in training: one step, one measurement, its state on disk."""

import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.algorithms.image_classification.augmentation import set_keys
from jobs.algorithms.image_classification.settings import Recipe
from jobs.algorithms.image_classification.stages import Stage

# A batch is worked on in pieces of this size on each device, so that memory does not grow with batch_size.
_PIECE = 128
_STATE_FILE = "state.npz"

Array = NDArray[Any]


class Learner:
    """The network of a stage and its optimizer, on the devices of a strategy, which share every batch.

    A batch is inputs (batch, …) as those of the stage, targets int32 (batch,), weights float32 (batch,) that each
    sample's loss counts (0: not at all), and keys int32 (batch,) that its chance follows from.
    """

    def __init__(self, stage: Stage, *, strategy: Any = None) -> None:
        self.network = stage.network
        self._vary = stage.vary
        self._smoothing = stage.recipe.label_smoothing
        self._strategy = strategy or tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        with self._strategy.scope():
            self._optimizer = make_optimizer(stage.recipe)
            self._optimizer.build(self.network.trainable_variables)
        self._rate = stage.recipe.learning_rate
        self._weights = [variable.value for variable in self.network.trainable_variables]
        batch = [
            tf.TensorSpec((None, *stage.inputs.shape[1:]), stage.inputs.dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ]
        self._step = _graph(self._learn, [*batch, tf.TensorSpec((), tf.float32)])
        self._gradients_of_piece = _graph(self._gradients_of_all, batch)
        self._measured = _graph(self._measure, batch[:3])

    def learn(self, inputs: Array, targets: Array, weights: Array, keys: Array, *, rate: float) -> tuple[float, int]:
        """Take one step; answers the sum of the weighted losses and the number of right answers before it."""
        if rate != self._rate:
            self._optimizer.learning_rate = rate
            self._rate = rate
        piece_size = _PIECE * self._replicas
        if len(targets) <= piece_size:
            loss_sum, correct = self._step(*self._even(inputs, targets, weights, keys), np.float32(len(targets)))
            return float(loss_sum), int(correct)
        total: list[tf.Tensor] = []
        losses, right = 0.0, 0
        for start in range(0, len(targets), piece_size):
            piece = slice(start, start + piece_size)
            batch = self._even(inputs[piece], targets[piece], weights[piece], keys[piece])
            loss_sum, correct, gradients = self._gradients_of_piece(*batch)
            total = [a + b for a, b in zip(total, gradients, strict=True)] if total else gradients
            losses += float(loss_sum)
            right += int(correct)
        if math.isfinite(losses):
            self._apply([gradient / len(targets) for gradient in total])
        return losses, right

    def measure(self, inputs: Array, targets: Array, weights: Array) -> tuple[float, int]:
        """The sum of the weighted losses and the number of right answers."""
        loss_sum, correct = self._measured(*self._even(inputs, targets, weights))
        return float(loss_sum), int(correct)

    def weights(self) -> list[Array]:
        """The values of all variables of the network."""
        return [np.asarray(variable.numpy()) for variable in self.network.variables]

    def set_weights(self, arrays: Sequence[Array]) -> None:
        for variable, array in zip(self.network.variables, arrays, strict=True):
            variable.assign(array)

    def save(self, folder: Path, state: dict[str, Any], *, best: Sequence[Array] = ()) -> None:
        """Write weights, optimizer, the `best` weights so far and `state` (JSON) into `folder`."""
        arrays: dict[str, Any] = {f"weight_{index}": array for index, array in enumerate(self.weights())}
        arrays |= {f"optimizer_{index}": variable.numpy() for index, variable in enumerate(self._optimizer.variables)}
        arrays |= {f"best_{index}": array for index, array in enumerate(best)}
        np.savez(folder / _STATE_FILE, state=np.array(json.dumps(state)), **arrays)

    def restore(self, folder: Path) -> list[Array]:
        """Take over what `save` wrote and answer the best weights (empty: there are none); on an error nothing changes.

        Raises:
            ValueError: the file is absent or damaged, or of another network; says which.
        """
        with _open(folder) as file:
            weights = _arrays(file, "weight", self.network.variables)
            optimizer = _arrays(file, "optimizer", self._optimizer.variables)
            best = _arrays(file, "best", self.network.variables) if "best_0" in file else []
        self.set_weights(weights)
        for variable, array in zip(self._optimizer.variables, optimizer, strict=True):
            variable.assign(array)
        self._rate = float(self._optimizer.learning_rate.numpy())
        return best

    # -- the graphs ---------------------------------------------------------------------------

    def _even(self, *batch: Array) -> Sequence[Array]:
        """The batch with copies of its first sample at its end, so that all devices get as many; they weigh nothing."""
        missing = -len(batch[0]) % self._replicas
        if not missing:
            return batch
        padded = [np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) for array in batch]
        padded[2][-missing:] = 0
        return padded

    def _on_all(self, function: Callable[..., Any], *batch: tf.Tensor) -> Any:
        """What `function` answers for the whole batch: the sums of what it answers on each device for its share."""
        if self._replicas == 1:
            return function(*batch)
        size = tf.shape(batch[0])[0] // self._replicas

        def of_share() -> Any:
            begin = tf.distribute.get_replica_context().replica_id_in_sync_group * size
            return function(*(tensor[begin : begin + size] for tensor in batch))

        answers = self._strategy.run(of_share)
        return tf.nest.map_structure(lambda answer: self._strategy.reduce("SUM", answer, axis=None), answers)

    def _apply(self, gradients: Sequence[tf.Tensor]) -> None:
        if self._replicas == 1:
            self._optimizer.apply(gradients)
        else:
            self._apply_on_all(gradients)

    @tf.function(autograph=False)
    def _apply_on_all(self, gradients: Sequence[tf.Tensor]) -> None:
        # Each device gives its part, of which the optimizer takes the sum.
        self._strategy.run(lambda: self._optimizer.apply([gradient / self._replicas for gradient in gradients]))

    def _forward(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.network(inputs, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        if self._smoothing:
            of_all = tf.reduce_logsumexp(logits, axis=1) - tf.reduce_mean(logits, axis=1)
            losses = (1 - self._smoothing) * losses + self._smoothing * of_all
        right = (tf.argmax(logits, axis=1, output_type=tf.int32) == targets) & (weights > 0)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(tf.cast(right, tf.int32))

    def _gradients(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, keys: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        set_keys(self.network, keys)
        if self._vary:
            inputs = self._vary(inputs, keys)
        with tf.GradientTape() as tape:
            loss_sum, correct = self._forward(inputs, targets, weights, training=True)
        return loss_sum, correct, tape.gradient(loss_sum, self._weights)

    def _gradients_of_all(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        loss_sum, correct, gradients = self._on_all(self._gradients, *batch)
        return loss_sum, correct, gradients

    def _learn(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, keys: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A step on a batch of `size` samples beside those that make it even."""

        def step(*share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss_sum, correct, gradients = self._gradients(*share)
            self._optimizer.apply([gradient / size for gradient in gradients])  # the sum of those of all devices
            return loss_sum, correct

        loss_sum, correct = self._on_all(step, inputs, targets, weights, keys)
        return loss_sum, correct

    def _measure(self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def forward(*batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._forward(*batch, training=False)

        loss_sum, correct = self._on_all(forward, inputs, targets, weights)
        return loss_sum, correct


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, not built yet; weight decay leaves biases and normalisations alone."""
    decay: dict[str, Any] = {"weight_decay": recipe.weight_decay or None}
    optimizer: keras.optimizers.Optimizer
    match recipe.optimizer:
        case "adam":
            optimizer = keras.optimizers.Adam(recipe.learning_rate, **decay)
        case "adamw":
            optimizer = keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
        case "sgd":
            optimizer = keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, **decay)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(recipe.learning_rate, momentum=recipe.momentum, **decay)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def read_state(folder: Path) -> dict[str, Any]:
    """The state that `Learner.save` wrote; raises ValueError where there is none or it is damaged."""
    with _open(folder) as file:
        state: dict[str, Any] = json.loads(str(file["state"]))
        return state


@contextmanager
def _open(folder: Path) -> Iterator[Any]:
    """The arrays of a checkpoint; whatever is wrong with the file is a ValueError."""
    try:
        with np.load(folder / _STATE_FILE, allow_pickle=False) as file:
            yield file
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is damaged: {error}") from error


def _arrays(file: Any, kind: str, variables: Sequence[Any]) -> list[Array]:
    arrays = [file[f"{kind}_{index}"] for index in range(len(variables))]
    for array, variable in zip(arrays, variables, strict=True):
        if array.shape != tuple(variable.shape):
            raise ValueError(f"{variable.path} has shape {tuple(variable.shape)}, the checkpoint {array.shape}")
    return arrays


def _graph(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Any:
    # jit_compile: XLA takes twice the time on a CPU. autograph: there is no control flow to rewrite.
    return tf.function(function, input_signature=signature, autograph=False, jit_compile=False)
