"""Move by a share of the width and the height."""

from PIL import Image

from datasets.preprocessing.canvas import map_back
from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    right_px = image.width * values["x_percent"] / 100
    down_px = image.height * values["y_percent"] / 100
    return map_back(image, (1, 0, -right_px, 0, 1, -down_px))


OPERATION = ImageOperation(
    name="translate",
    title=gettext_noop("Translate"),
    help=gettext_noop("Moves the image to the right and down; negative values move it to the left and up."),
    apply=_apply,
    parameters=(
        Number("x_percent", gettext_noop("To the right"), -100, 100, 10, "%"),
        Number("y_percent", gettext_noop("Down"), -100, 100, 10, "%"),
    ),
)
