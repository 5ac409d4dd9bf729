"""Moving the pixels of an image on its own canvas: uncovered parts are black, sampling is bilinear."""

from PIL import Image

# Opaque black in the modes where it is not all zeros.
_BLACK: dict[str, tuple[int, ...]] = {"CMYK": (0, 0, 0, 255), "RGBA": (0, 0, 0, 255), "LA": (0, 255), "RGB": (0, 0, 0)}


def black(mode: str) -> int | tuple[int, ...]:
    return _BLACK.get(mode, 0)


def map_back(image: Image.Image, coefficients: tuple[float, float, float, float, float, float]) -> Image.Image:
    """The canvas where output (x, y) shows input (a x + b y + c, d x + e y + f), coefficients being (a … f)."""
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=black(image.mode)
    )
