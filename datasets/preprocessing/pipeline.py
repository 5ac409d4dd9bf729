"""Running steps on one image: in memory, from file to file, or as a preview."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from datasets.inspection.images import load_image, orientation, to_rgb, turn
from datasets.preprocessing.operation import Step
from datasets.preprocessing.registry import OPERATIONS

PREVIEW_PX = 1024
_PREVIEW_QUALITY = 90
_GREATEST = {"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I": 2**31 - 1}


def apply_steps(image: Image.Image, steps: Sequence[Step]) -> Image.Image:
    """The upright image (the orientation is the caller's) after all steps, in the mode that keeps most of it.

    8-bit modes stay L, LA, RGB, RGBA or CMYK; palettes become RGB(A), one bit becomes L, 16-bit gray stays I;16.
    """
    mode = image.mode
    image = _workable(image)
    for step in grayscale_first(steps):
        image = OPERATIONS[step.op].apply(image, step.values)
    if mode in _GREATEST and image.mode == "F":
        kind, least = (np.uint16, 0) if mode != "I" else (np.int32, -(2**31))
        return Image.fromarray(np.clip(np.rint(np.asarray(image, np.float64)), least, _GREATEST[mode]).astype(kind))
    return image


def grayscale_first(steps: Sequence[Step]) -> list[Step]:
    """The same steps with grayscale before the geometric ones that it follows: equal within rounding, and faster.

    Not done: decoding only the luma plane of a JPEG. It differs by up to 34 grey levels from grayscale of the decoded
    colours where those were clamped.
    """
    ordered: list[Step] = []
    for step in steps:
        place = len(ordered)
        if step.op == "grayscale":
            while place and OPERATIONS[ordered[place - 1].op].is_geometric:
                place -= 1
        ordered.insert(place, step)
    return ordered


def preview(source: Path | bytes | BinaryIO, steps: Sequence[Step]) -> tuple[bytes, str]:
    """The result of the steps on one image, shown within a square of `PREVIEW_PX` pixels, and its MIME type.

    Raises:
        ImageError: the source is no sound image.
    """
    image = load_image(source)
    result = to_rgb(apply_steps(turn(image, orientation(image)), steps))
    result.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    result.save(buffer, "JPEG", quality=_PREVIEW_QUALITY, subsampling=0)
    return buffer.getvalue(), "image/jpeg"


def _workable(image: Image.Image) -> Image.Image:
    """The image in a mode that every operation can work on."""
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
