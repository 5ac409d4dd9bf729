"""What a network of image classification gives to the training loop: stages, and what to export at their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.data import LabelledPixels
from jobs.algorithms.image_classification.augmentation import Vary
from jobs.algorithms.image_classification.settings import Recipe, Settings


@dataclass(frozen=True)
class Stage:
    """A part of a training: epochs of one network over one array.

    Attributes:
        name: told with each epoch.
        inputs: (sample, …), memory-mapped; sample i belongs to image i.
        network: a batch of inputs to logits float32 (batch, classes). Its trainable variables learn. Stages may share
            layers; what one has learned is where the next begins.
        recipe: how it learns.
        vary: what is done to a batch before it is learned from, given the samples' keys.
        varied: arrays like `inputs`, of varied images; epochs learn from one after the other instead of `inputs`.
        cost: time of one epoch, in any unit that all stages of the training have in common.
        rate_name: the hyperparameter that the learning rate comes from, for errors.
    """

    name: str
    inputs: NDArray[Any]
    network: keras.Model
    recipe: Recipe
    vary: Vary | None = None
    varied: Sequence[NDArray[Any]] = ()
    cost: float = 1.0
    rate_name: str = "learning_rate"

    def learned_from(self, epoch: int) -> NDArray[Any]:
        """What an epoch of this stage, counted from 0, learns from."""
        return self.varied[epoch % len(self.varied)] if self.varied else self.inputs


@dataclass(frozen=True)
class Task:
    """What a plan is made for. `cache` outlives the run; the pixels are as `settings` want them."""

    run: RunFolder
    settings: Settings
    data: LabelledPixels
    cache: Path
    dtype_policy: str
    threads: int
    seed: int


class Plan(Protocol):
    """The stages of a training and the network that they lead to; made by `make_plan` of the network's module.

    Attributes:
        begins_at: part of the progress bar that lies behind when the stages begin.
    """

    stages: Sequence[Stage]
    begins_at: float

    def served(self) -> keras.Model:
        """The trained network: uint8 images (batch, height, width, 3) to logits float32, all computed in float32."""
