"""Fits the parts of a model to a prepared table: the linear part and its baselines, then the networks, in stages.

With rows held out there is one stage. Without, a first one keeps some aside all the same, to find how many epochs do
good and how to blend, and a second one learns from all rows as that was found.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.progress import recover_checkpoint, tell
from jobs.algorithms.tabular import linear
from jobs.algorithms.tabular.encoder import Features
from jobs.algorithms.tabular.importance import permutation_importance
from jobs.algorithms.tabular.learner import Learner, read_state
from jobs.algorithms.tabular.loop import Loop, Outcome, Parts, Recipe
from jobs.algorithms.tabular.model import NumberScale, TableModel, linear_answers
from jobs.algorithms.tabular.network import Network
from jobs.algorithms.tabular.prepared import Prepared, split
from jobs.algorithms.tabular.scores import Truth
from jobs.algorithms.tabular.settings import Settings

# Training rows -> networks in the group: small tables gain most from an average, large ones cost most.
_MEMBERS = ((20_000, 8), (200_000, 4))
_FEWEST_MEMBERS = 2
_SEARCHED_SHARE = 0.2


class Fitting:
    """Call `run_to_end` once; `baselines` are there after it."""

    def __init__(
        self, run: RunFolder, prepared: Prepared, settings: Settings, *, identity: dict[str, Any], seed: int
    ) -> None:
        self._run = run
        self._prepared = prepared
        self._settings = settings
        self._identity = json.loads(json.dumps({**identity, "seed": seed}))  # as it is when it was stored
        self._seed = seed
        self.baselines: list[dict[str, Any]] = []
        self._scale = _scale_of(prepared)
        self._truth = _truth_of(prepared, self._scale, is_balanced=settings.class_weight == "balanced")

    @property
    def _outputs(self) -> int:
        return max(len(self._prepared.target.classes), 1)

    def run_to_end(self) -> tuple[TableModel, Outcome]:
        """The trained model, and what the loop came to."""
        prepared, settings = self._prepared, self._settings
        if len(prepared.held_out):
            recipe = self._recipe(
                len(prepared.train),
                epochs=settings.epochs,
                patience=settings.patience if settings.early_stopping else None,
                keeps_best=settings.early_stopping,
            )
            return self._stage("train", recipe, prepared.train, prepared.held_out)
        found = self._found()
        if found is None:
            found = self._search()
        share, epoch, epochs = found["share"], found["epoch"], found["epochs"]
        recipe = self._recipe(len(prepared.train), epochs=epoch, share=share)
        nothing = prepared.held_out
        return self._stage("all_rows", recipe, prepared.train, nothing, before=epochs, progress=(0.5, 1.0), found=found)

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

    # -- stages -------------------------------------------------------------------------------

    def _found(self) -> dict[str, Any] | None:
        """What the first stage found, where a checkpoint of the second one tells it."""
        recover_checkpoint(self._run)
        try:
            state = read_state(self._run.checkpoint)
        except ValueError:
            return None
        is_ours = all(state.get(name) == value for name, value in self._identity.items())
        found: dict[str, Any] | None = state.get("found") if is_ours else None
        return found or None

    def _search(self) -> dict[str, Any]:
        target = self._prepared.target
        train, aside = split(target, share=_SEARCHED_SHARE, seed=self._seed)
        tell(self._run, f"Finding how many epochs do good, on {len(aside)} rows kept aside for the time being")
        settings = self._settings
        recipe = self._recipe(len(train), epochs=settings.epochs, patience=settings.patience, keeps_best=True)
        _model, outcome = self._stage("search", recipe, train, aside, progress=(0.0, 0.5))
        return {"share": outcome.share, "epoch": outcome.epoch, "epochs": outcome.epochs, "metrics": outcome.metrics}

    def _recipe(self, rows: int, **values: Any) -> Recipe:
        return Recipe(
            batch_size=self._settings.rows_per_step(rows), learning_rate=self._settings.learning_rate, **values
        )

    def _stage(
        self, stage: str, recipe: Recipe, train: NDArray[np.int64], held_out: NDArray[np.int64], **options: Any
    ) -> tuple[TableModel, Outcome]:
        prepared, settings = self._prepared, self._settings
        encoder = prepared.encoder
        fitted = self._fit_linear(train, measured=held_out if len(held_out) else train)
        network = Network(
            members=_members(len(train)),
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
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            dropout_rate=settings.dropout_rate,
            seed=self._seed,
        )
        answered = linear_answers(encoder, fitted, prepared.features, is_classification=self._scale is None)
        loop = Loop(
            self._run,
            recipe,
            learner,
            self._truth,
            Parts(train, held_out, answered),
            stage=stage,
            identity=self._identity,
            seed=self._seed,
            **options,
        )
        outcome = loop.run_to_end()
        return TableModel(encoder, fitted, network, share=outcome.share, scale=self._scale), outcome

    def _fit_linear(self, train: NDArray[np.int64], *, measured: NDArray[np.int64]) -> linear.Linear:
        """The linear part; its baselines are measured beside it."""
        tell(self._run, "Fitting the linear part")
        encoder, truth = self._prepared.encoder, self._truth
        rows = train[linear.fitted_rows(len(train), seed=self._seed)]
        matrix = self._matrix(rows)
        if truth.is_classification:
            fitted, baselines = linear.fit_classifier(
                matrix,
                truth.targets[rows],
                classes=self._outputs,
                width=encoder.width,
                balanced=self._settings.class_weight == "balanced",
                seed=self._seed,
            )
        else:
            fitted, baselines = linear.fit_regressor(
                matrix, truth.targets[rows].astype(np.float64), width=encoder.width, seed=self._seed
            )
        measured = measured[linear.fitted_rows(len(measured), seed=self._seed)]
        of_measured, matrix = truth.of(measured), self._matrix(measured)
        self.baselines = [
            {"name": baseline.name, **of_measured.scores(baseline.answers(matrix, outputs=self._outputs))}
            for baseline in baselines
        ]
        for baseline in self.baselines:
            name, value = ("accuracy", baseline["accuracy"]) if truth.is_classification else ("R2", baseline["r2"])
            tell(self._run, f"Baseline {baseline['name']}: {name} {value:.4f}")
        return fitted

    def _matrix(self, rows: NDArray[np.int64]) -> Any:
        features = self._of(rows)
        encoder = self._prepared.encoder
        weights = np.asarray(encoder.weigh(features.ids), np.float32)
        return linear.matrix_of(features.dense, features.ids, weights, words=encoder.words)

    def _of(self, rows: NDArray[np.int64]) -> Features:
        features = self._prepared.features
        return Features(features.dense[rows], features.ids[rows])


def _members(rows: int) -> int:
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
