"""Grayscale."""

from PIL import Image

from datasets.preprocessing.operation import ImageOperation, Values
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    """Luma by ITU-R 601-2; transparency stays, and images that are gray already stay as they are."""
    if image.mode in ("L", "LA", "F"):
        return image
    return image.convert("LA" if image.mode == "RGBA" else "L")


OPERATION = ImageOperation(
    name="grayscale",
    title=gettext_noop("Grayscale"),
    help=gettext_noop("Removes the colours."),
    apply=_apply,
    is_geometric=False,
)
