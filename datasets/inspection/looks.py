"""How an image looks, in numbers that are cheap to take and small to keep.

Each image gives a glance, a small version of itself; the numbers are taken of many glances at once, since for one of
them numpy's calls take ten times as long as what they compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.inspection.fingerprint import LUMA, SIDE_PX, fingerprints
from datasets.inspection.images import to_rgb, turn

LEVELS = 32  # of a colour's histogram
# What is drawn in black or in white on nothing shows on neither; the fingerprint is taken on grey.
_GROUND = (128, 128, 128)


class Glance(NamedTuple):
    """uint8 (32, 32) of a grey image, (32, 32, 3) of another; `shown` is the same on grey where it is transparent."""

    pixels: NDArray[np.uint8]
    shown: NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """Mean luma and saturation are in 0..255; colour holds the shares of red, green and blue in 32 levels each."""

    fingerprint: str
    brightness: float
    saturation: float
    colour: bytes  # 96 values uint16, counts among 1,024 pixels


def glance_at(image: Image.Image, exif_orientation: int = 1) -> Glance:
    """A decoded image made small and upright; cheapest from its thumbnail before that is made RGB."""
    small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=1.0)
    small = turn(small, exif_orientation)
    if small.mode == "L" and "transparency" not in small.info:
        pixels = np.asarray(small)
        return Glance(pixels, pixels)
    pixels = np.asarray(to_rgb(small))
    if small.mode not in ("RGBA", "LA"):
        return Glance(pixels, pixels)
    ground = Image.new("RGB", small.size, _GROUND)
    ground.paste(small.convert("RGB"), mask=small.getchannel("A"))
    return Glance(pixels, np.asarray(ground))


def looks_of(glances: Sequence[Glance]) -> list[Look]:
    """How the images look, in order.

    Brightness and colours are those of the pixels that a network sees, so with black where the image is transparent.
    """
    looks: dict[int, Look] = {}
    for is_grey in (True, False):
        places = [place for place, glance in enumerate(glances) if (glance.pixels.ndim == 2) == is_grey]
        if places:
            found = _grey_looks if is_grey else _colour_looks
            looks.update(zip(places, found([glances[place] for place in places]), strict=True))
    return [looks[place] for place in range(len(glances))]


def look_at(image: Image.Image, exif_orientation: int = 1) -> Look:
    """How one image looks."""
    return looks_of([glance_at(image, exif_orientation)])[0]


def _grey_looks(glances: Sequence[Glance]) -> list[Look]:
    pixels = np.stack([glance.pixels for glance in glances])
    means = pixels.mean(axis=(1, 2))
    prints = fingerprints(pixels, np.repeat(means[:, None], 3, axis=1))
    colours = _levels(pixels.reshape(len(pixels), 1, -1))
    return [
        Look(fingerprint, brightness=brightness, saturation=0.0, colour=colour.tobytes() * 3)
        for fingerprint, brightness, colour in zip(prints, means.tolist(), colours, strict=True)
    ]


def _colour_looks(glances: Sequence[Glance]) -> list[Look]:
    pixels = np.stack([glance.pixels for glance in glances])
    shown = np.stack([glance.shown for glance in glances])
    greatest, least = pixels.max(axis=3).astype(np.int32), pixels.min(axis=3)
    saturations = (((greatest - least) * 255) // np.maximum(greatest, 1)).mean(axis=(1, 2))
    brightness = pixels.mean(axis=(1, 2)) @ LUMA.astype(np.float64)
    colours = _levels(np.moveaxis(pixels, 3, 1).reshape(len(pixels), 3, -1))
    rows = zip(
        fingerprints(shown @ LUMA, shown.mean(axis=(1, 2))),
        brightness.tolist(),
        saturations.tolist(),
        colours,
        strict=True,
    )
    return [Look(*row[:3], colour=row[3].tobytes()) for row in rows]


def _levels(channels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Of uint8 (image, channel, pixel): how many pixels there are in each level, (image, channel x level)."""
    images, each = channels.shape[:2]
    starts = np.arange(images * each).reshape(images, each, 1) * LEVELS
    counts = np.bincount((channels // (256 // LEVELS) + starts).ravel(), minlength=images * each * LEVELS)
    return counts.reshape(images, -1).astype(np.uint16)
