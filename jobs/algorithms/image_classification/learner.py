"""The network in training: one step, one measurement, its state on disk."""

import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.algorithms.image_classification.model import build_network

# A batch is worked on in pieces of this size, so that memory does not grow with batch_size.
_PIECE = 128
_STATE_FILE = "state.npz"


class Learner:
    """A network and its Adam optimizer. Images are uint8 (batch, size_px, size_px, 3), targets int32 (batch,)."""

    def __init__(
        self,
        *,
        size_px: int,
        filters: Sequence[int],
        classes: int,
        learning_rate: float,
        dtype_policy: str,
        seed: int,
    ) -> None:
        self.network = build_network(
            size_px=size_px, filters=filters, classes=classes, dtype_policy=dtype_policy, seed=seed
        )
        self._optimizer = keras.optimizers.Adam(learning_rate)
        self._optimizer.build(self.network.trainable_variables)
        self._weights = [variable.value for variable in self.network.trainable_variables]
        signature = [
            tf.TensorSpec((None, size_px, size_px, 3), tf.uint8),
            tf.TensorSpec((None,), tf.int32),
        ]
        # jit_compile: XLA takes twice the time on a CPU. autograph: there is no control flow to rewrite.
        options: dict[str, Any] = {"autograph": False, "jit_compile": False}
        self._step = tf.function(self._learn, input_signature=signature, **options)
        self._gradients_of_piece = tf.function(self._gradients, input_signature=signature, **options)
        self._measured = tf.function(self._measure, input_signature=signature, **options)

    def learn(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> tuple[float, int]:
        """Take one step; answers the sum of the losses and the number of right answers before it."""
        if len(targets) <= _PIECE:
            loss_sum, correct = self._step(images, targets)
            return float(loss_sum), int(correct)
        total: list[tf.Tensor] = []
        losses, right = 0.0, 0
        for start in range(0, len(targets), _PIECE):
            piece = slice(start, start + _PIECE)
            loss_sum, correct, gradients = self._gradients_of_piece(images[piece], targets[piece])
            total = [a + b for a, b in zip(total, gradients, strict=True)] if total else gradients
            losses += float(loss_sum)
            right += int(correct)
        if math.isfinite(losses):
            self._optimizer.apply([gradient / len(targets) for gradient in total])
        return losses, right

    def measure(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> tuple[float, int]:
        """The sum of the losses and the number of right answers."""
        loss_sum, correct = self._measured(images, targets)
        return float(loss_sum), int(correct)

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write weights, optimizer and `state` (JSON) into `folder`."""
        arrays = {f"weight_{index}": variable.numpy() for index, variable in enumerate(self.network.variables)}
        arrays |= {f"optimizer_{index}": variable.numpy() for index, variable in enumerate(self._optimizer.variables)}
        np.savez(folder / _STATE_FILE, state=np.array(json.dumps(state)), **arrays)

    def restore(self, folder: Path, *, expected: dict[str, Any]) -> dict[str, Any]:
        """Take over what `save` wrote and answer its state; on an error nothing has changed.

        Raises:
            ValueError: the file is absent or damaged, or its state differs from `expected`; says which.
        """
        try:
            with np.load(folder / _STATE_FILE, allow_pickle=False) as file:
                state: dict[str, Any] = json.loads(str(file["state"]))
                weights = self._arrays(file, "weight", self.network.variables)
                optimizer = self._arrays(file, "optimizer", self._optimizer.variables)
        except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"it is damaged: {error}") from error
        for name, value in expected.items():
            if state.get(name) != value:
                raise ValueError(f"it is of another training: {name} was {state.get(name)}, now {value}")
        variables = [*self.network.variables, *self._optimizer.variables]
        for variable, array in zip(variables, weights + optimizer, strict=True):
            variable.assign(array)
        return state

    @staticmethod
    def _arrays(file: Any, kind: str, variables: Sequence[Any]) -> list[NDArray[Any]]:
        arrays = [file[f"{kind}_{index}"] for index in range(len(variables))]
        for array, variable in zip(arrays, variables, strict=True):
            if array.shape != tuple(variable.shape):
                raise ValueError(f"{variable.path} has shape {tuple(variable.shape)}, the checkpoint {array.shape}")
        return arrays

    def _forward(self, images: tf.Tensor, targets: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.network(images, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        answers = tf.argmax(logits, axis=1, output_type=tf.int32)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(answers == targets, tf.int32))

    def _gradients(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss_sum, correct = self._forward(images, targets, training=True)
        return loss_sum, correct, tape.gradient(loss_sum, self._weights)

    def _learn(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss_sum, correct, gradients = self._gradients(images, targets)
        size = tf.cast(tf.shape(targets)[0], tf.float32)
        self._optimizer.apply([gradient / size for gradient in gradients])
        return loss_sum, correct

    def _measure(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._forward(images, targets, training=False)
