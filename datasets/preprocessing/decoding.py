"""Reading an original: its upright pixels, and what saves results as it was saved."""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import simplejpeg
from PIL import Image, JpegImagePlugin

from datasets.inspection.images import MAX_PIXELS, load_image, orientation, turn
from datasets.preprocessing.saving import Saver

# How the pixels of a mode are decoded, and in which mode they lie in memory as Pillow has them: nothing is copied.
_DECODED = {"RGB": ("RGBX", "RGBX"), "L": ("GRAY", "L")}
_SHORT_HEADER_BYTES = 4096
_START_OF_SCAN = 0xDA


@dataclass(frozen=True)
class Original:
    """The upright pixels of a file (RGB may lie in mode RGBX), and the saver of what is made of them."""

    upright: Image.Image
    saver: Saver


def read_original(source: Path | bytes) -> Original:
    """Decode the first frame.

    Raises:
        ImageError: as `load_image`.
    """
    quick = _quick_jpeg(source) if isinstance(source, bytes) and source.startswith(b"\xff\xd8\xff") else None
    if quick is not None:
        return quick
    image = load_image(source)
    return Original(turn(image, orientation(image)), Saver(image))


# -- JPEG ----------------------------------------------------------------------------------------
# Of a small photo Pillow spends half the time on what is around the pixels. The header tells all of that, and the
# photos of a data mostly have one and the same; the pixels come from the library that Pillow has them from.


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]
    mode: str
    orientation: int
    saver: Saver


def _quick_jpeg(content: bytes) -> Original | None:
    """None for what is no sound JPEG of 8-bit colours or gray: Pillow is to say what it is or what is wrong with it."""
    end = _header_end(content)
    header = content[:end]
    known = (_read_header if end <= _SHORT_HEADER_BYTES else _read_header.__wrapped__)(header)
    if known is None:
        return None
    try:
        colour_space, mode = _DECODED[known.mode]
        pixels = simplejpeg.decode_jpeg(content, colour_space)
    except ValueError:
        return None
    if pixels.shape[1::-1] != known.size:
        return None
    image = Image.frombuffer(mode, known.size, pixels, "raw", mode, 0, 1)
    return Original(turn(image, known.orientation), known.saver)


def _header_end(content: bytes) -> int:
    """Where the compressed pixels begin: each part before has a marker and its length (ITU-T T.81, B.1.1.4)."""
    place = 2
    while content[place : place + 1] == b"\xff":
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == _START_OF_SCAN:
            return place + 2 + length
        place += 2 + length
    return 0


@lru_cache(maxsize=256)
def _read_header(header: bytes) -> _Header | None:
    try:
        image = Image.open(io.BytesIO(header), formats=("JPEG",))
    except Exception:  # Pillow raises nearly anything on broken input.
        return None
    if type(image) is not JpegImagePlugin.JpegImageFile or image.mode not in _DECODED:
        return None
    if image.width * image.height > MAX_PIXELS:
        return None
    return _Header(image.size, image.mode, orientation(image), Saver(image))
