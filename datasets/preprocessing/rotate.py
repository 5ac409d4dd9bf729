"""Rotate about the centre."""

from PIL import Image

from datasets.preprocessing.canvas import black
from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    return image.rotate(values["degrees"], Image.Resampling.BILINEAR, fillcolor=black(image.mode))


OPERATION = ImageOperation(
    name="rotate",
    title=gettext_noop("Rotate"),
    help=gettext_noop("Turns the image about its centre, anticlockwise for positive degrees."),
    apply=_apply,
    parameters=(Number("degrees", gettext_noop("Angle"), -360, 360, 90, "°"),),
)
