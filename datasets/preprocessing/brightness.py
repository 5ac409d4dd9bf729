"""Brightness."""

from PIL import Image, ImageEnhance

from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from datasets.preprocessing.tone import enhanced
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    return enhanced(
        image,
        values["percent"] / 100,
        enhance=lambda each, factor: ImageEnhance.Brightness(each).enhance(factor),
        plain=lambda _image: 0.0,
    )


OPERATION = ImageOperation(
    name="brightness",
    title=gettext_noop("Brightness"),
    help=gettext_noop("Lightens (over 100 %) or darkens (under 100 %): every value is multiplied."),
    apply=_apply,
    parameters=(Number("percent", gettext_noop("Brightness"), 0, 300, 120, "%"),),
    is_geometric=False,
)
