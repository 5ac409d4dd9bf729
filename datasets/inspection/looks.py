"""How an image looks, in numbers that are cheap to take and small to keep."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.inspection.fingerprint import LUMA, SIDE_PX, fingerprint, grey_fingerprint, mean_colour
from datasets.inspection.images import to_rgb, turn

LEVELS = 32  # of a colour's histogram
_CHANNEL_STARTS = np.arange(3, dtype=np.uint8)[:, None] * LEVELS
# What is drawn in black or in white on nothing shows on neither; the fingerprint is taken on grey.
_GROUND = (128, 128, 128)


@dataclass(frozen=True)
class Look:
    """Mean luma and saturation are in 0..255; colour holds the shares of red, green and blue in 32 levels each."""

    fingerprint: str
    brightness: float
    saturation: float
    colour: bytes  # 96 values uint16, counts among 1,024 pixels


def look_at(image: Image.Image, exif_orientation: int = 1) -> Look:
    """How a decoded image looks once it is upright; cheapest from its thumbnail before that is made RGB.

    Brightness and colours are those of the pixels that a network sees, so with black where the image is transparent.
    """
    small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=1.0)
    small = turn(small, exif_orientation)
    if small.mode == "L" and "transparency" not in small.info:
        return _look_at_grey(np.asarray(small))
    rgb = to_rgb(small)
    pixels = np.asarray(rgb)
    shown = pixels
    if small.mode in ("RGBA", "LA"):
        ground = Image.new("RGB", small.size, _GROUND)
        ground.paste(small.convert("RGB"), mask=small.getchannel("A"))
        shown = np.asarray(ground)
    mean_hsv = rgb.convert("HSV").reduce(SIDE_PX).getpixel((0, 0))
    channels = np.ascontiguousarray(pixels.reshape(-1, 3).T)
    levels = channels // (256 // LEVELS) + _CHANNEL_STARTS
    return Look(
        fingerprint(shown),
        brightness=float(mean_colour(pixels) @ LUMA),
        saturation=float(mean_hsv[1]),  # type: ignore[index]
        colour=np.bincount(levels.ravel(), minlength=3 * LEVELS).astype(np.uint16).tobytes(),
    )


def _look_at_grey(pixels: NDArray[np.uint8]) -> Look:
    """The same for uint8 (32, 32) without colours."""
    counts = np.bincount(pixels.ravel() // (256 // LEVELS), minlength=LEVELS).astype(np.uint16)
    return Look(grey_fingerprint(pixels), brightness=float(pixels.mean()), saturation=0.0, colour=counts.tobytes() * 3)
