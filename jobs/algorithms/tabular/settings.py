"""The hyperparameters of the training on tables, typed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LEAST_BATCH, _GREATEST_BATCH = 16, 1024
_STEPS_PER_EPOCH = 40


@dataclass(frozen=True)
class Settings:
    """`batch_size` 0 stands for one that fits the number of rows."""

    target: str
    task: str
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_layers: int
    hidden_units: int
    dropout_rate: float
    weight_decay: float
    validation_split: float
    early_stopping: bool
    patience: int
    class_weight: str
    seed: int | None

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any]) -> "Settings":
        given: dict[str, Any] = {name: hyperparameters[name] for name in cls.__dataclass_fields__ if name != "seed"}
        return cls(**given, seed=hyperparameters.get("seed"))

    def rows_per_step(self, rows: int) -> int:
        """The batch size for a number of training rows: a power of two from 16 to 1,024 unless one was given."""
        if self.batch_size:
            return min(self.batch_size, rows)
        fitting: int = 2 ** round(math.log2(max(rows / _STEPS_PER_EPOCH, 1)))
        return min(max(fitting, _LEAST_BATCH), _GREATEST_BATCH)
