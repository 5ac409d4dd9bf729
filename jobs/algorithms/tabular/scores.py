"""How good answers are, and the blend of two answers that is best."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_PROBABILITY = 1e-7
_SHARES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Truth:
    """What some rows are to be told as.

    Attributes:
        targets: int32 classes, or float32 numbers that are standardised: `deviation` is what 1 of them stands for.
        weights: float32, how much each row counts in the loss.
    """

    targets: NDArray[Any]
    weights: NDArray[np.float32]
    deviation: float = 1.0

    @property
    def is_classification(self) -> bool:
        return self.targets.dtype == np.int32

    def of(self, rows: NDArray[np.int64]) -> "Truth":
        return Truth(self.targets[rows], self.weights[rows], self.deviation)

    def losses(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Of each row: cross-entropy of probabilities (row, class), or square of the error of numbers (row,)."""
        if self.is_classification:
            of_target = answers[np.arange(len(answers)), self.targets]
            losses: NDArray[Any] = -np.log(np.maximum(of_target, _LEAST_PROBABILITY))
        else:
            losses = np.square(answers - self.targets)
        weighted: NDArray[Any] = losses * self.weights
        return weighted

    def loss(self, answers: NDArray[Any]) -> float:
        return float(self.losses(answers).sum(dtype=np.float64) / self.weights.sum(dtype=np.float64))

    def is_better(self, answers: NDArray[Any], than: NDArray[Any]) -> bool:
        """Whether answers have less loss beyond doubt (a standard error), and are right no less often."""
        gains = self.losses(than) - self.losses(answers)
        is_sure = gains.mean() > gains.std() / math.sqrt(len(gains))
        return bool(is_sure) and self.quality(answers) >= self.quality(than)

    def scores(self, answers: NDArray[Any]) -> dict[str, float]:
        """Loss and accuracy; or loss (of standardised numbers), R2 and mean absolute error."""
        scores = {"loss": self.loss(answers)}
        if self.is_classification:
            return scores | {"accuracy": float(np.mean(answers.argmax(axis=1) == self.targets))}
        errors = answers.astype(np.float64) - self.targets
        spread = np.square(self.targets - self.targets.mean(dtype=np.float64)).sum()
        r2 = 1 - np.square(errors).sum() / spread if spread > 0 else 0.0
        return scores | {"r2": float(r2), "mae": float(np.abs(errors).mean() * self.deviation)}

    def quality(self, answers: NDArray[Any]) -> float:
        """The figure that people look at, greater is better: accuracy or R2."""
        return self.scores(answers)["accuracy" if self.is_classification else "r2"]


def blended(linear: NDArray[Any], network: NDArray[Any], share: float) -> NDArray[Any]:
    """The answers of both, `share` of them the network's."""
    answers: NDArray[Any] = (1 - share) * linear + share * network
    return answers


def best_share(linear: NDArray[Any], network: NDArray[Any], truth: Truth) -> float:
    """The share of the network in the blend with the least loss, 0 where that is not better than the linear part."""
    answers = {float(share): blended(linear, network, share) for share in _SHARES}
    best = min(answers, key=lambda share: truth.loss(answers[share]))
    return best if truth.is_better(answers[best], than=linear) else 0.0
