"""Thumbnails: small JPEG files of the pixels that a network would see."""

from pathlib import Path

from PIL import Image

from datasets.inspection.images import orientation, to_rgb, turn

_QUALITY = 80
# Modes that shrink well as they are; the others (palettes, wide values, one bit) become RGB first.
_SHRINKABLE = ("RGB", "L", "RGBA", "LA", "CMYK")


def write_thumbnail(image: Image.Image, path: Path, *, box_px: int) -> None:
    """Write a JPEG of the decoded image, upright, within a square of `box_px` pixels; never larger than the image."""
    exif_orientation = orientation(image)
    if image.mode not in _SHRINKABLE or "transparency" in image.info:
        image = to_rgb(image)
    longest = max(image.size)
    if longest > box_px:
        width, height = (max(1, round(side * box_px / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    image = turn(image, exif_orientation)
    (image if image.mode == "L" else to_rgb(image)).save(path, "JPEG", quality=_QUALITY)
