"""Blending an image with a plain one, as Pillow's ImageEnhance does, in every mode that operations get."""

from collections.abc import Callable

from PIL import Image


def enhanced(
    image: Image.Image,
    factor: float,
    *,
    enhance: Callable[[Image.Image, float], Image.Image],
    plain: Callable[[Image.Image], float],
) -> Image.Image:
    """`enhance(image, factor)` of 8-bit modes; mode F is blended with its value `plain(image)`.

    CMYK goes through RGB: less ink is more light, and what is black lies in all of its channels.
    """
    if image.mode == "F":
        import numpy as np  # Not above: the site's pages read the operations, and load no numpy.

        value = np.float32(plain(image))
        return Image.fromarray(value + (np.asarray(image) - value) * np.float32(factor))
    if image.mode == "CMYK":
        return enhance(image.convert("RGB"), factor).convert("CMYK")
    return enhance(image, factor)
