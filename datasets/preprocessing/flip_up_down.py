"""Flip up-down."""

from PIL import Image

from datasets.preprocessing.operation import ImageOperation, Values
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


OPERATION = ImageOperation(
    name="flip_up_down",
    title=gettext_noop("Flip up-down"),
    help=gettext_noop("Turns the image upside down as in a mirror."),
    apply=_apply,
)
