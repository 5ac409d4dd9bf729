"""Epochs over the stages of a training, from a checkpoint if there is one, to the last one or to where it stops."""

import json
import math
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.data import epoch_order, release_pages
from jobs.algorithms.image_classification.augmentation import draw_keys
from jobs.algorithms.image_classification.learner import Learner, read_state
from jobs.algorithms.image_classification.stages import Stage
from jobs.algorithms.progress import TrainingMonitor, recover_checkpoint, tell

_EVALUATION_BATCH = 128
# Mapped rows that were read count as memory of the process until they are released.
_RELEASE_BYTES = 128 * 1024 * 1024

QUALITY = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Samples:
    """What is learned from: targets int32 (sample,), weights float32 (sample,), and the indexes of the two parts."""

    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


@dataclass
class _Best:
    """The best epoch of a stage so far; `values` compare as tuples, greater is better."""

    values: list[float]
    epoch: int
    metrics: dict[str, float]


@dataclass
class _Position:
    """Where the loop is: whole epochs done over all stages and of this one, steps of the next, and its sums so far."""

    stage: int = 0
    epoch: int = 0
    epoch_of_stage: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    best: _Best | None = None
    waited: int = 0  # epochs since the best one

    @classmethod
    def of(cls, state: dict[str, Any]) -> "_Position":
        best = state["best"]
        return cls(**{**state, "best": _Best(**best) if best else None})


@dataclass(frozen=True)
class Outcome:
    """What the loop came to: the metrics of the epoch that the weights are of, which one that is, and how many ran."""

    metrics: dict[str, float]
    epoch: int
    epochs: int


class Loop:
    """Trains the networks of the stages, one after the other. A checkpoint of another `identity` is refused."""

    def __init__(
        self,
        run: RunFolder,
        stages: Sequence[Stage],
        samples: Samples,
        *,
        identity: dict[str, Any],
        seed: int,
        strategy: Any = None,
        begins_at: float = 0.0,
    ) -> None:
        self._run = run
        self._stages = stages
        self._samples = samples
        identity = {**identity, "seed": seed, "stages": [stage.name for stage in stages]}
        self._identity = json.loads(json.dumps(identity))  # as it is when it was stored
        self._seed = seed
        self._strategy = strategy
        self._at = _Position()
        self._best_weights: list[NDArray[Any]] = []
        self._read_bytes = 0
        self._monitor = TrainingMonitor(run, save=self._save, begins_at=begins_at)
        self._enter(0)

    def run_to_end(self) -> Outcome:
        """Train to the end."""
        for folder in self._run.path.glob("checkpoint.new-*"):
            shutil.rmtree(folder)
        self._resume()
        text = f"Training on {len(self._samples.train)} images"
        if len(self._samples.held_out):
            text += f", measuring on {len(self._samples.held_out)}"
        if self._at.epoch or self._at.step:
            text += f", going on after epoch {self._at.epoch}"
        tell(self._run, text)
        self._tell_plan()
        outcome = self._rest_of_stage()
        while self._at.stage + 1 < len(self._stages):
            self._at = _Position(stage=self._at.stage + 1, epoch=self._at.epoch)
            self._enter(self._at.stage)
            self._tell_plan()  # anew: the stage before may have ended early
            outcome = self._rest_of_stage()
        return outcome

    def _tell_plan(self) -> None:
        """The epochs of all stages, and each stage's last one and cost, as far as is known now."""
        last, stages = self._at.epoch - self._at.epoch_of_stage, []
        for number, stage in enumerate(self._stages):
            last += stage.recipe.epochs if number >= self._at.stage else 0
            stages.append({"name": stage.name, "last_epoch": last, "cost": stage.cost})
        self._run.publish("plan", epochs=last, stages=stages)

    def _enter(self, number: int) -> None:
        self._stage = self._stages[number]
        self._recipe = self._stage.recipe
        self._learner = Learner(self._stage, strategy=self._strategy)
        self._steps = math.ceil(len(self._samples.train) / self._recipe.batch_size)
        self._best_weights = []

    def _rest_of_stage(self) -> Outcome:
        began_with = self._at.epoch
        while not self._is_over():
            self._one_epoch()
        if self._at.epoch > began_with:
            self._monitor.checkpoint()  # An export that is cut off does not cost the training.
        best = self._at.best
        if self._recipe.restore_best and best is not None:
            self._learner.set_weights(self._best_weights)
            if best.epoch != self._at.epoch:
                tell(self._run, f"The weights of epoch {best.epoch} are kept, the best one")
            return Outcome(_quality(best.metrics), best.epoch, self._at.epoch)
        return Outcome(_quality(self._at.metrics), self._at.epoch, self._at.epoch)

    def _is_over(self) -> bool:
        if self._at.epoch_of_stage >= self._recipe.epochs:
            return True
        return self._recipe.early_stopping and self._at.waited >= self._recipe.patience

    # -- an epoch -----------------------------------------------------------------------------

    def _one_epoch(self) -> None:
        at, size = self._at, self._recipe.batch_size
        order = epoch_order(self._samples.train, seed=self._seed, epoch=at.epoch + 1)
        while at.step < self._steps:
            started = time.monotonic()
            loss_sum, correct = self._one_step(np.sort(order[at.step * size : (at.step + 1) * size]))
            at.loss_sum += loss_sum
            at.correct += correct
            at.step += 1
            at.seconds += time.monotonic() - started
            if at.step < self._steps:
                self._monitor.step(self._fraction())
        self._end_epoch()

    def _one_step(self, batch: NDArray[np.int64]) -> tuple[float, int]:
        """Learn from the samples of these indexes, which rise, so that the file is read forwards."""
        loss_sum, correct = self._learner.learn(
            self._read(self._stage.learned_from(self._at.epoch_of_stage), batch),
            self._samples.targets[batch],
            self._samples.weights[batch],
            draw_keys(len(batch), seed=self._seed, epoch=self._at.epoch + 1, step=self._at.step),
            rate=self._rate(),
        )
        self._check_loss(loss_sum)
        return loss_sum, correct

    def _rate(self) -> float:
        return self._recipe.rate_at(self._at.epoch_of_stage + (self._at.step + 1) / self._steps)

    def _end_epoch(self) -> None:
        at, count = self._at, len(self._samples.train)
        started = time.monotonic()
        at.metrics = {"loss": at.loss_sum / count, "accuracy": at.correct / count}
        if len(self._samples.held_out):
            at.metrics |= self._measure(self._samples.held_out)
        at.step -= 1
        speed = {"learning_rate": self._rate(), "images_per_second": round(count / max(at.seconds, 1e-9), 2)}
        at.epoch += 1
        at.epoch_of_stage += 1
        at.step = 0
        self._compare()
        self._monitor.epoch(
            at.epoch,
            stage=self._stage.name,
            step=at.epoch * self._steps,
            metrics={**at.metrics, **speed, "memory_bytes": _peak_memory_bytes()},
            seconds=at.seconds + time.monotonic() - started,
        )
        at.correct = 0
        at.loss_sum = at.seconds = 0.0
        self._monitor.step(self._fraction())

    def _compare(self) -> None:
        """Remember the epoch when it is the best one of its stage."""
        at = self._at
        prefix = "val_" if len(self._samples.held_out) else ""
        loss, accuracy = at.metrics[f"{prefix}loss"], at.metrics[f"{prefix}accuracy"]
        values = [accuracy, -loss] if self._recipe.monitor == "accuracy" else [-loss]
        if at.best is not None and values <= at.best.values:
            at.waited += 1
            return
        at.best, at.waited = _Best(values, at.epoch, dict(at.metrics)), 0
        if self._recipe.restore_best:
            self._best_weights = self._learner.weights()

    def _measure(self, indexes: NDArray[np.int64]) -> dict[str, float]:
        loss_sum, correct = 0.0, 0
        for start in range(0, len(indexes), _EVALUATION_BATCH):
            batch = indexes[start : start + _EVALUATION_BATCH]
            weights = self._samples.weights[batch]
            batch_loss, batch_correct = self._learner.measure(
                self._read(self._stage.inputs, batch), self._samples.targets[batch], weights
            )
            loss_sum += batch_loss
            correct += batch_correct
            self._monitor.step(self._fraction())
        self._check_loss(loss_sum)
        weight = float(self._samples.weights[indexes].sum())
        return {"val_loss": loss_sum / weight, "val_accuracy": correct / len(indexes)}

    def _read(self, inputs: NDArray[Any], batch: NDArray[np.int64]) -> NDArray[Any]:
        rows: NDArray[Any] = inputs[batch]
        self._read_bytes += rows.nbytes
        if self._read_bytes >= _RELEASE_BYTES:
            release_pages(inputs)
            self._read_bytes = 0
        return rows

    def _fraction(self) -> float:
        """The part that is done of the time that all stages take, as their costs tell."""
        costs = [stage.cost * stage.recipe.epochs for stage in self._stages]
        done = self._at.epoch_of_stage + self._at.step / self._steps
        if self._is_over():
            done = self._recipe.epochs
        return (sum(costs[: self._at.stage]) + self._stage.cost * done) / sum(costs)

    def _check_loss(self, loss_sum: float) -> None:
        if math.isfinite(loss_sum):
            return
        name, rate = self._stage.rate_name, self._recipe.learning_rate
        values = {"epoch": self._at.epoch + 1, "name": name, "rate": rate}
        if math.isnan(loss_sum):
            message = _("The loss became NaN at epoch %(epoch)d; lower %(name)s (%(rate)g was given).", **values)
        else:
            message = _("The loss became infinite at epoch %(epoch)d; lower %(name)s (%(rate)g was given).", **values)
        raise RunError(message, reason="diverged")

    # -- checkpoints --------------------------------------------------------------------------

    def _save(self, folder: Path) -> None:
        state = {"identity": self._identity, "position": asdict(self._at)}
        self._learner.save(folder, state, best=self._best_weights)

    def _resume(self) -> None:
        recover_checkpoint(self._run)
        if not self._run.checkpoint.is_dir():
            return
        try:
            state = read_state(self._run.checkpoint)
            _compare_identity(state.get("identity", {}), self._identity)
            at = _Position.of(state["position"])
            if at.stage:
                self._enter(at.stage)
            self._best_weights = self._learner.restore(self._run.checkpoint)
        except ValueError as error:
            tell(self._run, f"The checkpoint cannot be used ({error}); the training starts from the beginning.")
            if self._stage is not self._stages[0]:
                self._enter(0)
            return
        self._at = at


def class_weights(targets: NDArray[np.int32], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (sample,): what each sample counts so that all classes that `train` has count the same; mean 1 there."""
    counts = np.bincount(targets[train], minlength=int(targets.max()) + 1)
    present = counts > 0
    of_class = np.ones(len(counts))
    of_class[present] = len(train) / (present.sum() * counts[present])
    return of_class[targets].astype(np.float32)


def _compare_identity(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise ValueError(f"it is of another training: {name} was {found.get(name)}, now {value}")


def _quality(metrics: dict[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in QUALITY if name in metrics}


def _peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
