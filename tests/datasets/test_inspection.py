"""What is accepted and refused on the way in, and with which words."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image, ImageCms, ImageOps

from datasets.inspection.files import FileReport, inspect_file
from datasets.inspection.images import ImageError, fit_rgb, read_rgb
from datasets.inspection.names import NameRefused, check_name
from datasets.inspection.parallel import map_files
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from tests.datasets.corpus_strange import scan_bomb


def photo(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth RGB picture without symmetry."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + 2 * y) / 3], axis=-1).astype(np.uint8))


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of one bit per pixel that decodes to width x height zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def inspect(folder: Path, name: str, content: bytes) -> FileReport:
    path = folder / "stored"
    path.write_bytes(content)
    return inspect_file(path, name, folder / "thumbnail.jpg")


class TestReadRgb:
    @pytest.mark.parametrize(
        ("mode", "tolerance"),
        [
            ("1", 0),
            ("L", 0),
            ("LA", 0),
            ("P", 60),
            ("RGB", 0),
            ("RGBA", 0),
            ("CMYK", 1),
            ("LAB", 40),  # 8-bit Lab is coarse at the edge of the gamut
            ("I;16", 0),
            ("F", 0),
        ],
    )
    def test_every_mode_becomes_8_bit_rgb(self, mode, tolerance):
        expected = photo() if mode in ("P", "RGB", "RGBA", "CMYK", "LAB") else photo().convert("L")
        if mode == "LAB":
            profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
            image = ImageCms.profileToProfile(expected, *profiles, outputMode="LAB") or expected
        elif mode == "I;16":
            image = Image.fromarray(np.asarray(expected).astype(np.uint16) * 257)
        else:
            expected = photo().convert("1") if mode == "1" else expected
            image = expected.convert(mode)
        pixels = read_rgb(encode(image, "TIFF"))
        assert pixels.shape == (32, 48, 3)
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - np.asarray(expected.convert("RGB"))).max() <= tolerance

    def test_16_bit_is_scaled_not_clipped(self):
        values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
        pixels = read_rgb(encode(Image.fromarray(values), "PNG"))
        assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]

    def test_first_frame_of_an_animation(self):
        frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
        for image_format in ("GIF", "PNG", "WEBP"):
            source = encode(frames[0], image_format, save_all=True, append_images=frames[1:], duration=50)
            assert (read_rgb(source)[3, 3] - np.array([255, 0, 0]) < 4).all(), image_format

    def test_transparency_is_composited_on_black(self):
        image = Image.new("RGBA", (2, 1), (200, 100, 50, 255))
        image.putpixel((1, 0), (200, 100, 50, 0))
        assert read_rgb(encode(image, "PNG")).tolist() == [[[200, 100, 50], [0, 0, 0]]]

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation_is_applied(self, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        source = encode(photo(), "PNG", exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source))))
        assert np.array_equal(read_rgb(source), expected)

    def test_broken_exif_does_not_spoil_sound_pixels(self):
        source = encode(photo(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")
        assert read_rgb(source).shape == (32, 48, 3)

    def test_path_bytes_and_file_give_the_same(self, tmp_path):
        source = encode(photo(), "JPEG")
        (tmp_path / "a").write_bytes(source)
        assert np.array_equal(read_rgb(tmp_path / "a"), read_rgb(source))
        assert np.array_equal(read_rgb(io.BytesIO(source)), read_rgb(source))

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            (b"", "empty_file"),
            (b"hello, world\n", "not_an_image"),
            (bytes(range(256)) * 9, "not_an_image"),
            (encode(photo(), "JPEG")[:-200], "truncated"),
            (encode(photo(), "PNG")[:-200], "truncated"),
            (encode(photo(), "BMP")[:-200], "truncated"),
            (encode(photo(), "JPEG")[:20], "corrupt"),
            (png_header(10_000, 10_000), "too_many_pixels"),
            (scan_bomb(80, 200), "too_many_scans"),
            (png_header(100_000, 100_000)[:500], "too_many_pixels"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        ],
    )
    def test_what_is_no_sound_image_is_refused_with_the_reason(self, source, reason):
        with pytest.raises(ImageError) as caught:
            read_rgb(source)
        assert caught.value.reason == reason

    def test_fit_is_pillows_bilinear(self):
        pixels = np.asarray(photo())
        expected = np.asarray(photo().resize((20, 30), Image.Resampling.BILINEAR))
        assert np.array_equal(fit_rgb(pixels, width=20, height=30), expected)


class TestInspectFile:
    def test_image_is_described_upright_and_gets_a_thumbnail(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        report = inspect(tmp_path, "사진 1.JPG", encode(photo(1200, 800), "JPEG", exif=exif))
        assert (report.state, report.content, report.format, report.mode) == ("ok", "image", "JPEG", "RGB")
        assert (report.width, report.height) == (800, 1200)
        assert len(report.sha256) == 64
        with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
            assert thumbnail.size == (171, 256)
            assert not thumbnail.getexif()
            expected = photo(1200, 800).transpose(Image.Transpose.ROTATE_270).resize((171, 256))
            assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(expected)).mean() < 3

    def test_a_small_plain_jpeg_is_its_own_thumbnail(self, tmp_path):
        exif = Image.Exif()
        exif[0x010F] = "maker"
        assert inspect(tmp_path, "a.jpg", encode(photo(), "JPEG")).is_thumbnail
        assert not (tmp_path / "thumbnail.jpg").exists()
        for other in (
            encode(photo(), "JPEG", exif=exif.tobytes()),  # it tells more than its pixels
            encode(photo().convert("CMYK"), "JPEG"),
            encode(photo(), "PNG"),
            encode(photo(300, 200), "JPEG"),
        ):
            report = inspect(tmp_path, "a.jpg", other)
            assert not report.is_thumbnail
            with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
                assert not thumbnail.getexif()
            (tmp_path / "thumbnail.jpg").unlink()

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
    def test_thumbnails_of_large_images_of_unusual_modes(self, tmp_path, mode):
        image = photo(600, 400)
        image = (
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
            if mode == "I;16"
            else image.convert(mode)
        )
        report = inspect(tmp_path, "a.tif", encode(image, "TIFF"))
        assert (report.state, report.mode) == ("ok", mode)
        with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
            expected = np.asarray(photo(256, 171).convert("L"))
            assert np.abs(np.asarray(thumbnail.convert("L")).astype(int) - expected).mean() < 12

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.jpg", b"", "The file is empty."),
            ("a.csv", b"", "The file is empty."),
            ("a.jpg", b"0.jpg,1\n", "This is text, not an image, although its name ends in .jpg."),
            ("a.jpg", encode(photo(), "JPEG")[:-100], "truncated"),
            ("renamed.txt", encode(photo(), "JPEG")[:-100], "truncated"),
            ("a.png", png_header(10_000, 10_000), "received 100,000,000"),
            ("a.bin", bytes(range(256)), "This is not an image, a table or text."),
            ("a.txt", b"nul \0 inside", "This is not an image, a table or text."),
            ("a.csv", bytes(range(256)), "expected text in UTF-8"),
            ("a.csv", b'a,b\n1,"never closed\n2,3\n', "Line 3 does not parse as csv"),
            ("a.csv", b"\n\n", "The table is empty"),
        ],
    )
    def test_rejected_with_the_reason(self, tmp_path, name, content, words):
        report = inspect(tmp_path, name, content)
        assert report.state == "rejected"
        assert words in report.error
        assert report.thumbnail is None
        assert not (tmp_path / "thumbnail.jpg").exists()

    @pytest.mark.parametrize(
        ("name", "content", "kind"),
        [
            ("a.csv", b"0.jpg,1", "table"),
            ("a.csv", "파일,라벨\n0.jpg,숲\n".encode("cp949"), "table"),
            ("a.csv", "a,b\n1,2\n".encode("utf-16"), "table"),
            ("a.tsv", b"\xef\xbb\xbfa\tb\r\n1\t2\r\n", "table"),
            ("notes.txt", "메모\n".encode(), "text"),
            ("BMW.txt", b"BMW sales of this year were fine", "text"),
            ("README", b"x" * 4095 + "é".encode(), "text"),
            ("no suffix", encode(photo(), "PNG"), "image"),
            ("wrong.png", encode(photo(), "JPEG"), "image"),
        ],
    )
    def test_accepted(self, tmp_path, name, content, kind):
        report = inspect(tmp_path, name, content)
        assert (report.state, report.error, report.content) == ("ok", "", kind)


class TestNames:
    @pytest.mark.parametrize(
        "name", ["a.jpg", "a b/c d.jpg", "고양이/사진 1.jpg", "naïve.png", "猫/ネコ.webp", "…", "a" * 255]
    )
    def test_accepted_and_kept(self, name):
        assert check_name(name) == name

    def test_normalised(self):
        assert check_name("a\\b\\한.jpg") == "a/b/한.jpg"

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("", "empty"), ("  ", "empty"), ("/etc/passwd", "absolute"), ("C:\\a.jpg", "absolute"), ("a/../b", "“..”"),
            ("..\\a", "“..”"), ("./a", "“.”"), ("a//b", "empty part"), ("a/", "empty part"), ("a\0b", "U+0000"),
            ("a\nb", "U+000A"), ("가" * 86, "at most 255 bytes, received 258"), ("\udc80.jpg", "U+DC80"),
            ("/".join(["가" * 80] * 5), "at most 1024"),
        ],
    )  # fmt: skip
    def test_refused_with_the_reason(self, name, words):
        with pytest.raises(NameRefused, match=r"file name|path") as caught:
            check_name(name)
        assert words in caught.value.message


class TestRun:
    def test_every_file_ends_ok_or_rejected(self, tmp_path):
        contents = {
            "0.jpg": encode(photo(), "JPEG"),
            "한글 이름.png": encode(photo(), "PNG"),
            "cut.jpg": encode(photo(), "JPEG")[:-100],
            "text.jpg": b"no image",
            "empty.csv": b"",
            "label.csv": b"0.jpg,1\n",
            "bomb.png": png_header(10_000, 10_000),
        }
        rows: list[dict] = []
        for number in range(10):
            for index, (name, content) in enumerate(contents.items()):
                path = tmp_path / f"stored{index}"
                path.write_bytes(content)
                rows.append({"id": len(rows), "name": f"{number}/{name}", "path": str(path)})
        run = RunFolder.create(tmp_path / "run", {"files": "input/files.jsonl", "thumbnail_px": 256, "workers": 2})
        write_jsonl(run.input / "files.jsonl", rows)
        assert start(run).wait(timeout=60) == 0
        found = sorted(read_jsonl(run.output / "files.jsonl"), key=lambda row: row["id"])
        assert [(row["id"], row["name"]) for row in found] == [(row["id"], row["name"]) for row in rows]
        assert run.result() == {"ok": 30, "rejected": 40, "skipped": 0}
        assert all(
            (run.path / row["thumbnail"]).exists() == (row["content"] == "image") for row in found if row["thumbnail"]
        )
        assert sum(row["thumbnail"] is not None for row in found) == 10
        assert sum(row["is_thumbnail"] for row in found) == 10
        assert all(bool(row["error"]) == (row["state"] == "rejected") for row in found)
        events, _ = run.read_events(0)
        assert events[-1]["value"] == 1.0

    def test_stops_when_asked(self, tmp_path):
        run = RunFolder.create(tmp_path / "run", {"files": "input/files.jsonl", "thumbnail_px": 256, "workers": 2})
        write_jsonl(run.input / "files.jsonl", [{"id": 0, "name": "a", "path": __file__}])
        run.request_stop()
        assert start(run).wait(timeout=60) == 3
        assert run.result() is None

    def test_killed_process_leaves_no_worker(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)  # Nobody writes to it, so whoever reads it waits for ever.
        run = RunFolder.create(tmp_path / "run", {"files": "input/files.jsonl", "thumbnail_px": 256, "workers": 2})
        write_jsonl(run.input / "files.jsonl", [{"id": 0, "name": "a", "path": str(pipe)}])
        process = start(run)
        deadline = time.monotonic() + 30
        while len(workers := psutil.Process(process.pid).children()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.kill()
        process.wait()
        assert len(workers) == 2
        assert psutil.wait_procs(workers, timeout=10)[1] == []


def die_on_13(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        if number == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        yield number


def test_a_dead_worker_costs_only_the_file_that_kills_it(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    results = list(map_files(run, die_on_13, range(200), total=200, workers=2, lost=lambda number: -number))
    assert sorted(results) == [-13, *(number for number in range(200) if number != 13)]


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "datasets.inspection", str(run.path)], cwd=Path(__file__).parents[2])


def test_manifest_lines_are_what_the_contract_names(tmp_path):
    (tmp_path / "0.jpg").write_bytes(encode(photo(), "JPEG"))
    run = RunFolder.create(tmp_path / "run", {"files": "input/files.jsonl", "thumbnail_px": 16, "workers": 1})
    write_jsonl(run.input / "files.jsonl", [{"id": 17, "name": "a/0.jpg", "path": str(tmp_path / "0.jpg")}])
    assert start(run).wait(timeout=60) == 0
    row = json.loads((run.output / "files.jsonl").read_text())
    assert row.keys() == {
        "id", "name", "state", "error", "reason", "content", "sha256", "size_bytes", "width", "height", "mode",
        "format", "fingerprint", "thumbnail", "is_thumbnail",
    }  # fmt: skip
    assert row["thumbnail"] == "output/thumbnails/17.jpg"
    assert Image.open(run.path / row["thumbnail"]).size == (16, 11)
