"""The one image decoder: inspection, training, the model server and prediction jobs see the same pixels through it."""

import io
import re
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImagePalette, UnidentifiedImageError

from dlmodeler_site.sentences import Sentence as _

# The largest result that preprocessing can ask for (resize to 8192 x 8192), so what it writes can be read again.
MAX_PIXELS = 8192 * 8192
_MAX_SCANS = 100  # programs write 10 or so
_START_OF_SCAN = b"\xff\xda"  # among compressed pixels 0xff is always followed by 0
_CHUNK_BYTES = 1 << 20

# SECURITY: Pillow would also open EPS (runs Ghostscript) and formats that need outside loaders; only these are tried.
# The five that Pillow always has loaded come first, so that a JPEG does not cost the import of every plugin;
# TGA comes last because it has no signature.
FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "DIB", "ICO", "QOI", "PCX", "SGI", "SUN",
    "PSD", "DDS", "ICNS", "TGA",
)  # fmt: skip

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"8BPS\x00\x01", "PSD"),
)

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Above the limit Pillow only warns until twice the limit: a small file could then fill the memory.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Broken metadata are no one's concern where the pixels are sound.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)


class ImageError(Exception):
    """A file is not an image that can be used; the message says why in words for the user.

    `reason`: empty_file, not_an_image, truncated, corrupt, too_many_pixels, too_many_scans or unsupported.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        return self.message


def read_rgb(source: Path | bytes | BinaryIO) -> NDArray[np.uint8]:
    """The pixels of an image as uint8 (height, width, 3), read-only.

    First frame of an animation, EXIF orientation applied. 16-bit values are scaled by their high byte (as libpng and
    TensorFlow do for PNG). Transparency is composited on black, the colour of uncovered parts in preprocessing:
    colours hidden under transparent pixels are arbitrary and must not reach a network.

    Raises:
        ImageError: the source is no image, is broken, or has more than `MAX_PIXELS` pixels.
    """
    image = load_image(source)
    return np.asarray(turn(to_rgb(image), orientation(image)))


def fit_rgb(pixels: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """Resize uint8 (height, width, 3) by Pillow's bilinear filter (with antialiasing); the aspect is not kept."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def load_image(source: Path | bytes | BinaryIO) -> Image.Image:
    """Decode the first frame fully, in the file's own mode, orientation not applied.

    Raises:
        ImageError: as `read_rgb`.
    """
    if isinstance(source, Path):
        with open(source, "rb") as file:
            return _load(file)
    if isinstance(source, bytes):
        return _load(io.BytesIO(source))
    return _load(source)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; a missing or unreadable one counts as 1 (upright)."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Broken EXIF raises nearly anything, and the pixels are sound.
        return 1
    return value if value in _TRANSPOSE else 1


def turn(image: Image.Image, exif_orientation: int) -> Image.Image:
    """Apply an EXIF orientation to the pixels."""
    method = _TRANSPOSE.get(exif_orientation)
    return image if method is None else image.transpose(method)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as 8-bit RGB, as `read_rgb` describes.

    Mode I (32-bit integers) is taken as 16-bit when all values are in 0..65535; mode F is taken as 0..1 or 0..255 when
    all values are; otherwise the values are stretched from their least to their greatest.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_wide_to_8_bit(image)).convert("RGB")
    if image.mode == "LAB":
        from PIL import ImageCms  # Loads a library that nearly no image needs.

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return converted if converted is not None else image.convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", image.size)
        rgb.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
        return rgb
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise ImageError(
            _("Images of mode %(mode)s cannot be read as RGB (%(error)s).", mode=image.mode, error=str(error)),
            "unsupported",
        ) from error


def signature_format(head: bytes) -> str | None:
    """The image format that the first bytes of a file (32 or more) announce, or None."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    # "BM" alone could begin a text; a bitmap goes on with the size of its header.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "BMP"
    return None


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8 text (one character may be cut at the end)."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) or len(head) - error.start > 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)


def _load(file: BinaryIO) -> Image.Image:
    start = file.tell()
    try:
        image = Image.open(file, formats=FORMATS)
        _check_pixels(image)
        if image.info.get("progressive"):
            _check_scans(file, start)
        image.load()
        _check_pixels(image)
        _settle_mode(image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_many_pixels(int(size[1]) if size else None) from None
    except UnidentifiedImageError:
        file.seek(start)
        raise _unidentified(file.read(4096)) from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on broken input.
        file.seek(start)
        raise _broken(file.read(4096), error) from error
    return image


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(image.width * image.height)


def _check_scans(file: BinaryIO, start: int) -> None:
    """SECURITY: each scan of a progressive JPEG may be some bytes that go over all of the pixels once more."""
    place = file.tell()
    file.seek(start)
    scans, last = 0, b""
    while chunk := file.read(_CHUNK_BYTES):
        scans += (last + chunk).count(_START_OF_SCAN)
        last = chunk[-1:]
    file.seek(place)
    if scans > _MAX_SCANS:
        raise ImageError(
            _(
                "The JPEG has %(received)d scans; at most %(most)d are read. Save it again as an ordinary JPEG.",
                received=scans,
                most=_MAX_SCANS,
            ),
            "too_many_scans",
        )


def _settle_mode(image: Image.Image) -> None:
    """Mend or refuse what some of Pillow's readers leave so that nothing can be done with the image.

    The palette of an icon (ICNS) is with its pixels only; a gray TGA with a palette says that its palette places are
    brightnesses.
    """
    if image.mode != image.im.mode:
        raise ImageError(
            _(
                "The %(format)s file is damaged: its header tells pixels of mode %(told)s, they are of mode %(found)s.",
                format=image.format or "",
                told=image.mode,
                found=image.im.mode,
            ),
            "corrupt",
        )
    if image.mode in ("P", "PA") and image.palette is None:
        mode = image.im.getpalettemode()
        image.palette = ImagePalette.ImagePalette(mode, image.im.getpalette(mode, mode))


def _too_many_pixels(pixels: int | None) -> ImageError:
    most = f"{MAX_PIXELS:,}"
    if pixels is None:
        message = _("The image is too large: at most %(most)s pixels are read. Make it smaller.", most=most)
    else:
        message = _(
            "The image is too large: at most %(most)s pixels are read, received %(received)s. Make it smaller.",
            most=most,
            received=f"{pixels:,}",
        )
    return ImageError(message, "too_many_pixels")


def _unidentified(head: bytes) -> ImageError:
    if not head:
        return ImageError(_("The file is empty."), "empty_file")
    announced = signature_format(head)
    if announced is not None:
        return ImageError(
            _("The file begins like %(format)s but its header is broken or cut off.", format=announced), "corrupt"
        )
    if looks_like_text(head):
        return ImageError(_("This is text, not an image."), "not_an_image")
    return ImageError(
        _(
            "This is not an image that can be read. Expected %(formats)s or %(last)s.",
            formats=", ".join(FORMATS[:-1]),
            last=FORMATS[-1],
        ),
        "not_an_image",
    )


def _broken(head: bytes, error: Exception) -> ImageError:
    announced = signature_format(head) or _("image")
    text = str(error).lower()
    if isinstance(error, EOFError) or any(word in text for word in ("truncated", "not enough", "unexpected end")):
        return ImageError(
            _("The %(format)s file is truncated: a part of it is missing. Upload it again.", format=announced),
            "truncated",
        )
    if isinstance(error, NotImplementedError) or "unsupported" in text or "unrecognized" in text:
        return ImageError(
            _("This kind of %(format)s file cannot be read (%(error)s).", format=announced, error=str(error)),
            "unsupported",
        )
    if not text:
        return ImageError(_("The %(format)s file is damaged and does not decode.", format=announced), "corrupt")
    return ImageError(
        _("The %(format)s file is damaged and does not decode (%(error)s).", format=announced, error=str(error)),
        "corrupt",
    )


def _wide_to_8_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Values of mode I, I;16* or F as uint8 (height, width)."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) if image.mode == "F" else values
    least, greatest = float(values.min()), float(values.max())
    if image.mode == "I" and least >= 0 and greatest <= 65535:
        return (values >> 8).astype(np.uint8)
    if image.mode == "F" and least >= 0 and greatest <= 255:
        return np.rint(values * (255.0 if greatest <= 1 else 1.0)).astype(np.uint8)
    return np.rint((values.astype(np.float64) - least) * (255.0 / ((greatest - least) or 1.0))).astype(np.uint8)
