"""Zoom about the centre."""

import math

from PIL import Image

from datasets.preprocessing.canvas import black
from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    """Resize with antialiasing, as an affine transform would not when it makes smaller, and with the centre kept."""
    scale = values["percent"] / 100
    width, height = image.size
    if scale >= 1:
        x, y = (width - width / scale) / 2, (height - height / scale) / 2
        return image.resize((width, height), Image.Resampling.BILINEAR, box=(x, y, width - x, height - y))
    # The whole output pixels that the small image touches, and the part of a black-edged source that they show.
    left, top = (math.floor((side - side * scale) / 2) for side in (width, height))
    edge = math.ceil(1 / scale)
    edged = Image.new(image.mode, (width + 2 * edge, height + 2 * edge), black(image.mode))
    edged.paste(image, (edge, edge))
    x, y = (edge + side / 2 - (side / 2 - start) / scale for side, start in ((width, left), (height, top)))
    small = edged.resize(
        (width - 2 * left, height - 2 * top),
        Image.Resampling.BILINEAR,
        box=(x, y, edged.width - x, edged.height - y),
    )
    canvas = Image.new(image.mode, image.size, black(image.mode))
    canvas.paste(small, (left, top))
    return canvas


OPERATION = ImageOperation(
    name="zoom",
    title=gettext_noop("Zoom"),
    help=gettext_noop("Enlarges (over 100 %) or shrinks (under 100 %) the picture about its centre; the size is kept."),
    apply=_apply,
    parameters=(Number("percent", gettext_noop("Zoom"), 10, 500, 120, "%"),),
)
