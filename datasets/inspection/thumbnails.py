"""Thumbnails: small JPEG files of the pixels that a network would see."""

from pathlib import Path

from PIL import Image

from datasets.inspection.images import orientation, to_rgb, turn
from datasets.inspection.looks import Glance, glance_at

_QUALITY = 80
_OWN_BYTES = 64 << 10
# Modes that shrink well as they are; the others (palettes, wide values, one bit) become RGB first.
_SHRINKABLE = ("RGB", "L", "RGBA", "LA", "CMYK")


def write_thumbnail(image: Image.Image, path: Path, *, box_px: int) -> Glance:
    """Write a JPEG of the decoded image, upright, within a square of `box_px` pixels; never larger than the image.

    Answers a glance at the image.
    """
    exif_orientation = orientation(image)
    small = shrink(image, box_px)
    glance = glance_at(small, exif_orientation)
    small = turn(small, exif_orientation)
    (small if small.mode == "L" else to_rgb(small)).save(path, "JPEG", quality=_QUALITY)
    return glance


def is_its_own(image: Image.Image, size_bytes: int, *, box_px: int) -> bool:
    """Whether the file that was decoded is a thumbnail already: a small JPEG that all show alike.

    To write another file beside it would cost as much as to inspect it.
    """
    is_plain = image.format == "JPEG" and image.mode in ("L", "RGB") and "exif" not in image.info
    return is_plain and max(image.size) <= box_px and size_bytes <= _OWN_BYTES


def shrink(image: Image.Image, box_px: int) -> Image.Image:
    """The decoded image within a square of `box_px` pixels, not turned, in a mode that keeps its transparency."""
    if image.mode not in _SHRINKABLE or "transparency" in image.info:
        has_alpha = image.mode in ("P", "PA", "L", "RGB") and image.has_transparency_data
        image = image.convert("RGBA") if has_alpha else to_rgb(image)
    longest = max(image.size)
    if longest <= box_px:
        return image
    width, height = (max(1, round(side * box_px / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
