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
_MEASURED_ROWS = 10_000
_SECONDS_BETWEEN_STOPS = 0.3
_EVEN_SHARE = 0.5  # of the networks in the blend, where nothing is held out to choose it by


@dataclass(frozen=True)
class Recipe:
    """How the loop learns. `share` of the networks in the blend, None: the best one on what is held out."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None = None
    keeps_best: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Parts:
    """Indexes of the rows that are learned from and measured on, and what the linear part answers for all rows."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    linear: NDArray[Any]


@dataclass
class Best:
    """The best epoch: its share of the networks, its loss on what is held out, its metrics."""

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
    share: float = _EVEN_SHARE
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
    """Trains the networks of one stage. A checkpoint of another `identity` is refused.

    Args:
        before: epochs of earlier stages: the events number on. `progress`: where the stage begins and ends, 0..1.
        found: what earlier stages found, kept in the checkpoint (JSON).
    """

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        learner: Learner,
        truth: Truth,
        parts: Parts,
        *,
        stage: str,
        identity: dict[str, Any],
        seed: int,
        before: int = 0,
        progress: tuple[float, float] = (0.0, 1.0),
        found: dict[str, Any] | None = None,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._learner = learner
        self._truth = truth
        self._parts = parts
        self._stage = stage
        self._identity = {**identity, "stage": stage}
        self._seed = seed
        self._before = before
        self._progress = progress
        self._found = found or {}
        self._at = _Position()
        self._best_weights: list[NDArray[np.float32]] = []
        self._steps = math.ceil(len(parts.train) / recipe.batch_size)
        self._steps_at_once = 16
        self._measured = parts.train
        if len(parts.train) > _MEASURED_ROWS:
            drawn = np.random.default_rng((seed, 5)).choice(parts.train, _MEASURED_ROWS, replace=False)
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
        began_with = self._at.epoch
        while not self._is_over():
            self._one_epoch()
        if self._at.epoch > began_with:
            self._monitor.checkpoint()  # An export that is cut off does not cost the training.
        at, best = self._at, self._at.best
        if self._recipe.keeps_best and best is not None:
            self._learner.set_weights(self._best_weights)
            if best.epoch != at.epoch:
                tell(self._run, f"The weights of epoch {self._before + best.epoch} are kept, the best one")
            return Outcome(best.share, best.epoch, at.epoch, best.metrics)
        return Outcome(at.share, at.epoch, at.epoch, at.metrics)

    def _is_over(self) -> bool:
        if self._at.epoch >= self._recipe.epochs:
            return True
        return self._recipe.patience is not None and self._at.waited >= self._recipe.patience

    def _one_epoch(self) -> None:
        at, size = self._at, self._recipe.batch_size
        order = epoch_order(self._parts.train, seed=self._seed, epoch=self._before + at.epoch + 1).astype(np.int32)
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
            self._before + at.epoch,
            stage=self._stage,
            step=at.epoch * self._steps,
            metrics=at.metrics | running,
            seconds=at.seconds + time.monotonic() - started,
        )
        at.seconds = 0.0
        self._monitor.step(self._fraction())

    def _measure(self) -> dict[str, float]:
        """The scores of the blend as it is now; its share is chosen on what is held out."""
        held_out = self._parts.held_out
        if len(held_out):
            truth, linear = self._truth.of(held_out), self._parts.linear[held_out]
            network = self._learner.answer(held_out)
            self._at.share = best_share(linear, network, truth) if self._recipe.share is None else self._recipe.share
            measured = truth.scores(blended(linear, network, self._at.share))
        else:
            self._at.share = _EVEN_SHARE if self._recipe.share is None else self._recipe.share
            measured = {}
        network = self._learner.answer(self._measured)
        scores = self._truth.of(self._measured).scores(
            blended(self._parts.linear[self._measured], network, self._at.share)
        )
        return scores | {f"val_{name}": value for name, value in measured.items()}

    def _compare(self) -> None:
        at = self._at
        loss = at.metrics.get("val_loss", at.metrics["loss"])
        self._check_loss(loss)
        if at.best is not None and loss >= at.best.loss:
            at.waited += 1
            return
        at.best, at.waited = Best(at.epoch, at.share, loss, dict(at.metrics)), 0
        if self._recipe.keeps_best:
            self._best_weights = self._learner.weights()

    def _fraction(self) -> float:
        done = 1.0 if self._is_over() else (self._at.epoch + self._at.step / self._steps) / self._recipe.epochs
        begins, ends = self._progress
        return begins + (ends - begins) * done

    def _check_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        raise RunError(
            _(
                "The loss became infinite or NaN at epoch %(epoch)d; lower learning_rate (%(rate)g was given).",
                epoch=self._before + self._at.epoch + 1,
                rate=self._recipe.learning_rate,
            ),
            reason="diverged",
        )

    # -- checkpoints --------------------------------------------------------------------------

    def _save(self, folder: Path) -> None:
        state = {**self._identity, "position": asdict(self._at), "found": self._found}
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
