"""Trains the network of a run folder and exports it."""

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.data import LabelledPixels, epoch_order, load_pixels, read_manifest, split_stratified
from jobs.algorithms.image_classification.manifest import BLOCKS
from jobs.algorithms.progress import TrainingMonitor, tell
from jobs.algorithms.runtime import dtype_policy, hardware_and_versions, load_tensorflow, memory_errors, thread_count

_EVALUATION_BATCH = 128


@dataclass(frozen=True)
class Settings:
    """The hyperparameters, typed."""

    batch_size: int
    epochs: int
    learning_rate: float
    num_types: int
    filters: tuple[int, ...]
    validation_split: float

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any]) -> "Settings":
        return cls(
            batch_size=hyperparameters["batch_size"],
            epochs=hyperparameters["epochs"],
            learning_rate=hyperparameters["learning_rate"],
            num_types=hyperparameters["num_types"],
            filters=tuple(hyperparameters[f"filter_num{block}"] for block in range(1, BLOCKS + 1)),
            validation_split=hyperparameters["validation_split"],
        )


def train(run: RunFolder) -> None:
    """Do what the spec of the run folder says: events, checkpoints, `output/bundle`, `result.json`."""
    spec = run.spec
    settings = Settings.of(spec["hyperparameters"])
    labels = spec["labels"]
    if len(labels) > settings.num_types:
        raise RunError(
            _(
                "The labels name %(count)d classes, but num_types is %(num_types)d; set it to at least %(count)d.",
                count=len(labels),
                num_types=settings.num_types,
            ),
            reason="num_types_too_small",
        )
    threads = thread_count(spec["threads"])
    data = load_pixels(
        run,
        read_manifest(run.path / spec["images"], labels=len(labels)),
        cache=Path(spec["cache"]),
        size_px=spec["hyperparameters"]["image_size"],
        threads=threads,
    )
    run.check_stop()
    tell(run, "Loading TensorFlow")
    # Loaded only now: the decoders fork, which TensorFlow's threads do not survive.
    load_tensorflow(run.path / "tensorflow.log")
    from jobs.algorithms.image_classification.export import export_bundle
    from jobs.algorithms.image_classification.learner import Learner

    policy = dtype_policy(spec.get("precision", "auto"), gpus=spec["gpus"])
    with memory_errors():
        learner = Learner(
            size_px=spec["hyperparameters"]["image_size"],
            filters=settings.filters,
            classes=settings.num_types,
            learning_rate=settings.learning_rate,
            dtype_policy=policy,
            seed=spec["seed"],
        )
        metrics = _Loop(run, settings, data, learner, seed=spec["seed"]).run_to_end()
        tell(run, "Exporting the model")
        export_bundle(
            run.output / "bundle",
            learner.network,
            labels=labels,
            algorithm=spec["algorithm"],
            name=spec["name"],
            metrics=metrics,
            samples=data.pixels,
            threads=threads,
            report=lambda text: tell(run, text),
        )
    record = {
        **hardware_and_versions(),
        "threads": threads,
        "gpus": spec["gpus"],
        "precision": policy,
        "seed": spec["seed"],
        "epochs": settings.epochs,
        "images": len(data.targets),
        "pixels": data.key,
    }
    run.progress(1.0)
    run.finish(metrics=metrics, epochs=settings.epochs, record=record)


class _Loop:
    """Epochs over the data, from the checkpoint if there is one, to the last one wanted."""

    def __init__(self, run: RunFolder, settings: Settings, data: LabelledPixels, learner: Any, *, seed: int) -> None:
        self._run = run
        self._settings = settings
        self._data = data
        self._learner = learner
        self._seed = seed
        self._train, self._validation = split_stratified(data.targets, share=settings.validation_split, seed=seed)
        self._steps_per_epoch = math.ceil(len(self._train) / settings.batch_size)
        # Where the loop is: whole epochs done, steps done of the next one, and that one's sums so far.
        self._epoch = self._step = self._correct = 0
        self._loss_sum = self._seconds = 0.0
        self._metrics: dict[str, float] = {}
        self._monitor = TrainingMonitor(run, total_steps=settings.epochs * self._steps_per_epoch, save=self._save)

    def run_to_end(self) -> dict[str, float]:
        """Train; answers the metrics of the last epoch."""
        for folder in self._run.path.glob("checkpoint.new-*"):
            shutil.rmtree(folder)
        self._resume()
        text = f"Training on {len(self._train)} images"
        if len(self._validation):
            text += f", measuring on {len(self._validation)}"
        if self._epoch or self._step:
            text += f", going on after epoch {self._epoch}"
        tell(self._run, text)
        started_with = self._epoch
        while self._epoch < self._settings.epochs:
            self._one_epoch()
        if self._epoch > started_with:
            self._monitor.checkpoint()  # An export that is cut off does not cost the training.
        return self._metrics

    def _one_epoch(self) -> None:
        order = epoch_order(self._train, seed=self._seed, epoch=self._epoch + 1)
        size = self._settings.batch_size
        while self._step < self._steps_per_epoch:
            started = time.monotonic()
            batch = np.sort(order[self._step * size : (self._step + 1) * size])  # Rising rows read the file forwards.
            loss_sum, correct = self._learner.learn(self._data.pixels[batch], self._data.targets[batch])
            self._loss_sum += loss_sum
            self._correct += correct
            self._step += 1
            self._check_loss(loss_sum)
            self._seconds += time.monotonic() - started
            if self._step == self._steps_per_epoch:
                self._end_epoch()
                break
            self._monitor.step(self._epoch * self._steps_per_epoch + self._step)

    def _end_epoch(self) -> None:
        self._metrics = {
            "loss": self._loss_sum / len(self._train),
            "accuracy": self._correct / len(self._train),
        }
        started = time.monotonic()
        if len(self._validation):
            self._metrics |= self._measure(self._validation)
        self._epoch += 1
        self._monitor.epoch(
            self._epoch,
            step=self._epoch * self._steps_per_epoch,
            metrics=self._metrics,
            seconds=self._seconds + time.monotonic() - started,
        )
        self._step = self._correct = 0
        self._loss_sum = self._seconds = 0.0
        self._monitor.step(self._epoch * self._steps_per_epoch)

    def _measure(self, indexes: NDArray[np.int64]) -> dict[str, float]:
        loss_sum, correct = 0.0, 0
        for start in range(0, len(indexes), _EVALUATION_BATCH):
            batch = indexes[start : start + _EVALUATION_BATCH]
            batch_loss, batch_correct = self._learner.measure(self._data.pixels[batch], self._data.targets[batch])
            loss_sum += batch_loss
            correct += batch_correct
        return {"val_loss": loss_sum / len(indexes), "val_accuracy": correct / len(indexes)}

    def _check_loss(self, loss_sum: float) -> None:
        if math.isfinite(loss_sum):
            return
        values = {"epoch": self._epoch + 1, "rate": self._settings.learning_rate}
        if math.isnan(loss_sum):
            message = _("The loss became NaN at epoch %(epoch)d; lower learning_rate (%(rate)g was given).", **values)
        else:
            message = _(
                "The loss became infinite at epoch %(epoch)d; lower learning_rate (%(rate)g was given).", **values
            )
        raise RunError(message, reason="diverged")

    # -- checkpoints --------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be of this training; the number of epochs may have been raised."""
        settings = {**asdict(self._settings), "filters": list(self._settings.filters)}
        del settings["epochs"]
        return {"settings": settings, "seed": self._seed, "pixels": self._data.key}

    def _save(self, folder: Path) -> None:
        self._learner.save(
            folder,
            {
                **self._identity(),
                "epoch": self._epoch,
                "step": self._step,
                "loss_sum": self._loss_sum,
                "correct": self._correct,
                "seconds": self._seconds,
                "metrics": self._metrics,
            },
        )

    def _resume(self) -> None:
        if not self._run.checkpoint.is_dir():
            return
        try:
            state = self._learner.restore(self._run.checkpoint, expected=self._identity())
        except ValueError as error:
            text = f"The checkpoint cannot be used ({error}); the training starts from the beginning."
            tell(self._run, text)
            return
        self._epoch, self._step = state["epoch"], state["step"]
        self._loss_sum, self._correct = state["loss_sum"], state["correct"]
        self._seconds, self._metrics = state["seconds"], state["metrics"]
