"""Contrast."""

from PIL import Image, ImageEnhance

from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Number
from datasets.preprocessing.tone import enhanced
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    """Every value's distance from the image's mean luma is multiplied."""
    return enhanced(
        image,
        values["percent"] / 100,
        enhance=lambda each, factor: ImageEnhance.Contrast(each).enhance(factor),
        plain=lambda each: float(each.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))),  # type: ignore[arg-type]
    )


OPERATION = ImageOperation(
    name="contrast",
    title=gettext_noop("Contrast"),
    help=gettext_noop("Strengthens (over 100 %) or weakens (under 100 %) how light and dark differ from the mean."),
    apply=_apply,
    parameters=(Number("percent", gettext_noop("Contrast"), 0, 300, 120, "%"),),
    is_geometric=False,
)
