"""What an operation is: its words and parameters as data, so that forms, API checks and docs are made from them.

Three kinds: an *image* operation changes pixels, a *selection* works on the list of files before any pixel is read,
an *expanding* one makes several images of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from datasets.preprocessing.parameters import Parameter

if TYPE_CHECKING:
    from datasets.preprocessing.selection import Effect, Files

Values = Mapping[str, Any]

GEOMETRY, COLOUR, SELECTION, AUGMENTATION = GROUPS = ("geometry", "colour", "selection", "augmentation")


@dataclass(frozen=True)
class Mistake:
    """What is wrong with values that are each allowed; it is shown with `parameter`."""

    parameter: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One step. `check(values)` finds what is wrong with the values together."""

    name: str
    title: str
    help: str
    parameters: tuple[Parameter, ...] = ()
    check: Callable[[Values], Mistake | None] | None = None

    @property
    def group(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ImageOperation(Operation):
    """A step that an image goes through.

    `apply(image, values)` gets an image of mode L, LA, RGB, RGBA, CMYK or F (16-bit and wider values) and answers one
    of the same mode (grayscale: L, LA or F). `is_geometric`: it moves pixels and is linear in their values, so it
    gives the same result, within rounding, before and after grayscale.
    """

    apply: Callable[[Image.Image, Values], Image.Image]
    is_geometric: bool = True

    @property
    def group(self) -> str:
        return GEOMETRY if self.is_geometric else COLOUR


@dataclass(frozen=True, kw_only=True)
class SelectionOperation(Operation):
    """A step that drops files or changes their labels: `select(files, values)` does so in place and tells."""

    select: Callable[[Files, Values], Effect]

    @property
    def group(self) -> str:
        return SELECTION


@dataclass(frozen=True, kw_only=True)
class ExpandingOperation(Operation):
    """A step that makes several images of one.

    `vary(image, values, name, copy)` gives variant `copy` (from 1, `count(values)` of them) of the image of the file
    `name`, the same one at every call, in the same mode.
    """

    count: Callable[[Values], int]
    vary: Callable[[Image.Image, Values, str, int], Image.Image]

    @property
    def group(self) -> str:
        return AUGMENTATION


@dataclass(frozen=True)
class Step:
    """An operation with its values, checked by `registry.validate_steps`."""

    op: str
    values: Values

    def as_dict(self) -> dict[str, Any]:
        return {"op": self.op, **self.values}
