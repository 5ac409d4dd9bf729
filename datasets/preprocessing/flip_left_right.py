"""Flip left-right."""

from PIL import Image

from datasets.preprocessing.operation import ImageOperation, Values
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


OPERATION = ImageOperation(
    name="flip_left_right",
    title=gettext_noop("Flip left-right"),
    help=gettext_noop("Swaps left and right as in a mirror."),
    apply=_apply,
)
