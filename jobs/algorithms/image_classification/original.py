"""The plan of the original network: one stage, from pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from jobs.algorithms.image_classification.augmentation import vary_images
from jobs.algorithms.image_classification.model import build_network
from jobs.algorithms.image_classification.settings import Settings
from jobs.algorithms.image_classification.stages import Stage, Task


@dataclass(frozen=True)
class OriginalPlan:
    """Implements `stages.Plan`."""

    settings: Settings
    stages: Sequence[Stage]
    begins_at: float = 0.0

    def served(self) -> keras.Model:
        twin = _network(self.settings, dtype_policy="float32")
        twin.set_weights(self.stages[-1].network.get_weights())
        return twin


def make_plan(task: Task) -> OriginalPlan:
    settings = task.settings
    network = _network(settings, dtype_policy=task.dtype_policy, seed=task.seed, dropout_rate=settings.dropout_rate)
    stage = Stage("training", task.data.pixels, network, settings.recipe, vary=vary_images(settings.variations))
    return OriginalPlan(settings, [stage])


def _network(settings: Settings, *, dtype_policy: str, seed: int = 0, dropout_rate: float = 0.0) -> keras.Sequential:
    return build_network(
        size_px=settings.image_size_px,
        filters=settings.filters,
        classes=settings.num_types,
        dtype_policy=dtype_policy,
        seed=seed,
        dropout_rate=dropout_rate,
    )
