"""Resize to a width and a height."""

from PIL import Image

from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    return image.resize((int(values["width"]), int(values["height"])), Image.Resampling.BILINEAR)


OPERATION = ImageOperation(
    name="resize",
    title=gettext_noop("Resize"),
    help=gettext_noop("Gives every image this width and height; the aspect is not kept."),
    apply=_apply,
    parameters=(
        Number("width", gettext_noop("Width"), 1, 8192, 128, "px", is_integer=True),
        Number("height", gettext_noop("Height"), 1, 8192, 128, "px", is_integer=True),
    ),
)
