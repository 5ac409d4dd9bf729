"""Images whose headers lie about their size."""

import struct
import zlib
from collections.abc import Iterator
from typing import Literal

# Nothing at all; within what is read, so that a decoder begins; more than memory holds; more than a number holds.
SIZES = ((0, 0), (0, 9), (4000, 4000), (65535, 65535), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1))


def images(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in sound.items():
        image_format = name.partition("-")[0]
        for width, height in SIZES:
            forged = forge(image_format, content, width, height)
            if forged is not None and forged != content:
                yield f"{width}x{height} {name}", forged


def forge(image_format: str, content: bytes, width: int, height: int) -> bytes | None:
    """The content with another size in its header, or None where it has none that is known here."""
    out = bytearray(content)

    def put(place: int, layout: str, *values: int) -> None:
        bits = 8 * struct.calcsize(layout[:1] + layout[-1])
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if layout[-1].islower() else (0, (1 << bits) - 1)
        if layout[-1] in "hi":
            values = tuple(value - (1 << bits) if 1 << bits - 1 <= value < 1 << bits else value for value in values)
        struct.pack_into(layout, out, place, *(max(least, min(value, most)) for value in values))

    match image_format:
        case "PNG":
            put(16, ">II", width, height)
            put(29, ">I", zlib.crc32(bytes(out[12:29])))
        case "GIF":
            put(6, "<HH", width, height)
            frame = content.find(b",\0\0\0\0")
            if frame > 0 and width % 2 == 0:  # the canvas alone, or the frame too
                put(frame + 5, "<HH", width, height)
        case "BMP":
            put(18, "<ii", width, height)
        case "DIB":
            put(4, "<ii", width, height)
        case "JPEG" | "MPO":
            place = _start_of_frame(content)
            put(place + 5, ">HH", height, width)
        case "TIFF":
            _forge_tiff(out, width, height)
        case "WEBP":
            _forge_webp(out, width, height)
        case "AVIF":
            place = content.find(b"ispe")
            put(place + 8, ">II", width, height)
        case "JPEG2000":
            if (place := content.find(b"ihdr")) > 0:
                put(place + 4, ">II", height, width)
            place = content.find(b"\xff\x51")
            put(place + 6, ">II", width, height)
            if width % 2:  # and one tile as large as the image
                put(place + 22, ">II", width, height)
        case "PSD":
            put(14, ">II", height, width)
        case "TGA":
            put(12, "<HH", width, height)
        case "SGI":
            put(6, ">HH", width, height)
        case "PCX":
            put(8, "<HH", max(0, width - 1), max(0, height - 1))
            put(66, "<H", width)
        case "DDS":
            put(12, "<II", height, width)
        case "QOI":
            put(4, ">II", width, height)
        case "SUN":
            put(4, ">II", width, height)
        case "MSP":
            put(4, "<HH", width, height)
        case "ICO":
            return _forge_inner(content, width, height)
        case "ICNS":
            return _forge_inner(content, width, height)
        case "PPM" | "XBM" | "IM":
            return content.replace(b"37", b"%d" % width, 1).replace(b"29", b"%d" % height, 1)
        case _:
            return None
    return bytes(out)


def _start_of_frame(content: bytes) -> int:
    place = 2
    while content[place + 1] not in (0xC0, 0xC1, 0xC2):
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return place


def _forge_tiff(out: bytearray, width: int, height: int) -> None:
    """Width and height, and every second time the rows of a strip, of the first directory."""
    if out[2:3] == b"\x2b":  # BigTIFF
        start, step, value = int.from_bytes(out[8:16], "little"), 20, 12
        count, first = int.from_bytes(out[start : start + 8], "little"), start + 8
    else:
        order: Literal["little", "big"] = "little" if out[:2] == b"II" else "big"
        start, step, value = int.from_bytes(out[4:8], order), 12, 8
        count, first = int.from_bytes(out[start : start + 2], order), start + 2
    layout = "<HHI" if out[:2] == b"II" else ">HHI"
    wanted = {256: width, 257: height} | ({278: height} if width % 2 else {})
    for entry in range(first, first + count * step, step):
        tag = struct.unpack_from(layout[:2], out, entry)[0]
        if tag in wanted:
            struct.pack_into(layout[:3], out, entry, tag, 4)
            struct.pack_into(layout[0] + "I", out, entry + value, min(wanted[tag], 2**32 - 1))


def _forge_webp(out: bytearray, width: int, height: int) -> None:
    width, height = max(1, width), max(1, height)
    kind = bytes(out[12:16])
    if kind == b"VP8X":
        out[24:27] = min(width - 1, 2**24 - 1).to_bytes(3, "little")
        out[27:30] = min(height - 1, 2**24 - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(out[21:25], "little") & ~0xFFFFFFF
        bits |= min(width - 1, 0x3FFF) | min(height - 1, 0x3FFF) << 14
        out[21:25] = bits.to_bytes(4, "little")
    else:
        struct.pack_into("<HH", out, 26, min(width, 0x3FFF), min(height, 0x3FFF))


def _forge_inner(content: bytes, width: int, height: int) -> bytes | None:
    """An icon whose picture inside is a PNG of another size than the icon tells."""
    start = content.find(b"\x89PNG")
    if start < 0:
        return None
    inner = forge("PNG", content[start:], width, height)
    return content[:start] + inner if inner else None
