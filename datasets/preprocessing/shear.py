"""Shear along the horizontal axis."""

import math

from PIL import Image

from datasets.preprocessing.canvas import map_back
from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    """Tilt vertical lines anticlockwise: x_in = x - tan(degrees) (y - height / 2), so the middle row stays."""
    slope = math.tan(math.radians(values["degrees"]))
    return map_back(image, (1, -slope, slope * image.height / 2, 0, 1, 0))


OPERATION = ImageOperation(
    name="shear",
    title=gettext_noop("Shear"),
    help=gettext_noop(
        "Tilts vertical lines by this angle about the centre, anticlockwise for positive degrees: "
        "the top moves to the left and the bottom to the right."
    ),
    apply=_apply,
    parameters=(Number("degrees", gettext_noop("Angle"), -45, 45, 10, "°"),),
)
