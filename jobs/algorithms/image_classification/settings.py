"""The hyperparameters, typed, and what of them a stage of a training goes by."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.algorithms.image_classification.manifest import BLOCKS
from jobs.algorithms.image_classification.variants import ORIGINAL


@dataclass(frozen=True)
class Recipe:
    """How one stage learns.

    Attributes:
        learning_rate: that of the optimizer when warm-up is over.
        schedule: how it falls from there; `decay_rate` and `decay_epochs` belong to exponential and step.
        monitor: what of the held-out images, or of the training where there are none, tells which epoch is better.
    """

    batch_size: int
    epochs: int
    learning_rate: float
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Literal["constant", "cosine", "exponential", "step"] = "constant"
    warmup_epochs: float = 0.0
    decay_rate: float = 0.1
    decay_epochs: float = 30.0
    label_smoothing: float = 0.0
    early_stopping: bool = False
    patience: int = 10
    restore_best: bool = False
    monitor: Literal["loss", "accuracy"] = "loss"

    def rate_at(self, epochs_done: float) -> float:
        """The learning rate of the step that ends when so much of the stage is done, from above 0 to `epochs`."""
        if epochs_done < self.warmup_epochs:
            return self.learning_rate * epochs_done / self.warmup_epochs
        gone = epochs_done - self.warmup_epochs
        match self.schedule:
            case "cosine":
                rest = max(self.epochs - self.warmup_epochs, 1e-9)
                return self.learning_rate * (1 + math.cos(math.pi * min(gone / rest, 1))) / 2
            case "exponential":
                return self.learning_rate * math.pow(self.decay_rate, gone / self.decay_epochs)
            case "step":
                return self.learning_rate * math.pow(self.decay_rate, math.floor(gone / self.decay_epochs))
            case "constant":
                return self.learning_rate


@dataclass(frozen=True)
class Variations:
    """How images are varied while they are learned from: degrees, and parts of 1."""

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotation_degrees: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0

    @property
    def any(self) -> bool:
        return self != Variations()


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a training. `filters` belong to the original network, `fine_tune_*` to transfer."""

    network: Literal["original", "transfer"]
    recipe: Recipe
    num_types: int
    image_size_px: int
    validation_split: float
    balanced: bool
    dropout_rate: float
    variations: Variations
    precision: Literal["auto", "float32", "mixed_bfloat16"]
    seed: int | None
    filters: tuple[int, ...] = ()
    fine_tune_blocks: int = 0
    fine_tune_epochs: int = 0
    fine_tune_learning_rate: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """From hyperparameters as `validate_hyperparameters` answers them."""
        recipe = Recipe(
            schedule=values["learning_rate_schedule"],
            **{name: values[name] for name in Recipe.__dataclass_fields__ if name != "schedule"},
        )
        special: dict[str, Any] = {name: value for name, value in values.items() if name.startswith("fine_tune_")}
        if values["network"] == ORIGINAL:
            special["filters"] = tuple(values[f"filter_num{block}"] for block in range(1, BLOCKS + 1))
        return cls(
            network=values["network"],
            recipe=recipe,
            num_types=values["num_types"],
            image_size_px=values["image_size"],
            validation_split=values["validation_split"],
            balanced=values["class_weight"] == "balanced",
            dropout_rate=values["dropout_rate"],
            variations=Variations(
                flip_horizontal=values["flip_horizontal"],
                flip_vertical=values["flip_vertical"],
                rotation_degrees=values.get("rotation", 0.0),
                zoom=values.get("zoom", 0.0) / 100,
                shift=values.get("shift", 0.0) / 100,
                brightness=values.get("brightness", 0.0) / 100,
            ),
            precision="mixed_bfloat16" if values["mixed_precision"] == "bfloat16" else values["mixed_precision"],
            seed=values.get("seed"),
            **special,
        )
