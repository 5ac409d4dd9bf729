"""Linear models by scikit-learn: the part of the model that is exact, and the baselines beside it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, LogisticRegressionCV, Ridge, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold

# More rows hardly move a linear model and would take minutes.
_MOST_ROWS = 100_000
# Numbers (rows x features x outputs) up to which the strength of the penalty is chosen by cross-validation.
_CHOOSING_SIZE = 2_000_000
_STRENGTHS = (0.01, 0.1, 1.0, 10.0)
_PENALTIES = tuple(10.0**power for power in range(-2, 5))
_FOLDS = 5
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
    if rows <= _MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng((seed, 3)).choice(rows, _MOST_ROWS, replace=False))


def fit_classifier(
    matrix: Matrix, targets: NDArray[np.int32], *, classes: int, width: int, balanced: bool, seed: int
) -> tuple[Linear, list[Baseline]]:
    """Multinomial logistic regression and its baselines: the most frequent class, scikit-learn with its defaults."""
    weight = "balanced" if balanced else None
    size = matrix.shape[0] * matrix.shape[1] * classes
    iterations = _ITERATIONS if size <= 10 * _CHOOSING_SIZE else _ITERATIONS_OF_MANY
    with warnings.catch_warnings():
        # Not converged to the last digit is near enough, and told to nobody who could do something about it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        plain = LogisticRegression(max_iter=iterations, class_weight=weight).fit(matrix, targets)
        model = plain
        fewest = int(np.unique(targets, return_counts=True)[1].min())
        if size <= _CHOOSING_SIZE and fewest >= 2:
            folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
            model = LogisticRegressionCV(
                Cs=_STRENGTHS, cv=folds, scoring="neg_log_loss", max_iter=iterations, class_weight=weight
            ).fit(matrix, targets)
    seen = model.classes_
    coefficients, intercept = model.coef_, model.intercept_
    if len(seen) == 2:  # scikit-learn has one logit for two classes.
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weights = np.zeros((matrix.shape[1], classes))
    bias = np.full(classes, _NEVER_SEEN)
    weights[:, seen], bias[seen] = coefficients.T, intercept
    most_frequent = DummyClassifier(strategy="prior").fit(matrix, targets)
    baselines = [Baseline("majority", most_frequent), Baseline("logistic_regression", plain)]
    return _linear(weights, bias, width), baselines


def fit_regressor(
    matrix: Matrix, targets: NDArray[np.float64], *, width: int, seed: int
) -> tuple[Linear, list[Baseline]]:
    """Ridge regression and its baselines: the mean, scikit-learn's linear regression."""
    is_small = matrix.shape[0] * matrix.shape[1] <= _CHOOSING_SIZE
    # Least squares want more rows than features, and columns that are not each other's sums.
    is_plain = not sparse.issparse(matrix) and matrix.shape[0] > 2 * matrix.shape[1]
    plain = (LinearRegression() if is_plain else Ridge()).fit(matrix, targets)
    model = plain
    if is_small:
        folds = KFold(min(_FOLDS, len(targets)), shuffle=True, random_state=seed)
        model = RidgeCV(alphas=_PENALTIES, cv=folds).fit(matrix, targets)
    elif is_plain:
        model = Ridge().fit(matrix, targets)
    baselines = [
        Baseline("mean", DummyRegressor().fit(matrix, targets)),
        Baseline("linear_regression" if is_plain else "ridge_regression", plain),
    ]
    return _linear(model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_), width), baselines


def _linear(weights: NDArray[np.float64], bias: NDArray[np.float64], width: int) -> Linear:
    return Linear(*(part.astype(np.float32) for part in (weights[:width], weights[width:], bias)))
