"""Writing a processed image in the format of its original, with what belongs to it."""

import io
from typing import Any

from PIL import ExifTags, Image, ImageFile, JpegImagePlugin

from datasets.inspection.images import FORMATS, ImageError, to_rgb
from dlmodeler_site.sentences import Sentence as _

_JPEG_QUALITY = 95
_WEBP_QUALITY = 90
# Modes that a format can store; the other formats get RGB.
_STORED_MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("L", "LA", "RGB", "RGBA", "I;16"),
    "TIFF": ("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "PPM": ("L", "RGB", "I;16", "I"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "GIF": ("L", "RGB", "RGBA"),
    "TGA": ("L", "LA", "RGB", "RGBA"),
    "BMP": ("L", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
    "PCX": ("L", "RGB"),
    "ICO": ("RGB", "RGBA"),
    "ICNS": ("RGB", "RGBA"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "QOI": ("RGB", "RGBA"),
}
_LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
_ICC_SPACES = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK"}
_ICC_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")
# Not TIFF: its EXIF is the same directory that says where and how the old pixels are stored.
_EXIF_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")


class Saver:
    """Writes upright, processed images in the format of their original, with what belongs to it.

    Kept: quality (a JPEG's own quantisation tables and chroma subsampling, else 95), the ICC profile where it describes
    the result's colours, EXIF with its orientation reset and without its thumbnail of the old picture, resolution.
    An animation becomes a still image. What is kept is found out once for each mode of results. The orientation of
    `original` must have been asked for before: it is taken out of its EXIF here.
    """

    def __init__(self, original: Image.Image) -> None:
        self._original = original
        self._options: dict[str, dict[str, Any]] = {}
        self._jpeg_settings: dict[str, tuple[Any, ...]] = {}
        self.has_exif = "exif" in original.info

    def save(self, image: Image.Image, file: io.BytesIO) -> str:
        """Write one image; answers the format.

        Raises:
            ImageError: the format cannot be written, or not with these pixels.
        """
        if image.mode in self._jpeg_settings:
            self._save_jpeg_again(image, file)
            return "JPEG"
        image_format = _written_format(self._original)
        image = _storable(image, image_format)
        options = self._options.get(image.mode)
        if options is None:
            options = self._options[image.mode] = _options(image.mode, self._original, image_format)
        if image is self._original:  # whose metadata are wanted again
            image = image.copy()
        image.info = {}
        try:
            image.save(file, image_format, **options)
        except MemoryError:
            raise
        except Exception as error:  # Each of Pillow's encoders has its own way to say what it cannot store.
            raise ImageError(
                _("The result cannot be written as %(format)s (%(error)s).", format=image_format, error=str(error)),
                "unsupported",
            ) from error
        if image_format == "JPEG" and image.mode in ("L", "RGB") and not options.keys() & {"exif", "icc_profile"}:
            self._jpeg_settings[image.mode] = image.encoderconfig
        return image_format

    def _save_jpeg_again(self, image: Image.Image, file: io.BytesIO) -> None:
        """Encode with the settings that Pillow made for the first: to make them takes a third as long as to encode."""
        image.encoderconfig = self._jpeg_settings[image.mode]
        ImageFile._save(image, file, [ImageFile._Tile("jpeg", (0, 0, *image.size), 0, image.mode)])


def _options(mode: str, original: Image.Image, image_format: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if image_format in _ICC_FORMATS:
        options["icc_profile"] = _fitting_profile(original, mode)
    if image_format in _EXIF_FORMATS:
        options["exif"] = _upright_exif(original)
    if "dpi" in original.info and image_format in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = original.info["dpi"]
    if image_format == "JPEG":
        options.update(_jpeg_options(mode, original))
    elif image_format == "TIFF":
        compression = original.info.get("compression")
        options["compression"] = compression if compression in _LOSSLESS_TIFF else "tiff_adobe_deflate"
    elif image_format == "WEBP":
        options["quality"] = _WEBP_QUALITY
    return {name: value for name, value in options.items() if value is not None}


def _written_format(original: Image.Image) -> str:
    image_format = {"MPO": "JPEG", "DIB": "BMP"}.get(original.format or "", original.format or "")
    if image_format not in _STORED_MODES:
        writable = ", ".join(name for name in FORMATS if name in _STORED_MODES)
        raise ImageError(
            _(
                "%(format)s files can be read but not written; convert it to %(writable)s.",
                format=image_format,
                writable=writable,
            ),
            "unsupported",
        )
    return image_format


def _storable(image: Image.Image, image_format: str) -> Image.Image:
    modes = _STORED_MODES[image_format]
    if image.mode in modes:
        return image
    if image.mode in ("LA", "RGBA") and "RGBA" in modes:
        return image.convert("RGBA")
    rgb = to_rgb(image)
    return rgb.convert("L") if image.mode in ("I", "I;16", "F") and "L" in modes else rgb


def _jpeg_options(mode: str, original: Image.Image) -> dict[str, Any]:
    tables = getattr(original, "quantization", None)
    if not tables:
        return {"quality": _JPEG_QUALITY}
    if mode == "L":
        return {"qtables": [tables[min(tables)]]}
    sampling = JpegImagePlugin.get_sampling(original) if original.mode == mode else 0
    return {"qtables": tables, "subsampling": sampling}


def _fitting_profile(original: Image.Image, mode: str) -> bytes | None:
    """The original's ICC profile, if it is for the colour space of `mode` (its bytes 16 to 20 name that)."""
    profile = original.info.get("icc_profile")
    return profile if profile and profile[16:20] == _ICC_SPACES.get(mode) else None


def _upright_exif(original: Image.Image) -> bytes | None:
    try:
        exif = original.getexif()
        if not exif:
            return None
        exif.pop(ExifTags.Base.Orientation, None)
        return exif.tobytes()
    except Exception:  # Broken EXIF raises nearly anything; it is not worth keeping.
        return None
