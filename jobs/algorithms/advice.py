"""What an algorithm would be told for some data: asked of `jobs/algorithms/<name>/advice.py`, where there is one.

Such a module has `advise(facts) -> Settings`; facts are those of the reader that the algorithm's manifest names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from jobs.algorithms.base import Value


@dataclass(frozen=True)
class Settings:
    """Hyperparameters for some data, as far as they are not the defaults, and a sentence for what was thought about."""

    hyperparameters: dict[str, Value] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def set(self, reason: str, **values: Value) -> None:
        """Set hyperparameters for one reason."""
        self.hyperparameters.update(values)
        self.reasons.update(dict.fromkeys(values, reason))


@dataclass(frozen=True)
class ImageFacts:
    """What was measured of labelled images.

    Attributes:
        counts: label -> number of images.
        width, height: mean in pixels.
        saturation: mean of the images, 0..255; None where no pixel was looked at.
        flat: share of the pixels that have one of the two most frequent of 32 levels of brightness; None likewise.
    """

    counts: Mapping[str, int]
    width: float
    height: float
    saturation: float | None = None
    flat: float | None = None

    @cached_property
    def images(self) -> int:
        return sum(self.counts.values())

    @property
    def per_class(self) -> float:
        return self.images / len(self.counts)

    @cached_property
    def fewest(self) -> int:
        return min(self.counts.values())

    @cached_property
    def most(self) -> int:
        return max(self.counts.values())

    @property
    def side(self) -> float:
        """The mean shorter side in pixels."""
        return min(self.width, self.height)


def settings_for(algorithm: str, facts: Any) -> Settings:
    """What the algorithm would be told; nothing where it has no opinion."""
    name = f"jobs.algorithms.{algorithm}.advice"
    if find_spec(name) is None:
        return Settings()
    settings: Settings = import_module(name).advise(facts)
    return settings
