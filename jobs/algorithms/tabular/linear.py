"""Linear models by scikit-learn: the part of the model that is exact, and the baselines beside it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from jobs.algorithms.tabular.scores import Truth

# More rows hardly move a linear model and would take minutes.
MOST_ROWS = 100_000
# Numbers (rows x features x outputs) up to which the strength of the penalty is chosen by cross-validation.
_CHOOSING_SIZE = 2_000_000
_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
_PENALTIES = tuple(10.0**power for power in range(-2, 5))
_NO_PENALTY = 0.0
_ITERATIONS, _ITERATIONS_OF_MANY = 1000, 200
_NEVER_SEEN = -20.0  # the logit of a class that no row was of

Matrix = Any  # NDArray or a sparse matrix (row, feature)


@dataclass(frozen=True)
class Linear:
    """Logits, or a number, as `dense @ weights + sum of word_weights[id] * its weight + bias`, all float32.

    weights (dense feature, output), word_weights (id, output), bias (output,).
    """

    weights: NDArray[np.float32]
    word_weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Baseline:
    """Something simple that was fitted on the same rows; it answers probabilities (row, output) or numbers (row,)."""

    name: str
    model: Any

    def answers(self, matrix: Matrix, *, outputs: int) -> NDArray[np.float64]:
        if not hasattr(self.model, "predict_proba"):
            numbers: NDArray[np.float64] = np.asarray(self.model.predict(matrix)).reshape(-1)
            return numbers
        probabilities = np.zeros((matrix.shape[0], outputs))
        probabilities[:, self.model.classes_] = self.model.predict_proba(matrix)
        return probabilities


@dataclass(frozen=True)
class Fitted:
    """A linear model, the baselines, and what models that had not seen a row's fold answered for the row (or None)."""

    linear: Linear
    baselines: tuple[Baseline, ...]
    unseen: NDArray[Any] | None


@dataclass(frozen=True)
class HeldOut:
    """Rows that are not learned from, by which choices are made."""

    matrix: Matrix
    truth: Truth


def matrix_of(
    dense: NDArray[np.float32], ids: NDArray[np.int32], id_weights: NDArray[np.float32], *, words: int
) -> Matrix:
    """All features side by side as a linear model reads them: the dense ones, then one for each id."""
    if not ids.shape[1]:
        return dense.astype(np.float64)
    rows = np.repeat(np.arange(len(ids)), ids.shape[1])
    bags = sparse.coo_matrix(
        (id_weights.reshape(-1).astype(np.float64), (rows, ids.reshape(-1))), shape=(len(ids), words)
    )
    return sparse.hstack([sparse.csr_matrix(dense.astype(np.float64)), bags.tocsr()], format="csr")


def fitted_rows(rows: int, *, seed: int) -> NDArray[np.int64]:
    """Which of the training rows a linear model is fitted on."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng((seed, 3)).choice(rows, MOST_ROWS, replace=False))


def fit_classifier(
    matrix: Matrix, truth: Truth, *, classes: int, width: int, balanced: bool, judge: HeldOut | NDArray[np.int32]
) -> Fitted:
    """Multinomial logistic regression, with the class that is most frequent and scikit-learn's defaults beside it.

    Args:
        judge: rows to choose by how strongly the weights are held back, or the fold of each row, int32: then every
            fold is answered by a model of the others.
    """
    targets = truth.targets
    size = matrix.shape[0] * matrix.shape[1] * classes
    options = {
        "max_iter": _ITERATIONS if size <= 10 * _CHOOSING_SIZE else _ITERATIONS_OF_MANY,
        "class_weight": "balanced" if balanced else None,
    }

    def make(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, **options)

    strengths = _STRENGTHS if size <= _CHOOSING_SIZE else (1.0,)
    with warnings.catch_warnings():
        # Not converged to the last digit is near enough, and told to nobody who could do something about it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        strength, unseen = _choose(matrix, truth, judge, strengths, make, outputs=classes)
        plain = make(1.0).fit(matrix, targets)
        model = plain if strength == 1 else make(strength).fit(matrix, targets)
    seen = model.classes_
    coefficients, intercept = model.coef_, model.intercept_
    if len(seen) == 2:  # scikit-learn has one logit for two classes.
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights = np.zeros((matrix.shape[1], classes))
    bias = np.full(classes, _NEVER_SEEN)
    weights[:, seen], bias[seen] = coefficients.T, intercept
    most_frequent = DummyClassifier(strategy="prior").fit(matrix, targets)
    baselines = (Baseline("majority", most_frequent), Baseline("logistic_regression", plain))
    return Fitted(_linear(weights, bias, width), baselines, unseen)


def fit_regressor(matrix: Matrix, truth: Truth, *, width: int, judge: HeldOut | NDArray[np.int32]) -> Fitted:
    """Ridge regression, with the mean and scikit-learn's linear regression beside it; `judge` as above."""
    targets = truth.targets.astype(np.float64)
    # Least squares want more rows than features, and columns that are not each other's sums.
    is_plain = not sparse.issparse(matrix) and matrix.shape[0] > 2 * matrix.shape[1]

    def make(penalty: float) -> Any:
        return LinearRegression() if penalty == _NO_PENALTY else Ridge(alpha=penalty)

    usual = _NO_PENALTY if is_plain else 1.0
    penalties = (usual, *_PENALTIES) if matrix.shape[0] * matrix.shape[1] <= _CHOOSING_SIZE else (usual,)
    penalty, unseen = _choose(matrix, truth, judge, penalties, make, outputs=1, usual=usual)
    plain = make(usual).fit(matrix, targets)
    model = plain if penalty == usual else make(penalty).fit(matrix, targets)
    baselines = (
        Baseline("mean", DummyRegressor().fit(matrix, targets)),
        Baseline("linear_regression" if is_plain else "ridge_regression", plain),
    )
    return Fitted(_linear(model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_), width), baselines, unseen)


def _choose(
    matrix: Matrix,
    truth: Truth,
    judge: HeldOut | NDArray[np.int32],
    values: Sequence[float],
    make: Callable[[float], Any],
    *,
    outputs: int,
    usual: float = 1.0,
) -> tuple[float, NDArray[Any] | None]:
    """The value whose models answer rows best that they have not seen, and its answers where these rows lie in folds.

    The usual value stays unless another one is better beyond doubt.
    """
    if isinstance(judge, HeldOut):
        if len(values) == 1:
            return usual, None
        told = {value: Baseline("", make(value).fit(matrix, truth.targets)) for value in values}
        answers = {value: model.answers(judge.matrix, outputs=outputs) for value, model in told.items()}
        return _best(answers, judge.truth, usual), None
    answers = {value: _unseen(matrix, truth, judge, partial(make, value), outputs=outputs) for value in values}
    best = _best(answers, truth, usual)
    return best, answers[best]


def _best(answers: Mapping[float, NDArray[Any]], truth: Truth, usual: float) -> float:
    best = min(answers, key=lambda value: truth.loss(answers[value]))
    return best if truth.is_better(answers[best], than=answers[usual]) else usual


def _unseen(
    matrix: Matrix, truth: Truth, folds: NDArray[np.int32], make: Callable[[], Any], *, outputs: int
) -> NDArray[Any]:
    """Answers for all rows, those of each fold by a model of the other folds."""
    targets = truth.targets
    answered = np.zeros((len(targets), outputs))
    for number in np.unique(folds):
        aside = folds == number
        has_classes = not truth.is_classification or len(np.unique(targets[~aside])) > 1
        model = make() if has_classes else DummyClassifier(strategy="prior")
        baseline = Baseline("", model.fit(matrix[~aside], targets[~aside]))
        answered[aside] = baseline.answers(matrix[aside], outputs=outputs).reshape(-1, outputs)
    return answered if truth.is_classification else answered[:, 0]


def _linear(weights: NDArray[np.float64], bias: NDArray[np.float64], width: int) -> Linear:
    return Linear(*(part.astype(np.float32) for part in (weights[:width], weights[width:], bias)))
