"""Operations against Pillow's own results, and files that keep what belongs to them.

Tolerances, in grey levels of 255: 0 where Pillow's call is the definition; 1 or 2 where rounding
happens in another order (grayscale done first, zoom as a resize).
"""

import hashlib
import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from datasets.inspection.images import ImageError, load_image, read_rgb
from datasets.preprocessing.files import process_file
from datasets.preprocessing.pipeline import apply_steps, grayscale_first, preview
from datasets.preprocessing.registry import OPERATIONS, StepError, validate_steps
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from dlmodeler_site.sentences import from_json
from tests.datasets.test_inspection import encode, photo

BILINEAR = Image.Resampling.BILINEAR
FLIP_AND_GRAY = [{"op": "flip_up_down"}, {"op": "grayscale"}]


def run_steps(image: Image.Image, *steps: dict) -> Image.Image:
    return apply_steps(image, validate_steps(list(steps)))


def difference(one: Image.Image, other: Image.Image) -> int:
    """The greatest, in grey levels."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def affine(image: Image.Image, *coefficients: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, BILINEAR, fillcolor=(0, 0, 0))


class TestAgainstPillow:
    @pytest.fixture
    def image(self) -> Image.Image:
        noise = np.random.default_rng(1).integers(0, 256, (60, 81, 3), np.uint8)
        return Image.fromarray(noise).resize((161, 120), BILINEAR)

    def test_flips(self, image):
        assert difference(run_steps(image, {"op": "flip_up_down"}), ImageOps.flip(image)) == 0
        assert difference(run_steps(image, {"op": "flip_left_right"}), ImageOps.mirror(image)) == 0

    def test_grayscale(self, image):
        assert difference(run_steps(image, {"op": "grayscale"}), image.convert("L")) == 0

    @pytest.mark.parametrize("size", [(1, 1), (64, 64), (300, 20)])
    def test_resize(self, image, size):
        step = {"op": "resize", "width": size[0], "height": size[1]}
        assert difference(run_steps(image, step), image.resize(size, BILINEAR)) == 0

    @pytest.mark.parametrize("degrees", [-360, -90, 0, 12.5, 90, 180, 359])
    def test_rotate_anticlockwise(self, image, degrees):
        expected = image.rotate(degrees, BILINEAR, fillcolor=(0, 0, 0))
        assert difference(run_steps(image, {"op": "rotate", "degrees": degrees}), expected) == 0

    @pytest.mark.parametrize(("x", "y"), [(10, 0), (-25, 50), (3.3, -7.7), (100, 0)])
    def test_translate_right_and_down(self, image, x, y):
        expected = affine(image, 1, 0, -161 * x / 100, 0, 1, -120 * y / 100)
        assert difference(run_steps(image, {"op": "translate", "x_percent": x, "y_percent": y}), expected) == 0

    def test_translate_by_whole_pixels_copies_them(self, image):
        moved = run_steps(image.crop((0, 0, 100, 100)), {"op": "translate", "x_percent": 20, "y_percent": -10})
        expected = Image.new("RGB", (100, 100))
        expected.paste(image.crop((0, 10, 80, 100)), (20, 0))
        assert difference(moved, expected) == 0

    @pytest.mark.parametrize("percent", [100, 150, 500])
    def test_zoom_in_is_a_bilinear_transform_about_the_centre(self, image, percent):
        s = 100 / percent
        expected = affine(image, s, 0, 161 / 2 * (1 - s), 0, s, 60 * (1 - s))
        zoomed = run_steps(image, {"op": "zoom", "percent": percent})
        assert difference(zoomed, expected) <= 2

    def test_zoom_out_is_an_antialiased_resize_on_black(self, image):
        image = image.crop((0, 0, 160, 120))
        expected = Image.new("RGB", image.size)
        expected.paste(image.resize((80, 60), BILINEAR), (40, 30))
        zoomed = run_steps(image, {"op": "zoom", "percent": 50})
        assert difference(zoomed.crop((42, 32, 118, 88)), expected.crop((42, 32, 118, 88))) <= 1
        assert np.asarray(zoomed.crop((0, 0, 160, 30))).max() == 0

    @pytest.mark.parametrize("percent", [10, 33, 77.7])
    def test_zoom_out_keeps_the_centre(self, percent):
        image = Image.new("L", (101, 101))
        image.paste(255, (40, 40, 61, 61))
        weights = np.asarray(run_steps(image, {"op": "zoom", "percent": percent}), float)
        assert weights.sum() == pytest.approx(255 * 21**2 * (percent / 100) ** 2, rel=0.02)
        assert (weights.sum(0) @ np.arange(101)) / weights.sum() == pytest.approx(50, abs=0.02)

    @pytest.mark.parametrize("degrees", [-45, 10, 45])
    def test_shear_tilts_vertical_lines_anticlockwise(self, image, degrees):
        slope = math.tan(math.radians(degrees))
        expected = affine(image, 1, -slope, slope * 60, 0, 1, 0)
        assert difference(run_steps(image, {"op": "shear", "degrees": degrees}), expected) == 0
        line = Image.new("L", (101, 101))
        line.paste(255, (50, 0, 51, 101))
        rows = np.asarray(run_steps(line, {"op": "shear", "degrees": degrees}))
        assert np.sign(rows[90].argmax() - rows[10].argmax()) == np.sign(degrees)

    @pytest.mark.parametrize("step", [{"op": "rotate", "degrees": 30}, {"op": "zoom", "percent": 40}])
    @pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "I;16"])
    def test_uncovered_parts_are_black_in_every_mode(self, mode, step):
        image = Image.new("RGB", (64, 64), "white").convert("I" if mode == "I;16" else mode)
        image = Image.fromarray(np.full((64, 64), 40_000, np.uint16)) if mode == "I;16" else image
        result = run_steps(image, step)
        assert result.mode == mode
        assert result.getpixel((0, 0)) == {"LA": (0, 255), "RGBA": (0, 0, 0, 255), "CMYK": (0, 0, 0, 255)}.get(mode, 0)
        assert result.getpixel((32, 32)) == image.getpixel((32, 32))

    def test_16_bit_values_are_interpolated_as_such(self):
        values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
        result = np.asarray(run_steps(Image.fromarray(values), {"op": "resize", "width": 32, "height": 32}))
        expected = np.asarray(Image.fromarray(values.astype(np.float32)).resize((32, 32), BILINEAR))
        assert result.dtype == np.uint16
        assert np.abs(result - expected).max() <= 0.5

    def test_order_is_the_users_and_grayscale_first_changes_nothing_but_rounding(self, image):
        steps = validate_steps([{"op": "rotate", "degrees": 20}, {"op": "zoom", "percent": 60}, {"op": "grayscale"}])
        assert [step.op for step in grayscale_first(steps)] == ["grayscale", "rotate", "zoom"]
        expected = image
        for step in steps:
            expected = OPERATIONS[step.op].apply(expected, step.values)
        assert difference(apply_steps(image, steps), expected) <= 2


class TestSteps:
    @pytest.mark.parametrize(
        ("steps", "words"),
        [
            ([], "received 0 steps"),
            (None, "received NoneType"),
            ([{"op": "blur"}], "unknown op 'blur'; allowed are flip_up_down, flip_left_right, resize"),
            ([{"op": ["rotate"]}], "unknown op"),
            (["rotate"], "expected an object"),
            ([{"op": "rotate"}], "rotate needs degrees, a number from -360 to 360 °; received nothing"),
            ([{"op": "rotate", "degrees": 361}], "from -360 to 360 °; received 361"),
            ([{"op": "rotate", "degrees": "90"}], "received '90'"),
            ([{"op": "rotate", "degrees": True}], "received True"),
            ([{"op": "rotate", "degrees": math.nan}], "received nan"),
            ([{"op": "zoom", "percent": 9.9}], "from 10 to 500 %"),
            (
                [{"op": "resize", "width": 10.5, "height": 10**400}],
                "width, a whole number from 1 to 8192 px; received 10.5",
            ),
            ([{"op": "grayscale", "level": 1}], "grayscale has no parameter 'level'; allowed are none"),
            ([{"op": "grayscale"}, {"op": "shear", "degrees": 46}], "Step 2: shear needs degrees"),
        ],
    )
    def test_mistakes_are_named_with_what_is_allowed(self, steps, words):
        with pytest.raises(StepError) as caught:
            validate_steps(steps)
        assert words in caught.value.message
        assert all(detail["message"] in caught.value.message for detail in caught.value.details)

    def test_every_operation_accepts_its_defaults_and_limits(self):
        for operation in OPERATIONS.values():
            for value in ("default", "minimum", "maximum"):
                step = {"op": operation.name, **{p.name: getattr(p, value) for p in operation.parameters}}
                assert validate_steps([step])[0].as_dict() == step


class TestProcessFile:
    def process(self, folder: Path, content: bytes, steps: list[dict], name: str = "a/b.jpg"):
        source = folder / "source"
        source.write_bytes(content)
        destination = folder / "out" / name
        report = process_file(source, destination, validate_steps(steps), thumbnail=folder / "thumbnail.jpg")
        return report, Image.open(destination)

    def test_jpeg_to_gray_is_pillows_within_rounding(self, tmp_path):
        source = encode(photo(300, 200), "JPEG", quality=83)
        report, result = self.process(tmp_path, source, FLIP_AND_GRAY)
        original = JpegImageFile(io.BytesIO(source))
        assert (result.mode, result.format, result.size) == ("L", "JPEG", (300, 200))
        assert result.quantization[0] == original.quantization[0]
        expected = ImageOps.flip(original).convert("L")
        assert difference(apply_steps(load_image(source), validate_steps(FLIP_AND_GRAY)), expected) == 0
        written = (tmp_path / "out/a/b.jpg").read_bytes()
        assert (report.sha256, report.size_bytes) == (hashlib.sha256(written).hexdigest(), len(written))
        assert Image.open(tmp_path / "thumbnail.jpg").size == (256, 171)

    def test_jpeg_keeps_its_tables_sampling_and_profile(self, tmp_path):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        source = encode(photo(), "JPEG", quality=70, subsampling=0, icc_profile=profile, dpi=(300, 300))
        _, result = self.process(tmp_path, source, [{"op": "flip_left_right"}])
        original = JpegImageFile(io.BytesIO(source))
        assert (result.quantization, result.layer) == (original.quantization, original.layer)
        assert result.info["icc_profile"] == profile
        assert result.info["dpi"] == (300, 300)

    def test_orientation_goes_into_the_pixels_and_the_tag_is_reset(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "Maker"
        report, result = self.process(
            tmp_path, encode(photo(), "JPEG", quality=95, exif=exif), [{"op": "flip_up_down"}]
        )
        assert result.size == (report.width, report.height) == (32, 48)
        assert result.getexif().get(0x0112, 1) == 1
        assert result.getexif()[0x010F] == "Maker"
        expected = ImageOps.flip(photo().transpose(Image.Transpose.ROTATE_270))
        assert np.abs(np.asarray(result).astype(int) - np.asarray(expected)).mean() < 2

    @pytest.mark.parametrize(
        ("image_format", "mode", "result_mode", "gray_mode"),
        [
            ("PNG", "P", "RGB", "L"), ("PNG", "RGBA", "RGBA", "LA"), ("PNG", "I;16", "I;16", "I;16"),
            ("PNG", "1", "L", "L"), ("PNG", "LA", "LA", "LA"), ("JPEG", "CMYK", "CMYK", "L"), ("JPEG", "L", "L", "L"),
            ("TIFF", "CMYK", "CMYK", "L"), ("TIFF", "F", "F", "F"), ("WEBP", "RGBA", "RGBA", "RGBA"),
            ("BMP", "P", "RGB", "L"), ("GIF", "RGB", "P", "P"), ("PPM", "RGB", "RGB", "L"),
            ("JPEG2000", "RGB", "RGB", "L"), ("AVIF", "RGB", "RGB", "RGB"), ("TGA", "RGB", "RGB", "L"),
        ],
    )  # fmt: skip
    def test_every_format_is_kept(self, tmp_path, image_format, mode, result_mode, gray_mode):
        image, gray = photo(), np.asarray(photo().convert("L")).astype(int)
        image = Image.fromarray((gray * 257).astype(np.uint16)) if mode == "I;16" else image.convert(mode)
        if mode in ("RGBA", "LA"):
            image.putalpha(250)  # WebP drops an alpha that is 255 everywhere.
        for step, expected in ((FLIP_AND_GRAY[0], result_mode), (FLIP_AND_GRAY[1], gray_mode)):
            report, result = self.process(tmp_path, encode(image, image_format), [step])
            assert (report.format, result.format, result.size) == (image_format, image_format, (48, 32))
            result.load()
            assert result.mode == expected
            seen = read_rgb(tmp_path / "out/a/b.jpg").astype(int)[:, :, 1]
            wanted = read_rgb(encode(image, "TIFF" if image_format in ("JPEG", "AVIF") else image_format))
            wanted = (
                np.asarray(Image.fromarray(wanted).convert("L")) if step["op"] == "grayscale" else wanted[::-1, :, 1]
            )
            assert np.abs(seen - wanted).mean() < 4

    def test_animation_becomes_its_first_frame(self, tmp_path):
        frames = [photo(), ImageOps.invert(photo())]
        source = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
        _, result = self.process(tmp_path, source, [{"op": "resize", "width": 9, "height": 9}])
        assert (result.format, result.size, getattr(result, "n_frames", 1)) == ("GIF", (9, 9), 1)

    def test_broken_and_unwritable_files_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match="truncated"):
            self.process(tmp_path, encode(photo(), "JPEG")[:-99], FLIP_AND_GRAY)
        assert not (tmp_path / "out/a/b.jpg").exists()

    def test_preview_shows_the_result_within_a_box(self):
        content, mime = preview(encode(photo(3000, 1000), "PNG"), validate_steps([{"op": "rotate", "degrees": 180}]))
        shown = Image.open(io.BytesIO(content))
        assert (mime, shown.size) == ("image/jpeg", (1024, 341))
        expected = photo(1024, 341).transpose(Image.Transpose.ROTATE_180)
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected)).mean() < 3


class TestRun:
    def start(self, folder: Path, on_error: str) -> tuple[RunFolder, int]:
        contents = {
            "한글 이름.png": encode(photo(), "PNG"),
            "cut.jpg": encode(photo(), "JPEG")[:-99],
            "label.csv": b"0.jpg,1\n",
        }
        rows: list[dict] = []
        for number in range(8):
            for name, content in contents.items():
                (folder / name).write_bytes(content)
                rows.append({"id": len(rows), "name": f"{number}/{name}", "path": str(folder / name), "label": "1"})
        spec = {
            "files": "input/files.jsonl",
            "steps": FLIP_AND_GRAY,
            "on_error": on_error,
            "thumbnail_px": 256,
            "workers": 2,
        }
        run = RunFolder.create(folder / "run", spec)
        write_jsonl(run.input / "files.jsonl", rows)
        command = [sys.executable, "-m", "datasets.preprocessing", str(run.path)]
        return run, subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60).returncode

    def test_skip_lists_every_bad_file_and_keeps_names_and_labels(self, tmp_path):
        run, code = self.start(tmp_path, "skip")
        assert code == 0
        assert run.result() == {"ok": 8, "rejected": 16}
        rows = {row["id"]: row for row in read_jsonl(run.output / "files.jsonl")}
        assert len(rows) == 24
        assert all(row["label"] == "1" and row["name"] for row in rows.values())
        good = rows[0]
        assert good["file"] == "output/files/0/한글 이름.png"
        assert Image.open(run.path / good["file"]).mode == "L"
        assert (run.path / good["thumbnail"]).exists()
        assert "truncated" in from_json(rows[1]["error"])
        assert rows[1]["file"] is None

    def test_fail_names_the_bad_files(self, tmp_path):
        run, code = self.start(tmp_path, "fail")
        assert code == 1
        assert run.result() is None
        error = run.error() or {}
        assert error["reason"] == "bad_files"
        assert "0/cut.jpg: The JPEG file is truncated" in error["message"]
        assert "7/label.csv: This is text, not an image." in error["message"]
        assert error["message"].startswith("16 files were not preprocessed.")
