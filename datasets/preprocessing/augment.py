"""Several random variants of every image."""

import math
import random

from PIL import Image

from datasets.preprocessing import brightness, contrast
from datasets.preprocessing.canvas import map_back
from datasets.preprocessing.operation import ExpandingOperation, Mistake, Values
from datasets.preprocessing.parameters import Number, Switch
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import gettext_noop

_RANGES = ("rotate_degrees", "zoom_percent", "translate_percent", "brightness_percent", "contrast_percent")


def _vary(image: Image.Image, values: Values, name: str, copy: int) -> Image.Image:
    """Every amount is drawn evenly from its range, all in the same order, so that none depends on the others.

    What moves pixels is one transform, so that they are interpolated once.
    """
    draw = random.Random(f"{values['seed']}/{copy}/{name}")
    flips = draw.random() < 0.5
    degrees = draw.uniform(-1, 1) * values["rotate_degrees"]
    zoom = 1 + draw.uniform(-1, 1) * values["zoom_percent"] / 100
    right = draw.uniform(-1, 1) * values["translate_percent"] / 100 * image.width
    down = draw.uniform(-1, 1) * values["translate_percent"] / 100 * image.height
    light = 100 + draw.uniform(-1, 1) * values["brightness_percent"]
    strength = 100 + draw.uniform(-1, 1) * values["contrast_percent"]
    if flips and values["flip_left_right"]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if values["rotate_degrees"] or values["zoom_percent"] or values["translate_percent"]:
        image = _moved(image, degrees=degrees, zoom=zoom, right_px=right, down_px=down)
    if values["brightness_percent"]:
        image = brightness.OPERATION.apply(image, {"percent": light})
    if values["contrast_percent"]:
        image = contrast.OPERATION.apply(image, {"percent": strength})
    return image


def _moved(image: Image.Image, *, degrees: float, zoom: float, right_px: float, down_px: float) -> Image.Image:
    """Turned anticlockwise and zoomed about the centre, then moved."""
    cos, sin = math.cos(math.radians(degrees)) / zoom, math.sin(math.radians(degrees)) / zoom
    centre_x, centre_y = image.width / 2, image.height / 2
    x, y = -centre_x - right_px, -centre_y - down_px
    return map_back(image, (cos, -sin, cos * x - sin * y + centre_x, sin, cos, sin * x + cos * y + centre_y))


def _check(values: Values) -> Mistake | None:
    if values["flip_left_right"] or any(values[name] for name in _RANGES):
        return None
    return Mistake(
        "flip_left_right", _("nothing may vary: all copies would be the same. Allow at least one variation.")
    )


OPERATION = ExpandingOperation(
    name="augment",
    title=gettext_noop("Augment"),
    help=gettext_noop("Adds random variants of every image, which stays as it is; they are the same at every run."),
    count=lambda values: int(values["copies"]),
    vary=_vary,
    check=_check,
    parameters=(
        Number("copies", gettext_noop("Copies"), 1, 20, 3, "", is_integer=True),
        Number("seed", gettext_noop("Seed"), 0, 2**31 - 1, 0, "", is_integer=True, is_optional=True),
        Switch("flip_left_right", gettext_noop("Flip left-right"), default=True),
        Number("rotate_degrees", gettext_noop("Rotate up to"), 0, 180, 10, "°", is_optional=True),
        Number("zoom_percent", gettext_noop("Zoom up to"), 0, 50, 10, "%", is_optional=True),
        Number("translate_percent", gettext_noop("Move up to"), 0, 50, 5, "%", is_optional=True),
        Number("brightness_percent", gettext_noop("Brightness up to"), 0, 90, 10, "%", is_optional=True),
        Number("contrast_percent", gettext_noop("Contrast up to"), 0, 90, 10, "%", is_optional=True),
    ),
)
