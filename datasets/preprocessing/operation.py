"""What an operation is: its words and parameters as data, so that forms, API checks and docs are made from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

Values = Mapping[str, float]


@dataclass(frozen=True)
class Parameter:
    """A number that the user chooses; `is_integer` numbers are whole."""

    name: str
    title: str
    minimum: float
    maximum: float
    default: float
    step: float
    unit: str
    is_integer: bool = False


@dataclass(frozen=True)
class Operation:
    """One step that an image can go through.

    `apply(image, values)` gets an image of mode L, LA, RGB, RGBA, CMYK or F (16-bit and wider values) and answers one
    of the same mode (grayscale: L, LA or F). `is_geometric`: it moves pixels and is linear in their values, so it
    gives the same result, within rounding, before and after grayscale.
    """

    name: str
    title: str
    help: str
    apply: Callable[[Image.Image, Values], Image.Image]
    parameters: tuple[Parameter, ...] = ()
    is_geometric: bool = True


@dataclass(frozen=True)
class Step:
    """An operation with its values, checked by `registry.validate_steps`."""

    op: str
    values: Values

    def as_dict(self) -> dict[str, str | float]:
        return {"op": self.op, **self.values}
