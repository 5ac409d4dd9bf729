"""Files that are not what they look like, that attack who reads or shows them, or that have odd names."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.datasets.corpus_sound import encode, picture, png, tiff

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(document.domain)</script></svg>'
HTML = b"<!DOCTYPE html><html><body><script>alert(document.cookie)</script></body></html>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\ntrailer<</Root 1 0 R>>\n"
XML = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a xmlns="x">&b;</a>'
XHTML = b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'
ACTIVE = {"svg": SVG, "html": HTML, "pdf": PDF, "xml": XML, "xhtml": XHTML}


def files(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    yield from _active(sound)
    yield from _poor(sound)
    yield from _bombs()
    yield from _loops()
    yield from _named(sound)


def _active(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """What a browser would run if it were told, or guessed, its type."""
    gif = sound["GIF-P.gif"]
    for kind, content in ACTIVE.items():
        for suffix in (kind, "png", "jpg", "tga", "txt", "csv", "tiff"):
            yield f"{kind} as.{suffix}", content
        yield f"{kind} after a jpeg.{kind}", sound["JPEG-RGB.jpg"] + content
        yield (
            f"{kind} in a png.{kind}",
            png((1, 1, 8, 0, 0), (b"tEXt", b"a\0" + content), (b"IDAT", zlib.compress(b"\0\0"))),
        )
        yield f"{kind} with blanks.png", b" \n" * 2000 + content
        yield f"{kind} in utf-16.{kind}", content.decode().encode("utf-16")
    yield "script.gif", b"GIF89a=1/*" + gif[10:] + b"*/;alert(1)//"
    yield "script.js", b"GIF89a=1;alert(1)"
    yield "bitmap.js", b"BM=1;alert(1)" + b" " * 60
    yield "page.bmp", sound["BMP-RGB.bmp"].replace(b"\0\0\0\0", HTML[:4], 1) + HTML
    yield "profile.html", encode(picture(), "PNG", icc_profile=HTML)
    exif = Image.Exif()
    exif[0x010E] = HTML.decode()
    yield "description.jpg", encode(picture(), "JPEG", exif=exif.tobytes())


def _poor(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Nearly nothing, rubbish before and after, one thing for another."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.html", HTML)
    packed = buffer.getvalue()
    jpeg, image = sound["JPEG-RGB.jpg"], sound["PNG-RGB.png"]
    for suffix in ("jpg", "png", "tga", "csv", "txt", ""):
        dot = f".{suffix}" if suffix else ""
        yield f"empty{dot}", b""
        yield f"one byte{dot}", b"\0"
        yield f"one letter{dot}", b"a"
        yield f"zeros{dot}", bytes(5000)
        yield f"ones{dot}", b"\xff" * 5000
        yield f"all bytes{dot}", bytes(range(256)) * 20
        yield f"words{dot}", b"label,1\nno image here\n" * 50
        yield f"packed{dot}", packed
    yield "jpeg and rubbish.jpg", jpeg + bytes(range(256)) * 9
    yield "jpeg and zip.jpg", jpeg + packed
    yield "rubbish and jpeg.jpg", b"rubbish" + jpeg
    yield "jpeg twice.jpg", jpeg + jpeg
    yield "png and zip.png", image + packed
    yield "line ends changed.png", image.replace(b"\r\n", b"\n")
    yield "line ends changed.jpg", jpeg.replace(b"\n", b"\r\n")
    yield "utf-8.jpg", jpeg.decode("latin-1").encode()
    yield "without pixels.png", png((9, 9, 8, 2, 0))
    yield "without end.png", image[:-12]
    yield "bits of no kind.png", png((9, 9, 7, 5, 3), (b"IDAT", zlib.compress(bytes(99))))
    yield "pixels missing.png", png((500, 500, 8, 2, 0), (b"IDAT", zlib.compress(bytes(1000))))
    yield "palette missing.png", png((9, 9, 8, 3, 0), (b"IDAT", zlib.compress(bytes(90))))
    yield (
        "palette too short.png",
        png((9, 9, 8, 3, 0), (b"PLTE", b"abc"), (b"IDAT", zlib.compress(b"\0" + b"\xff" * 9 * 9))),
    )
    yield "header alone.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    yield "end alone.jpg", b"\xff\xd8\xff\xd9"
    yield "markers only.jpg", b"\xff\xd8" + b"\xff" * 100_000
    yield "not a number.tif", encode(Image.new("F", (9, 9), float("nan")), "TIFF")
    yield "for ever.tif", encode(Image.new("F", (9, 9), float("inf")), "TIFF")
    yield "greatest.tif", encode(Image.new("F", (9, 9), 3.4e38), "TIFF")
    yield "least.tif", encode(Image.new("I", (9, 9), -(2**31)), "TIFF")


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Little that becomes much."""
    much = zlib.compress(bytes(64 << 20), 9)
    row = zlib.compress(b"\0\0")
    yield "text.png", png((1, 1, 8, 0, 0), (b"zTXt", b"a\0\0" + much), (b"IDAT", row))
    yield (
        "texts.png",
        png((1, 1, 8, 0, 0), *([(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20)))] * 200), (b"IDAT", row)),
    )
    yield "international.png", png((1, 1, 8, 0, 0), (b"iTXt", b"a\0\1\0\0\0" + much), (b"IDAT", row))
    yield "profile.png", png((1, 1, 8, 0, 0), (b"iCCP", b"a\0\0" + much), (b"IDAT", row))
    yield "chunks.png", png((1, 1, 8, 0, 0), *([(b"tEXt", b"a\0b")] * 20_000), (b"IDAT", row))
    yield "pixels.png", png((20_000, 20_000, 1, 0, 0), (b"IDAT", zlib.compress(bytes(2501 * 20_000), 9)))
    yield "more pixels than told.png", png((9, 9, 8, 0, 0), (b"IDAT", much))
    yield (
        "frames.png",
        png(
            (9, 9, 8, 0, 0),
            (b"acTL", struct.pack(">II", 2**31 - 1, 0)),
            *[(b"fcTL", struct.pack(">IIIIIHHBB", n, 9, 9, 0, 0, 1, 1, 0, 0)) for n in range(2000)],
            (b"IDAT", zlib.compress(bytes(90))),
        ),
    )
    frame = b"!\xf9\4\0\1\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    yield "frames.gif", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 10_000 + b";"
    yield "canvas.gif", b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff" + frame + b";"
    yield (
        "comments.gif",
        b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + b"!\xfe" + b"\xffx" * 2**15 + b"\0" + frame + b";",
    )
    yield "claims.ico", b"\0\0\1\0\xff\xff" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 2**31, 22) * 400
    yield "icons.ico", b"\0\0\1\0\xff\xff" + bytes(16) * 65535
    yield "blocks.icns", b"icns" + struct.pack(">I", 8 + 8 * 5000) + (b"ic10" + struct.pack(">I", 8)) * 5000
    yield "long.icns", b"icns\xff\xff\xff\xffic10\xff\xff\xff\xff" + bytes(64)
    yield (
        "layers.psd",
        struct.pack(">4sHxxxxxxHIIHH", b"8BPS", 1, 3, 9, 9, 8, 3)
        + struct.pack(">IIIIh", 0, 0, 2**31 - 1, 2**31 - 1, 32767)
        + bytes(500),
    )
    scans = encode(picture(size=(2000, 2000)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    yield "scans.jpg", scans[:last] + scans[last:-2] * 3 + b"\xff\xd9"
    yield "scan bomb.jpg", scan_bomb(2000, 200)


def scan_bomb(side: int, scans: int) -> bytes:
    """A grey progressive JPEG: each of its scans is some bytes that go over all of the image."""
    blocks = (side + 7) // 8
    head = b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64
    head += b"\xff\xc2" + struct.pack(">HBHHBBBB", 11, 8, side, side, 1, 1, 0x11, 0)
    # One code, `0`: of the symbol that ends 2^14 blocks and takes 14 more bits, and of a difference of nothing.
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + b"\1" + bytes(15) + b"\xe0"
    head += b"\xff\xc4" + struct.pack(">HB", 20, 0x00) + b"\1" + bytes(15) + b"\0"
    first = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 0, 0) + bytes(blocks * blocks // 8 + 1)
    runs = -(-blocks * blocks // 32767)
    bits = ("0" + "1" * 14) * runs
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big")
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 63, 0) + packed.replace(b"\xff", b"\xff\0")
    return head + first + scan * scans + b"\xff\xd9"


def _loops() -> Iterator[tuple[str, bytes]]:
    """Directories that lead back to themselves, or that go on for ever."""

    def long(value: int) -> tuple[int, int, bytes]:
        return (4, 1, struct.pack("<I", value))

    pixel = {
        256: long(1),
        257: long(1),
        258: long(8),
        259: long(1),
        262: long(1),
        273: long(8),
        278: long(1),
        279: long(1),
    }
    yield "itself.tif", tiff(pixel, next_ifd=8)
    yield "itself as exif.tif", tiff(pixel | {34665: long(8)}, next_ifd=8)
    yield "itself as sub.tif", tiff(pixel | {330: long(8), 34665: long(8), 34853: long(8), 40965: long(8)})
    link = b"".join(struct.pack("<HI", 0, 8 + 6 * n) for n in range(1, 20_000))
    yield "chain.tif", b"II*\0\x08\0\0\0" + link
    yield "deep.tif", tiff(pixel, next_ifd=8 + 2 + 12 * len(pixel) + 4, body=link)
    yield "many tags.tif", tiff({n: long(n) for n in range(65535)})
    yield "value beyond.tif", tiff(pixel | {270: (2, 2**31, struct.pack("<I", 8)), 700: (1, 2**32 - 1, b"\0\0\0\0")})
    yield "strips.tif", tiff(pixel | {273: (4, 2**28, struct.pack("<I", 8)), 279: (4, 2**28, struct.pack("<I", 8))})
    yield "tiles.tif", tiff(pixel | {322: long(2**31), 323: long(2**31), 324: long(8), 325: long(1)})
    yield (
        "packed tiles.tif",
        tiff(pixel | {259: long(8), 322: long(2**16), 323: long(2**16), 324: long(8), 325: long(1)}),
    )
    yield "samples.tif", tiff(pixel | {277: long(65535), 258: (3, 65535, struct.pack("<I", 8))})
    yield "wide samples.tif", tiff(pixel | {256: long(8000), 257: long(8000), 259: long(5), 277: long(4)})
    exif = b"Exif\0\0" + tiff({34665: long(8), 34853: long(8), 40965: long(8), 274: long(6)}, next_ifd=8)
    yield "exif.jpg", encode(picture(), "JPEG", exif=exif)
    yield "exif.png", encode(picture(), "PNG", exif=exif[6:])
    yield "exif.webp", encode(picture(), "WEBP", exif=exif)
    mp = b"MPF\0" + tiff({0xB000: (7, 4, b"0100"), 0xB001: long(2**32 - 1), 0xB002: (7, 2**31, struct.pack("<I", 8))})
    jpeg = encode(picture(), "JPEG")
    yield "pictures.jpg", jpeg[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(mp)) + mp + jpeg[2:]
    yield "boxes.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 " + b"\0\0\0\x08jp2h" * 20_000
    yield "box of nothing.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0jp2h\0\0\0\0ihdr" + bytes(99)
    yield "boxes.avif", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + b"\0\0\0\x08meta" * 20_000


def _named(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    image = sound["PNG-L.png"]
    odd = (
        *(
            "고양이 사진.png",
            "猫.PNG",
            "\U0001f40d.png",
            "e\u0301.png",
            "\u202egnp.exe.png",
            "….png",
            "a b  c.png",
            "100%.png",
        ),
        *("%2e%2e%2fetc.png", "a;b&c=d.png", 'quote".png', "it's.png", "<script>alert(1)<.png", "{{ 7*7 }}.png"),
        *("$(id).png", "`id`.png", "-rf.png", "*.png", "a#b?c.png", "tab.png.exe", ".png", "png", "a.png.", "CON.png"),
        "x" * 200 + ".png",
    )
    for name in odd:
        yield name, image
