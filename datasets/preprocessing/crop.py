"""Crop to a part of the image."""

from PIL import Image

from datasets.preprocessing.operation import ImageOperation, Mistake, Values
from datasets.preprocessing.parameters import Number
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    """The pixels from x to x + width, each edge at the nearest whole pixel; at least one pixel is left."""
    left, right = _edges(image.width, values["x_percent"], values["width_percent"])
    top, bottom = _edges(image.height, values["y_percent"], values["height_percent"])
    return image.crop((left, top, right, bottom))


def _edges(side_px: int, start_percent: float, size_percent: float) -> tuple[int, int]:
    start = min(round(side_px * start_percent / 100), side_px - 1)
    return start, min(max(round(side_px * (start_percent + size_percent) / 100), start + 1), side_px)


def _check(values: Values) -> Mistake | None:
    if values["x_percent"] + values["width_percent"] > 100:
        return Mistake(
            "width_percent",
            _("the part would reach beyond the image: left edge and width are more than 100 % together."),
        )
    if values["y_percent"] + values["height_percent"] > 100:
        return Mistake(
            "height_percent",
            _("the part would reach beyond the image: top edge and height are more than 100 % together."),
        )
    return None


OPERATION = ImageOperation(
    name="crop",
    title=gettext_noop("Crop"),
    help=gettext_noop("Keeps a part of the image; its place and size are shares of the image's width and height."),
    apply=_apply,
    check=_check,
    parameters=(
        Number("x_percent", gettext_noop("From the left"), 0, 99, 10, "%"),
        Number("y_percent", gettext_noop("From the top"), 0, 99, 10, "%"),
        Number("width_percent", gettext_noop("Width"), 1, 100, 80, "%"),
        Number("height_percent", gettext_noop("Height"), 1, 100, 80, "%"),
    ),
)
