"""Epochs over the rows of a table, from a checkpoint if there is one, to the last one or to where it stops."""

import math
import resource
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.data import epoch_order
from jobs.algorithms.progress import TrainingMonitor, recover_checkpoint, tell
from jobs.algorithms.tabular.learner import Learner
from jobs.algorithms.tabular.scores import Truth, best_share, blended

# After each epoch the training loss is measured on so many of the training rows.
MEASURED_ROWS = 10_000
_STAGE = "training"
_SECONDS_BETWEEN_STOPS = 0.3


@dataclass(frozen=True)
class Recipe:
    """How the loop learns. `patience` None: it does not stop early."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None = None
    keeps_best: bool = False


@dataclass(frozen=True)
class Parts:
    """Which rows are for what, and what the linear part answers.

    Attributes:
        train, held_out: indexes of the rows that are learned from and that are measured on.
        linear: answers for all rows.
        judged: indexes of the rows that the best epoch and the blend are chosen by. linear_judged: answers for them.
        is_unseen: they are training rows, of each of which the answers are asked that were made without it.
    """

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    linear: NDArray[Any]
    judged: NDArray[np.int64]
    linear_judged: NDArray[Any]
    is_unseen: bool


@dataclass
class Best:
    """The best epoch: its share of the networks, its loss on the rows that judge it, its metrics."""

    epoch: int
    share: float
    loss: float
    metrics: dict[str, float]


@dataclass
class _Position:
    """Where the loop is: whole epochs done, steps of the next one, its seconds; the last epoch's share and metrics."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    share: float = 0.0
    loss: float = math.inf
    metrics: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    waited: int = 0

    @classmethod
    def of(cls, state: dict[str, Any]) -> "_Position":
        best = state["best"]
        return cls(**{**state, "best": Best(**best) if best else None})


@dataclass(frozen=True)
class Outcome:
    """What the model is: the share of the networks in it, the epoch of their weights, its metrics; epochs in all."""

    share: float
    epoch: int
    epochs: int
    metrics: dict[str, float]


class Loop:
    """Trains the networks. A checkpoint of another `identity` is refused."""

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        learner: Learner,
        truth: Truth,
        parts: Parts,
        *,
        identity: dict[str, Any],
        seed: int,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._learner = learner
        self._truth = truth
        self._parts = parts
        self._identity = identity
        self._seed = seed
        self._at = _Position()
        self._best_weights: list[NDArray[np.float32]] = []
        self._steps = math.ceil(len(parts.train) / recipe.batch_size)
        self._steps_at_once = 16
        self._measured = parts.train
        if len(parts.train) > MEASURED_ROWS:
            drawn = np.random.default_rng((seed, 5)).choice(parts.train, MEASURED_ROWS, replace=False)
            self._measured = np.sort(drawn)
        self._monitor = TrainingMonitor(run, save=self._save)

    def run_to_end(self) -> Outcome:
        """Train; the learner then has the weights that the outcome tells of."""
        for folder in self._run.path.glob("checkpoint.new-*"):
            shutil.rmtree(folder)
        self._resume()
        text = f"Training on {len(self._parts.train)} rows"
        if len(self._parts.held_out):
            text += f", measuring on {len(self._parts.held_out)}"
        if self._at.epoch or self._at.step:
            text += f", going on after epoch {self._at.epoch}"
        tell(self._run, text)
        self._run.publish("plan", epochs=self._recipe.epochs)
        began_with = self._at.epoch
        while not self._is_over():
            self._one_epoch()
        if self._at.epoch > began_with:
            self._monitor.checkpoint()  # An export that is cut off does not cost the training.
        at, best = self._at, self._at.best
        if self._recipe.keeps_best and best is not None:
            self._learner.set_weights(self._best_weights)
            if best.epoch != at.epoch:
                tell(self._run, f"The weights of epoch {best.epoch} are kept, the best one")
            return Outcome(best.share, best.epoch, at.epoch, best.metrics)
        return Outcome(at.share, at.epoch, at.epoch, at.metrics)

    def _is_over(self) -> bool:
        if self._at.epoch >= self._recipe.epochs:
            return True
        return self._recipe.patience is not None and self._at.waited >= self._recipe.patience

    def _one_epoch(self) -> None:
        at, size = self._at, self._recipe.batch_size
        order = epoch_order(self._parts.train, seed=self._seed, epoch=at.epoch + 1).astype(np.int32)
        while at.step < self._steps:
            started = time.monotonic()
            rows = order[at.step * size : (at.step + self._steps_at_once) * size]
            loss = self._learner.learn(rows, batch_size=size, first_step=at.epoch * self._steps + at.step)
            self._check_loss(loss)
            taken_s = time.monotonic() - started
            at.step += math.ceil(len(rows) / size)
            at.seconds += taken_s
            if taken_s < _SECONDS_BETWEEN_STOPS / 2:
                self._steps_at_once *= 2
            elif taken_s > _SECONDS_BETWEEN_STOPS * 2:
                self._steps_at_once = max(self._steps_at_once // 2, 1)
            if at.step < self._steps:
                self._monitor.step(self._fraction())
        self._end_epoch()

    def _end_epoch(self) -> None:
        at = self._at
        started = time.monotonic()
        speed = len(self._parts.train) / max(at.seconds, 1e-9)
        at.metrics = self._measure()
        at.epoch += 1
        at.step = 0
        self._compare()
        running = {
            "learning_rate": self._recipe.learning_rate,
            "rows_per_second": round(speed, 1),
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        self._monitor.epoch(
            at.epoch,
            stage=_STAGE,
            step=at.epoch * self._steps,
            metrics=at.metrics | running,
            seconds=at.seconds + time.monotonic() - started,
        )
        at.seconds = 0.0
        self._monitor.step(self._fraction())

    def _measure(self) -> dict[str, float]:
        """The scores of the best blend as of now; how it is judged is left in the position."""
        at, parts = self._at, self._parts
        network = (self._learner.answer_unseen if parts.is_unseen else self._learner.answer)(parts.judged)
        truth = self._truth.of(parts.judged)
        at.share = best_share(parts.linear_judged, network, truth)
        at.loss = truth.loss(blended(parts.linear_judged, network, at.share))
        scores = self._scores(self._measured)
        if len(parts.held_out):
            scores |= {f"val_{name}": value for name, value in self._scores(parts.held_out).items()}
        return scores

    def _scores(self, rows: NDArray[np.int64]) -> dict[str, float]:
        answered = blended(self._parts.linear[rows], self._learner.answer(rows), self._at.share)
        return self._truth.of(rows).scores(answered)

    def _compare(self) -> None:
        at = self._at
        self._check_loss(at.loss)
        if at.best is not None and at.loss >= at.best.loss:
            at.waited += 1
            return
        at.best, at.waited = Best(at.epoch, at.share, at.loss, dict(at.metrics)), 0
        if self._recipe.keeps_best:
            self._best_weights = self._learner.weights()

    def _fraction(self) -> float:
        if self._is_over():
            return 1.0
        return (self._at.epoch + self._at.step / self._steps) / self._recipe.epochs

    def _check_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        raise RunError(
            _(
                "The loss became infinite or NaN at epoch %(epoch)d; lower learning_rate (%(rate)g was given).",
                epoch=self._at.epoch + 1,
                rate=self._recipe.learning_rate,
            ),
            reason="diverged",
        )

    # -- checkpoints --------------------------------------------------------------------------

    def _save(self, folder: Path) -> None:
        state = {**self._identity, "position": asdict(self._at)}
        self._learner.save(folder, state, best=self._best_weights)

    def _resume(self) -> None:
        recover_checkpoint(self._run)
        if not self._run.checkpoint.is_dir():
            return
        try:
            state, self._best_weights = self._learner.restore(self._run.checkpoint, expected=self._identity)
        except ValueError as error:
            tell(self._run, f"The checkpoint cannot be used ({error}); the training starts from the beginning.")
            return
        self._at = _Position.of(state["position"])
