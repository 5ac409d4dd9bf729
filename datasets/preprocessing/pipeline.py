"""Running steps on one image in memory, and showing what they do."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from datasets.inspection.images import load_image, orientation, to_rgb, turn
from datasets.preprocessing import grayscale
from datasets.preprocessing.operation import Step
from datasets.preprocessing.plan import Change, Plan

PREVIEW_PX = 1024
PREVIEW_TYPE = "image/jpeg"
_PREVIEW_QUALITY = 90
_GREATEST = {"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I": 2**31 - 1}


def apply_steps(image: Image.Image, steps: Sequence[Step]) -> Image.Image:
    """The upright image (the orientation is the caller's) after all image steps, in the mode that keeps most of it.

    Steps that are no image steps do nothing: no file is left out, and the image is not varied.
    8-bit modes stay L, LA, RGB, RGBA or CMYK; palettes become RGB(A), one bit becomes L, 16-bit gray stays I;16.
    """
    return next(results(image, Plan.of(steps), ""))


def results(image: Image.Image, plan: Plan, name: str) -> Iterator[Image.Image]:
    """What the plan makes of the upright image of the file `name`: the image itself, then its variants."""
    base = _changed(_workable(image, plan.before), plan.before)
    yield _finished(_changed(base, plan.after), image.mode)
    if plan.expansion is not None:
        operation, values = plan.expansion
        for copy in range(1, plan.copies + 1):
            yield _finished(_changed(operation.vary(base, values, name, copy), plan.after), image.mode)


def previews(source: Path | bytes | BinaryIO, steps: Sequence[Step], *, name: str, most: int = 1) -> list[bytes]:
    """At most this many results of the steps on the image of the file `name`, within a square of `PREVIEW_PX`.

    Raises:
        ImageError: the source is no sound image.
    """
    image = load_image(source)
    upright = turn(image, orientation(image))
    return [_shown(result) for result in islice(results(upright, Plan.of(steps), name), most)]


def _shown(result: Image.Image) -> bytes:
    image = to_rgb(result).copy()  # of which the next variant may still be made
    image.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_PREVIEW_QUALITY, subsampling=0)
    return buffer.getvalue()


def _changed(image: Image.Image, changes: Sequence[Change]) -> Image.Image:
    for operation, values in changes:
        image = operation.apply(image, values)
    return image


def _workable(image: Image.Image, changes: Sequence[Change]) -> Image.Image:
    """The image in a mode that every operation can work on, or the first of these that are to be made."""
    if image.mode == "RGBX":
        return image if changes and changes[0].operation is grayscale.OPERATION else image.convert("RGB")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and "transparency" not in image.info:
        return image
    if image.mode in _GREATEST or image.mode == "F":
        # Pillow's bilinear transforms of I;16 mix up the bytes of a value; float32 holds 16 bits exactly.
        return Image.fromarray(np.asarray(image, np.float32))
    if image.mode == "1":
        return image.convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return to_rgb(image)


def _finished(image: Image.Image, mode: str) -> Image.Image:
    """The result in the width of values that the original had."""
    if mode in _GREATEST and image.mode == "F":
        kind, least = (np.uint16, 0) if mode != "I" else (np.int32, -(2**31))
        return Image.fromarray(np.clip(np.rint(np.asarray(image, np.float64)), least, _GREATEST[mode]).astype(kind))
    return image
