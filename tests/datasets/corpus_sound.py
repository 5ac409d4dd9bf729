"""Sound images: each format that Pillow writes in each mode that it takes, their variants, and some made by hand."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageCms

MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "I;16", "I;16L", "I;16B", "F"),
)
SIZE = (37, 29)
_SUFFIXES = {
    "JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif", "PPM": "ppm", "SUN": "ras",
    "SPIDER": "spi", "GRIB": "grb", "HDF5": "h5",
}  # fmt: skip
_COMPRESSIONS = (
    *("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4", "tiff_lzma", "zstd", "webp"),
    "tiff_raw_16",
)


def images() -> dict[str, bytes]:
    """Content by name; a name is `<FORMAT>-<mode and variant>.<suffix>`."""
    made: dict[str, bytes] = {}
    Image.init()
    for image_format in sorted(Image.SAVE):
        for mode in MODES if image_format != "ICNS" else ("1", "P", "RGBA", "I;16"):
            content = _try(partial(_pictured, mode, image_format))
            if content is not None:
                made[_name(image_format, mode)] = content
    for image_format, variant, image, options in _variants():
        content = _try(partial(_drawn, image, image_format, options))
        if content is not None:
            made[_name(image_format, variant)] = content
    made |= {_name(image_format, variant): content for image_format, variant, content in _by_hand()}
    return made


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture without symmetry, something of everything in it."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    rgb = Image.fromarray(np.stack([x, y, (x * y / 255 + 40 * np.sin(x / 9)) % 256], axis=-1).astype(np.uint8))
    alpha = Image.fromarray(((x + 2 * y) / 3).astype(np.uint8))
    grey = np.asarray(rgb.convert("L"))
    match mode:
        case "RGBA" | "RGBa":
            rgb.putalpha(alpha)
            return rgb.convert(mode)
        case "LA" | "La" | "PA":
            grey_alpha = rgb.convert("L")
            grey_alpha.putalpha(alpha)
            return grey_alpha.convert(mode)
        case "I":
            return Image.fromarray(grey.astype(np.int32) * 70_000 - 5)
        case "I;16" | "I;16L":
            return Image.fromarray(grey.astype(np.uint16) * 257)
        case "I;16B":
            return Image.frombytes("I;16B", size, (grey.astype(">u2") * 257).tobytes())
        case "F":
            return Image.fromarray(grey.astype(np.float32) / 255)
        case "LAB":
            profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
            return ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB") or rgb
    return rgb.convert(mode)


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: tuple[int, int, int, int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (width, height, bits, colour type, interlace) and these chunks."""
    width, height, bits, colour, interlace = header
    ihdr = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    body = b"".join(png_chunk(kind, data) for kind, data in ((b"IHDR", ihdr), *chunks, (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(tags: dict[int, tuple[int, int, bytes]], *, next_ifd: int = 0, body: bytes = b"") -> bytes:
    """A little-endian TIFF: tag -> (type, count, four bytes of value); `body` lies after the directory."""
    entries = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, (kind, count, value) in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", next_ifd) + body


def _pictured(mode: str, image_format: str) -> bytes:
    return encode(picture(mode), image_format)


def _drawn(draw: Callable[[], Image.Image], image_format: str, options: dict[str, Any]) -> bytes:
    return encode(draw(), image_format, **options)


def _same(image: Image.Image) -> Image.Image:
    return image


def _reduced(colours: int) -> Image.Image:
    return picture().quantize(colours)


def _name(image_format: str, variant: str) -> str:
    suffix = _SUFFIXES.get(image_format, image_format.lower())
    return f"{image_format}-{variant.replace(';', '_')}.{suffix}"


def _try(make: Callable[[], bytes]) -> bytes | None:
    try:
        return make()
    except Exception:  # a mode that the format does not take, in the words of its encoder
        return None


def _variants() -> Iterator[tuple[str, str, Callable[[], Image.Image], dict[str, Any]]]:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [picture(size=(20 + n, 15)).resize((20, 15)).rotate(n * 30) for n in range(1, 4)]
    rgba_frames = [frame.convert("RGBA") for frame in frames]
    for image_format in ("GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO"):
        each = rgba_frames if image_format in ("GIF", "PNG", "WEBP") else frames
        options: dict[str, Any] = {"save_all": True, "append_images": each[1:]}
        yield image_format, "frames", partial(_same, each[0]), options
    for orientation in range(1, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for image_format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
            yield image_format, f"turned{orientation}", picture, {"exif": exif.tobytes()}
    for image_format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        yield image_format, "icc", picture, {"icc_profile": icc}
        yield image_format, "icc-nonsense", picture, {"icc_profile": b"no profile at all" * 9}
        yield image_format, "icc-on-grey", partial(picture, "L"), {"icc_profile": icc}
    for quality in (1, 100):
        for image_format in ("JPEG", "WEBP", "AVIF"):
            yield image_format, f"quality{quality}", picture, {"quality": quality}
    yield "JPEG", "progressive", picture, {"progressive": True}
    yield "JPEG", "progressive-cmyk", partial(picture, "CMYK"), {"progressive": True, "quality": 90}
    yield "JPEG", "restarts", picture, {"restart_marker_blocks": 1}
    yield "JPEG", "keep-rgb", picture, {"keep_rgb": True}
    yield "JPEG", "comment", picture, {"comment": b"<script>alert(1)</script>" * 100}
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield "JPEG", f"sampling{sampling.replace(':', '')}", picture, {"subsampling": sampling}
    yield "WEBP", "lossless", partial(picture, "RGBA"), {"lossless": True}
    yield "AVIF", "lossless", picture, {"quality": 100, "subsampling": "4:4:4"}
    yield "AVIF", "grey", partial(picture, "L"), {"subsampling": "4:0:0"}
    yield "PNG", "transparent-colour", picture, {"transparency": (0, 0, 0)}
    yield "PNG", "transparent-grey", partial(picture, "L"), {"transparency": 7}
    yield "PNG", "transparent-one-bit", partial(picture, "1"), {"transparency": 1}
    yield "PNG", "transparent-palette", partial(picture, "P"), {"transparency": bytes(range(256))}
    yield "PNG", "transparent-entry", partial(picture, "P"), {"transparency": 3}
    yield "GIF", "transparent-entry", partial(picture, "P"), {"transparency": 3}
    yield "GIF", "interlaced", partial(picture, "P"), {"interlace": 1}
    for bits in (1, 2, 4):
        yield "PNG", f"palette{bits}", partial(_reduced, 2**bits), {"bits": bits}
    for compression in _COMPRESSIONS:
        for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"):
            yield "TIFF", f"{mode}-{compression}", partial(picture, mode), {"compression": compression}
    yield "TIFF", "big", picture, {"big_tiff": True}
    yield "TIFF", "strips", picture, {"compression": "tiff_lzw", "tiffinfo": {278: 3}}
    yield "TIFF", "predictor", picture, {"compression": "tiff_lzw", "tiffinfo": {317: 2}}
    yield "TIFF", "resolution", picture, {"dpi": (1e-9, 1e9)}
    layouts: dict[str, dict[str, Any]] = {
        "lossy": {"quality_layers": [40], "irreversible": True},
        "tiles": {"tile_size": (16, 16)},
        "plain": {"no_jp2": True},
        "layers": {"quality_layers": [80, 40, 1]},
        "levels": {"num_resolutions": 2, "progression": "RPCL"},
    }
    for name, options in layouts.items():
        yield "JPEG2000", name, picture, options
    yield "JPEG2000", "rgba-tiles", partial(picture, "RGBA"), {"tile_size": (8, 8)}
    yield "ICO", "sizes", partial(picture, "RGBA", (64, 64)), {"sizes": [(16, 16), (32, 32), (64, 64)]}
    yield "ICO", "bmp", partial(picture, "RGBA", (48, 48)), {"sizes": [(48, 48)], "bitmap_format": "bmp"}
    yield "ICNS", "large", partial(picture, "RGBA", (128, 128)), {}
    yield "TGA", "packed", picture, {"compression": "tga_rle"}
    yield "TGA", "packed-palette", partial(picture, "P"), {"compression": "tga_rle"}
    yield "TGA", "upwards", partial(picture, "RGBA"), {"orientation": 1}
    yield "SGI", "wide", partial(picture, "L"), {"bpc": 2}
    for pixel_format in ("DXT1", "DXT3", "DXT5", "BC2", "BC3", "BC5"):
        yield "DDS", pixel_format, partial(picture, "RGBA", (36, 28)), {"pixel_format": pixel_format}
    for image_format in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM"):
        for name, size in {"dot": (1, 1), "row": (3000, 1), "column": (1, 3000)}.items():
            yield image_format, name, partial(picture, size=size), {}
        yield image_format, "photo", partial(picture, size=(700, 500)), {}


def _by_hand() -> Iterator[tuple[str, str, bytes]]:
    width, height = SIZE
    rgb, grey = picture(), picture("L")
    rows = np.asarray(rgb)
    wide = (rows.astype(">u2") * 257).reshape(height, -1)
    for colour, name, channels in ((2, "rgb48", 3), (6, "rgba64", 4), (4, "la32", 2)):
        values = np.zeros((height, width, channels), ">u2")
        values[..., :] = wide.reshape(height, width, 3)[..., [0, 1, 2, 0][:channels]]
        raw = b"".join(b"\0" + row.tobytes() for row in values)
        yield "PNG", name, png((width, height, 16, colour, 0), (b"IDAT", zlib.compress(raw)))
    yield "PNG", "interlaced", png((width, height, 8, 0, 1), (b"IDAT", zlib.compress(_adam7(np.asarray(grey)))))
    header = struct.pack(">4sHxxxxxxHIIHH", b"8BPS", 1, 3, height, width, 8, 3) + bytes(12)
    yield "PSD", "rgb", header + struct.pack(">H", 0) + rows.transpose(2, 0, 1).tobytes()
    lines = [bytes([width - 1]) + line.tobytes() for plane in rows.transpose(2, 0, 1) for line in plane]
    counts = struct.pack(f">{len(lines)}H", *map(len, lines))
    yield "PSD", "packed", header + struct.pack(">H", 1) + counts + b"".join(lines)
    grey_header = struct.pack(">4sHxxxxxxHIIHH", b"8BPS", 1, 1, height, width, 8, 1) + bytes(12)
    yield "PSD", "grey", grey_header + struct.pack(">H", 0) + grey.tobytes()
    cmyk_header = struct.pack(">4sHxxxxxxHIIHH", b"8BPS", 1, 4, height, width, 8, 4) + bytes(12)
    planes = b"".join(plane.tobytes() for plane in picture("CMYK").split())
    yield "PSD", "cmyk", cmyk_header + struct.pack(">H", 0) + planes
    padded = np.pad(np.asarray(grey), ((0, 0), (0, width % 2)))
    sun = struct.pack(">8I", 0x59A66A95, width, height, 8, padded.size, 1, 0, 0)
    yield "SUN", "grey", sun + padded.tobytes()
    bgr = np.pad(rows[..., ::-1].reshape(height, -1), ((0, 0), (0, 3 * width % 2)))
    yield "SUN", "rgb", struct.pack(">8I", 0x59A66A95, width, height, 24, bgr.size, 1, 0, 0) + bgr.tobytes()
    yield "BMP", "rle8", _bmp(8, 1, b"".join(bytes([width, line % 256, 0, 0]) for line in range(height)) + b"\0\1")
    yield "BMP", "rgb555", _bmp(16, 0, bytes((width * 2 + 3) // 4 * 4 * height))
    yield "BMP", "upside-down", _bmp(24, 0, bytes((width * 3 + 3) // 4 * 4 * height), height=-height)
    yield "CUR", "bmp", b"\0\0\2\0" + encode(picture("RGBA", (32, 32)), "ICO", bitmap_format="bmp")[4:]
    yield "DCX", "one", struct.pack("<3I", 987654321, 12, 0) + encode(rgb, "PCX")
    yield (
        "XPM",
        "two",
        b'/* XPM */\nchar *a[] = {\n"2 2 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"ab",\n"ba"\n};\n',
    )
    yield "FITS", "grey", _fits(np.asarray(grey))
    yield "FLI", "one", _fli()
    yield (
        "PIXAR",
        "rgb",
        (b"\200\350\0\0" + bytes(412) + struct.pack("<4H", height, width, 14, 2)).ljust(1024, b"\0") + (rgb.tobytes()),
    )
    yield "XVTHUMB", "one", b"P7 332\n#END_OF_COMMENTS\n8 8 255\n" + bytes(range(64))
    yield "GBR", "grey", struct.pack(">7I", 32, 2, 8, 8, 1, int.from_bytes(b"GIMP", "big"), 5) + b"abc\0" + bytes(64)
    yield "PPM", "plain", b"P3\n# <script>\n2 2\n255\n" + b"255 0 0 0 255 0 0 0 255 9 9 9\n"
    yield "PPM", "bits", b"P1\n8 2\n1 0 1 0 1 0 1 0\n0 1 0 1 0 1 0 1\n"
    yield "PPM", "wide", b"P5\n2 2\n65535\n" + bytes(range(8))
    yield "PPM", "float", b"Pf\n2 2\n-1.0\n" + struct.pack("<4f", 0, 0.5, 1, float("nan"))
    yield "PAM", "by-hand", b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nENDHDR\n" + bytes(range(16))
    yield "EPS", "by-hand", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run quit\n%%EOF\n"
    yield (
        "WMF",
        "by-hand",
        struct.pack("<IHhhhhHI", 0x9AC6CDD7, 0, 0, 0, 99, 99, 1440, 0) + b"\0\0\1\0\t\0\0\3" + bytes(40),
    )
    yield "EMF", "by-hand", struct.pack("<10I", 1, 108, 0, 0, 9, 9, 0, 0, 900, 900) + b" EMF" + bytes(64)
    yield "MPEG", "by-hand", b"\0\0\1\xb3\x14\x00\xf0\x13" + bytes(99)
    yield "MCIDAS", "by-hand", b"\0\0\0\0\0\0\0\4" + bytes(248) + bytes(99)
    yield "IPTC", "by-hand", b"\x1c\3\x3c\0\2\1\0\x1c\3\x14\0\1\x08\x1c\3\x1e\0\1\x08\x1c\x08\x0a\0\4abcd"
    yield "FTEX", "by-hand", b"FTEX" + struct.pack("<7I", 0x00010200, 4, 4, 1, 1, 1, 36) + bytes(64)


def _adam7(pixels: np.ndarray) -> bytes:
    """The seven passes of an interlaced 8-bit grey PNG, not filtered."""
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = (pixels[y::dy, x::dx] for y, x, dy, dx in starts)
    return b"".join(b"\0" + row.tobytes() for each in passes if each.size for row in each)


def _bmp(bits: int, compression: int, pixels: bytes, *, height: int = SIZE[1]) -> bytes:
    palette = bytes(1024) if bits == 8 else b""
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    return (
        head + struct.pack("<IiiHHIIiiII", 40, SIZE[0], height, 1, bits, compression, 0, 0, 0, 0, 0) + palette + pixels
    )


def _fits(pixels: np.ndarray) -> bytes:
    cards = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 2, "NAXIS1": pixels.shape[1], "NAXIS2": pixels.shape[0]}
    text = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    return text.ljust(2880).encode() + pixels.tobytes()


def _fli() -> bytes:
    frame = struct.pack("<IHH8x", 16 + 6 + 64, 0xF1FA, 1) + struct.pack("<IH", 70, 16) + bytes(64)
    return struct.pack("<IHHHHHHI", 128 + len(frame), 0xAF11, 1, 8, 8, 8, 0, 5).ljust(128, b"\0") + frame
