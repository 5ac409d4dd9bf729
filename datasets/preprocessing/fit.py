"""Fit into a width and a height with the aspect kept."""

from PIL import Image, ImageOps

from datasets.preprocessing.canvas import black
from datasets.preprocessing.operation import ImageOperation, Values
from datasets.preprocessing.parameters import Choice, Number
from dlmodeler_site.sentences import gettext_noop


def _apply(image: Image.Image, values: Values) -> Image.Image:
    size = int(values["width"]), int(values["height"])
    if values["how"] == "cover":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    # Not ImageOps.pad: a very long image would be shrunk to no pixels at all.
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, min(round(side * scale), most)) for side, most in zip(image.size, size, strict=True))
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    if small.size == size:
        return small
    padded = Image.new(image.mode, size, black(image.mode))
    padded.paste(small, (round((size[0] - width) / 2), round((size[1] - height) / 2)))
    return padded


OPERATION = ImageOperation(
    name="fit",
    title=gettext_noop("Fit"),
    help=gettext_noop("Gives every image this width and height; the aspect is kept by black edges or by cutting."),
    apply=_apply,
    parameters=(
        Number("width", gettext_noop("Width"), 1, 8192, 128, "px", is_integer=True),
        Number("height", gettext_noop("Height"), 1, 8192, 128, "px", is_integer=True),
        Choice(
            "how",
            gettext_noop("Aspect"),
            (
                ("pad", gettext_noop("Show all, with black edges")),
                ("cover", gettext_noop("Fill, and cut what is over")),
            ),
            default="pad",
        ),
    ),
)
