"""Fits the parts of a model to a prepared table: the linear part and its baselines, then the networks.

What is chosen (how strongly the linear part is held back, the best epoch, how both are blended) is chosen by answers
for rows that were not learned from: those held out, by which the model is no worse than its linear baseline then.
Where none are held out, the training rows lie in folds, and each member of the network leaves one of them out.
"""

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.progress import tell
from jobs.algorithms.tabular import linear
from jobs.algorithms.tabular.encoder import Features
from jobs.algorithms.tabular.importance import permutation_importance
from jobs.algorithms.tabular.learner import Learner
from jobs.algorithms.tabular.loop import Loop, Outcome, Parts, Recipe
from jobs.algorithms.tabular.model import NumberScale, TableModel, linear_answers
from jobs.algorithms.tabular.network import Network
from jobs.algorithms.tabular.prepared import Prepared
from jobs.algorithms.tabular.scores import Truth
from jobs.algorithms.tabular.settings import Settings

# Training rows -> networks in the group: small tables gain most from an average, large ones cost most.
_MEMBERS = ((20_000, 8), (200_000, 4))
_FEWEST_MEMBERS = 2
_MEMBERS_PER_FOLD = 2
# At most so many rows that lie in folds are asked after each epoch.
MOST_JUDGED = 20_000


class Fitting:
    """Call `run_to_end` once; `baselines` are there after it, and `linear_s`, the seconds of the linear part.

    `members`: how many networks; None for as many as fit the number of rows.
    """

    def __init__(
        self,
        run: RunFolder,
        prepared: Prepared,
        settings: Settings,
        *,
        identity: dict[str, Any],
        seed: int,
        members: int | None = None,
    ) -> None:
        self._run = run
        self._prepared = prepared
        self._settings = settings
        self._identity = json.loads(json.dumps({**identity, "seed": seed}))  # as it is when it was stored
        self._seed = seed
        self._members = members or members_of(len(prepared.train))
        self.linear_s = 0.0
        self.baselines: list[dict[str, Any]] = []
        self._scale = _scale_of(prepared)
        self._truth = _truth_of(prepared, self._scale, is_balanced=settings.class_weight == "balanced")

    @property
    def _outputs(self) -> int:
        return max(len(self._prepared.target.classes), 1)

    def run_to_end(self) -> tuple[TableModel, Outcome]:
        """The trained model, and what the loop came to."""
        prepared, settings = self._prepared, self._settings
        encoder, train = prepared.encoder, prepared.train
        members = self._members
        folds = self._folds(members)
        started = time.monotonic()
        fitted, rows = self._fit_linear(folds)
        self.linear_s = time.monotonic() - started
        network = Network(
            members=members,
            width=encoder.width,
            words=encoder.words,
            bags=encoder.bags,
            outputs=self._outputs,
            hidden_layers=settings.hidden_layers,
            hidden_units=settings.hidden_units,
            seed=self._seed,
        )
        learner = Learner(
            network,
            encoder,
            prepared.features,
            self._truth.targets,
            self._truth.weights,
            folds,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            dropout_rate=settings.dropout_rate,
            seed=self._seed,
        )
        recipe = Recipe(
            epochs=settings.epochs,
            batch_size=settings.rows_per_step(len(train)),
            learning_rate=settings.learning_rate,
            patience=settings.patience if settings.early_stopping else None,
            keeps_best=settings.early_stopping,
        )
        parts = self._parts(fitted, rows)
        loop = Loop(self._run, recipe, learner, self._truth, parts, identity=self._identity, seed=self._seed)
        outcome = loop.run_to_end()
        return TableModel(encoder, fitted.linear, network, share=outcome.share, scale=self._scale), outcome

    def importance(self, model: TableModel) -> list[dict[str, Any]]:
        """Of the columns, on what is held out, or else on what was learned from."""
        rows = self._prepared.held_out if len(self._prepared.held_out) else self._prepared.train
        scale = self._scale

        def answer(features: Features) -> NDArray[Any]:
            answered: NDArray[Any] = model.predict(features)
            return answered if scale is None else (answered - scale.mean) / scale.deviation

        return permutation_importance(
            self._prepared.encoder,
            self._of(rows),
            self._truth.of(rows),
            answer,
            names=tuple(column.name for column in self._prepared.columns),
            seed=self._seed,
        )

    def _folds(self, members: int) -> NDArray[np.int32]:
        """The fold of each training row, each class dealt out evenly; -1 where rows are held out."""
        prepared = self._prepared
        folds = np.full(len(prepared.target.values), -1, np.int32)
        if len(prepared.held_out):
            return folds
        count = max(members // _MEMBERS_PER_FOLD, 2)
        shuffled = np.random.default_rng((self._seed, 7)).permutation(prepared.train)
        if prepared.target.is_classification:
            shuffled = shuffled[np.argsort(prepared.target.values[shuffled], kind="stable")]
        folds[shuffled] = np.arange(len(shuffled)) % count
        return folds

    def _fit_linear(self, folds: NDArray[np.int32]) -> tuple[linear.Fitted, NDArray[np.int64]]:
        """The linear part, and the rows that it was fitted on; its baselines are measured beside it."""
        tell(self._run, "Fitting the linear part")
        prepared, truth = self._prepared, self._truth
        width = prepared.encoder.width
        rows = prepared.train[linear.fitted_rows(len(prepared.train), seed=self._seed)]
        measured = prepared.held_out if len(prepared.held_out) else prepared.train
        measured = measured[linear.fitted_rows(len(measured), seed=self._seed)]
        asked = linear.HeldOut(self._matrix(measured), truth.of(measured))
        judge = asked if len(prepared.held_out) else folds[rows]
        matrix, of_rows = self._matrix(rows), truth.of(rows)
        if truth.is_classification:
            is_balanced = self._settings.class_weight == "balanced"
            fitted = linear.fit_classifier(
                matrix, of_rows, classes=self._outputs, width=width, balanced=is_balanced, judge=judge
            )
        else:
            fitted = linear.fit_regressor(matrix, of_rows, width=width, judge=judge)
        for baseline in fitted.baselines:
            scores = asked.truth.scores(baseline.answers(asked.matrix, outputs=self._outputs))
            self.baselines.append({"name": baseline.name, **scores})
            name, value = ("accuracy", scores["accuracy"]) if truth.is_classification else ("R2", scores["r2"])
            tell(self._run, f"Baseline {baseline.name}: {name} {value:.4f}")
        return fitted, rows

    def _parts(self, fitted: linear.Fitted, rows: NDArray[np.int64]) -> Parts:
        prepared = self._prepared
        answered = linear_answers(
            prepared.encoder, fitted.linear, prepared.features, is_classification=self._scale is None
        )
        judged, of_judged = prepared.held_out, answered[prepared.held_out]
        if fitted.unseen is not None:
            chosen = np.arange(len(rows))
            if len(rows) > MOST_JUDGED:
                chosen = np.sort(np.random.default_rng((self._seed, 8)).choice(len(rows), MOST_JUDGED, replace=False))
            judged, of_judged = rows[chosen], fitted.unseen[chosen]
        return Parts(prepared.train, prepared.held_out, answered, judged, of_judged, fitted.unseen is not None)

    def _matrix(self, rows: NDArray[np.int64]) -> Any:
        features = self._of(rows)
        encoder = self._prepared.encoder
        weights = np.asarray(encoder.weigh(features.ids), np.float32)
        return linear.matrix_of(features.dense, features.ids, weights, words=encoder.words)

    def _of(self, rows: NDArray[np.int64]) -> Features:
        features = self._prepared.features
        return Features(features.dense[rows], features.ids[rows])


def members_of(rows: int) -> int:
    """How many networks learn from so many rows."""
    return next((members for most, members in _MEMBERS if rows <= most), _FEWEST_MEMBERS)


def _scale_of(prepared: Prepared) -> NumberScale | None:
    if prepared.target.is_classification:
        return None
    values = prepared.target.values[prepared.train]
    return NumberScale(float(values.mean()), float(values.std()) or 1.0)


def _truth_of(prepared: Prepared, scale: NumberScale | None, *, is_balanced: bool) -> Truth:
    values = prepared.target.values
    if scale is not None:
        standardised = ((values - scale.mean) / scale.deviation).astype(np.float32)
        return Truth(standardised, np.ones(len(values), np.float32), scale.deviation)
    of_class = np.ones(len(prepared.target.classes))
    if is_balanced:
        counts = np.bincount(values[prepared.train], minlength=len(of_class))
        of_class = len(prepared.train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return Truth(values, of_class[values].astype(np.float32))
