"""What a model says of one sample."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle, Label
from jobs.bundles.engine import Answers, Probabilities
from jobs.bundles.errors import NotFiniteError

PROBABILITY_DIGITS = 6


@dataclass(frozen=True)
class Candidate:
    label: int | str
    class_name: str | None
    probability: float


@dataclass(frozen=True)
class Prediction:
    """A class. `top` is in falling order of probability and begins with the prediction itself."""

    top: tuple[Candidate, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self.top[0]), "top": [asdict(candidate) for candidate in self.top]}


@dataclass(frozen=True)
class ValuePrediction:
    """The number that a regression answers."""

    value: float

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value}


def ranked(probabilities: Probabilities, labels: Sequence[Label], *, top_k: int) -> Prediction:
    """The `top_k` classes of one sample, of probabilities (class,)."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return Prediction(
        top=tuple(
            Candidate(
                label=labels[index].label,
                class_name=labels[index].class_name,
                probability=round(float(probabilities[index]), PROBABILITY_DIGITS),
            )
            for index in order
        )
    )


def require_finite(answers: Answers, bundle: Bundle) -> None:
    """Raises NotFiniteError where the model answered something that is not a number."""
    if np.isfinite(answers).all():
        return
    if bundle.task == "regression":
        message = _(
            "The model “%(name)s” answered a value that is not a number. "
            "A number in the row may be far from those that it was trained on; or train again.",
            name=bundle.model.name,
        )
    else:
        message = _(
            "The model “%(name)s” answered probabilities that are not numbers. "
            "Its training has diverged: train again with a smaller learning rate.",
            name=bundle.model.name,
        )
    raise NotFiniteError(message)
