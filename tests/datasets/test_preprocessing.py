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
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageEnhance, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from datasets.inspection.images import ImageError, load_image, read_rgb
from datasets.preprocessing.decoding import read_original
from datasets.preprocessing.files import Places, process_file, with_looks
from datasets.preprocessing.operation import ImageOperation
from datasets.preprocessing.parameters import Choice, FileLabels, FileNames, Label, Number
from datasets.preprocessing.pipeline import apply_steps, previews
from datasets.preprocessing.plan import Plan
from datasets.preprocessing.registry import OPERATIONS, StepError, steps_schema, validate_steps
from datasets.preprocessing.saving import Saver
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from dlmodeler_site.sentences import from_json
from tests.datasets.test_inspection import encode, photo

BILINEAR = Image.Resampling.BILINEAR
EXAMPLES: dict[type, Any] = {FileNames: ["a.jpg"], FileLabels: ["a"], Label: "label", Choice: "train"}
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

    @pytest.mark.parametrize(
        ("share", "box"),
        [
            ((10, 20, 80, 60), (16, 24, 145, 96)),
            ((0, 0, 100, 100), (0, 0, 161, 120)),
            ((99, 99, 1, 1), (159, 119, 161, 120)),
        ],
    )
    def test_crop_keeps_a_part(self, image, share, box):
        names = ("x_percent", "y_percent", "width_percent", "height_percent")
        cropped = run_steps(image, {"op": "crop", **dict(zip(names, share, strict=True))})
        assert difference(cropped, image.crop(box)) == 0

    def test_crop_leaves_at_least_a_pixel(self):
        step = {"op": "crop", "x_percent": 99, "y_percent": 50, "width_percent": 1, "height_percent": 1}
        assert run_steps(Image.new("L", (3, 2)), step).size == (1, 1)

    @pytest.mark.parametrize("size", [(64, 64), (300, 20), (20, 300), (161, 120)])
    def test_fit_is_pillows_pad_or_fit(self, image, size):
        step = {"op": "fit", "width": size[0], "height": size[1]}
        assert difference(run_steps(image, step), ImageOps.pad(image, size, BILINEAR)) == 0
        assert difference(run_steps(image, step | {"how": "cover"}), ImageOps.fit(image, size, BILINEAR)) == 0

    def test_fit_shows_even_the_longest_image(self):
        fitted = run_steps(Image.new("RGB", (3000, 1), "white"), {"op": "fit", "width": 64, "height": 64})
        assert (fitted.size, np.asarray(fitted).any(axis=(1, 2)).sum()) == ((64, 64), 1)

    @pytest.mark.parametrize("percent", [0, 33.3, 100, 170, 300])
    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
    @pytest.mark.parametrize("enhance", [ImageEnhance.Brightness, ImageEnhance.Contrast])
    def test_brightness_and_contrast_are_pillows(self, image, enhance, mode, percent):
        image = image.convert(mode)
        if "A" in mode:
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        step = {"op": enhance.__name__.lower(), "percent": percent}
        assert difference(run_steps(image, step), enhance(image).enhance(percent / 100)) == 0

    @pytest.mark.parametrize("op", ["brightness", "contrast"])
    def test_16_bit_values_are_toned_as_8_bit_ones_are(self, op):
        values = np.arange(256, dtype=np.uint16).reshape(16, 16)
        for percent in (40, 130):
            step = {"op": op, "percent": percent}
            wide = np.asarray(run_steps(Image.fromarray(values * 257), step)) / 257
            narrow = np.asarray(run_steps(Image.fromarray(values.astype(np.uint8)), step))
            assert np.abs(wide - narrow).max() <= 2  # Pillow cuts off where this rounds, and rounds the mean

    def test_cmyk_is_toned_as_its_colours_are(self, image):
        step = {"op": "brightness", "percent": 150}
        toned = run_steps(image.convert("CMYK"), step)
        assert toned.mode == "CMYK"
        assert difference(toned.convert("RGB"), run_steps(image, step)) <= 1

    @pytest.mark.parametrize(
        "step",
        [{"op": "rotate", "degrees": 30}, {"op": "zoom", "percent": 40}, {"op": "fit", "width": 70, "height": 64}],
    )
    @pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "I;16"])
    def test_uncovered_parts_are_black_in_every_mode(self, mode, step):
        image = Image.new("RGB", (64, 64), "white").convert("I" if mode == "I;16" else mode)
        image = Image.fromarray(np.full((64, 64), 40_000, np.uint16)) if mode == "I;16" else image
        result = run_steps(image, step)
        assert result.mode == mode
        assert result.getpixel((0, 0)) == {"LA": (0, 255), "RGBA": (0, 0, 0, 255), "CMYK": (0, 0, 0, 255)}.get(mode, 0)
        assert result.getpixel((35, 32)) == image.getpixel((35, 32))

    def test_16_bit_values_are_interpolated_as_such(self):
        values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
        result = np.asarray(run_steps(Image.fromarray(values), {"op": "resize", "width": 32, "height": 32}))
        expected = np.asarray(Image.fromarray(values.astype(np.float32)).resize((32, 32), BILINEAR))
        assert result.dtype == np.uint16
        assert np.abs(result - expected).max() <= 0.5

    def test_order_is_the_users_and_grayscale_first_changes_nothing_but_rounding(self, image):
        steps = validate_steps([{"op": "rotate", "degrees": 20}, {"op": "zoom", "percent": 60}, {"op": "grayscale"}])
        assert [change.operation.name for change in Plan.of(steps).before] == ["grayscale", "rotate", "zoom"]
        expected = image
        for step in steps:
            operation = OPERATIONS[step.op]
            assert isinstance(operation, ImageOperation)
            expected = operation.apply(expected, step.values)
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
            (
                [{"op": "crop", "x_percent": 50, "y_percent": 0, "width_percent": 60, "height_percent": 100}],
                "crop: the part would reach beyond the image: left edge and width are more than 100 % together",
            ),
            ([{"op": "fit", "width": 9, "height": 9, "how": "stretch"}], "how, one of pad, cover; received 'stretch'"),
            ([{"op": "exclude", "files": []}], "exclude needs files, a list of 1 to 10000 names of files; received []"),
            ([{"op": "relabel", "files": ["a"]}], "relabel needs label, a label of at most 255 characters"),
            (
                [{"op": "relabel_each", "files": ["a", "b", "a"], "labels": ["x", "y", "z"]}],
                "there are 3 labels for 2 files; name each file once",
            ),
            ([{"op": "relabel_each", "files": ["a"], "labels": ["x" * 256]}], "relabel_each needs labels, a list of 1"),
            ([{"op": "rename_label", "from": "a", "to": " a"}], "both labels are the same"),
            ([{"op": "drop_duplicates", "near": 1}], "near, true or false; received 1"),
            ([{"op": "split", "part": "test", "train": 50}], "the three parts make 80 %"),
            ([{"op": "split", "part": "test", "train": 80, "test": 0}], "the part test has 0 %"),
            ([{"op": "augment", "copies": 21}], "copies, a whole number from 1 to 20; received 21"),
            (
                [{"op": "augment", "copies": 1}, {"op": "augment", "copies": 1}],
                "Step 2: there is an augment step before",
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

    def test_every_number_takes_its_default_and_its_limits(self):
        for operation in OPERATIONS.values():
            others = {
                p.name: EXAMPLES[type(p)] for p in operation.parameters if p.fallback is None and type(p) in EXAMPLES
            }
            numbers = [p for p in operation.parameters if isinstance(p, Number)]
            step = {"op": operation.name, **others, **{p.name: p.default for p in numbers}}
            if operation.name == "rename_label":
                step["to"] = "other"
            (valid,) = validate_steps([step])
            assert step.items() <= valid.as_dict().items()
            for number in numbers:
                assert number.accepted(number.minimum) == number.minimum
                assert number.accepted(number.maximum) == number.maximum
                assert number.accepted(number.maximum + 1) is None

    def test_what_is_left_out_takes_its_default_where_there_is_one(self):
        (step,) = validate_steps([{"op": "augment", "copies": 2}])
        assert step.as_dict()["flip_left_right"] is True
        assert step.as_dict()["rotate_degrees"] == 10

    def test_the_schema_says_what_the_check_does(self):
        items = {item["properties"]["op"]["enum"][0]: item for item in steps_schema()["items"]["oneOf"]}
        assert items.keys() == OPERATIONS.keys()
        assert items["resize"]["required"] == ["op", "width", "height"]
        assert items["resize"]["properties"]["width"]["maximum"] == 8192
        assert items["augment"]["required"] == ["op", "copies"]
        assert items["drop_duplicates"]["properties"]["across_labels"]["enum"] == ["keep_first", "drop_all"]


class TestProcessFile:
    def process(self, folder: Path, content: bytes, steps: list[dict], name: str = "a/b.jpg"):
        source = folder / "source"
        source.write_bytes(content)
        places = Places(str(folder), thumbnail_px=256)
        made = list(process_file(str(source), name, Plan.of(validate_steps(steps)), places, stem="7"))
        ((row, _glance, look),) = with_looks(made)
        assert look is not None
        assert row["fingerprint"] == look.fingerprint
        return row, Image.open(folder / row["file"])

    def test_jpeg_to_gray_is_pillows_within_rounding(self, tmp_path):
        source = encode(photo(300, 200), "JPEG", quality=83)
        row, result = self.process(tmp_path, source, FLIP_AND_GRAY)
        original = JpegImageFile(io.BytesIO(source))
        assert (result.mode, result.format, result.size) == ("L", "JPEG", (300, 200))
        assert result.quantization[0] == original.quantization[0]
        expected = ImageOps.flip(original).convert("L")
        assert difference(apply_steps(load_image(source), validate_steps(FLIP_AND_GRAY)), expected) == 0
        written = (tmp_path / "output/files/a/b.jpg").read_bytes()
        assert (row["sha256"], row["size_bytes"]) == (hashlib.sha256(written).hexdigest(), len(written))
        assert row["thumbnail"] == "output/thumbnails/7.jpg"
        assert Image.open(tmp_path / row["thumbnail"]).size == (256, 171)

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
        row, result = self.process(tmp_path, encode(photo(), "JPEG", quality=95, exif=exif), [{"op": "flip_up_down"}])
        assert result.size == (row["width"], row["height"]) == (32, 48)
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
            row, result = self.process(tmp_path, encode(image, image_format), [step])
            assert (row["format"], result.format, result.size) == (image_format, image_format, (48, 32))
            result.load()
            assert result.mode == expected
            seen = read_rgb(tmp_path / "output/files/a/b.jpg").astype(int)[:, :, 1]
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
        assert not (tmp_path / "output/files/a/b.jpg").exists()

    def test_preview_shows_the_result_within_a_box(self):
        steps = validate_steps([{"op": "rotate", "degrees": 180}])
        (content,) = previews(encode(photo(3000, 1000), "PNG"), steps, name="a.png")
        shown = Image.open(io.BytesIO(content))
        assert (shown.format, shown.size) == ("JPEG", (1024, 341))
        expected = photo(1024, 341).transpose(Image.Transpose.ROTATE_180)
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected)).mean() < 3


class TestJpeg:
    """JPEGs go a shorter way into the pixels and back; what comes out is what Pillow gives, to the last byte."""

    KINDS: ClassVar[dict[str, dict[str, Any]]] = {
        "4:4:4": {"subsampling": 0, "quality": 97},
        "4:2:2": {"subsampling": 1, "quality": 80},
        "4:2:0": {"subsampling": 2, "quality": 60},
        "progressive": {"progressive": True, "dpi": (300, 300)},
        "own tables": {"qtables": [[7] * 64, [9] * 64], "restart_marker_blocks": 4},
        "comment": {"comment": b"made by hand", "optimize": True},
    }

    def noise(self, mode: str) -> Image.Image:
        pixels = np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)
        return Image.fromarray(pixels).resize((149, 101), BILINEAR).convert(mode)

    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_pixels_are_pillows(self, kind, mode):
        content = encode(self.noise(mode), "JPEG", **self.KINDS[kind])
        expected = load_image(content)
        for _again in range(2):  # the second time its header is known
            pixels = read_original(content).upright
            assert difference(pixels.convert("RGB") if mode == "RGB" else pixels, expected) == 0

    @pytest.mark.parametrize("turned", range(1, 9))
    def test_the_orientation_is_applied(self, turned):
        exif = Image.Exif()
        exif[0x0112] = turned
        content = encode(self.noise("RGB"), "JPEG", exif=exif)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        for _again in range(2):
            assert difference(read_original(content).upright.convert("RGB"), expected) == 0

    @pytest.mark.parametrize("mode", ["RGB", "L"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_written_again_is_what_pillow_writes(self, kind, mode):
        content = encode(self.noise("RGB"), "JPEG", **self.KINDS[kind])
        original = read_original(content)
        image = original.upright.convert("RGB").convert(mode)
        first, again = io.BytesIO(), io.BytesIO()
        Saver(Image.open(io.BytesIO(content))).save(image, first)
        for _warm in range(2):
            again = io.BytesIO()
            assert original.saver.save(image, again) == "JPEG"
        assert again.getvalue() == first.getvalue()

    def test_a_header_does_not_stand_for_another_one(self):
        small, large = (encode(photo(size, 20), "JPEG", quality=75) for size in (40, 80))
        assert [read_original(content).upright.size for content in (small, large, small)] == [
            (40, 20),
            (80, 20),
            (40, 20),
        ]

    @pytest.mark.parametrize("cut", [2, 4, 20, 200, 400, -40])
    def test_what_is_broken_is_refused_as_by_pillow(self, cut):
        content = encode(self.noise("RGB"), "JPEG")
        read_original(content)
        broken = content[:cut]
        with pytest.raises(ImageError) as expected:
            load_image(broken)
        with pytest.raises(ImageError) as caught:
            read_original(broken)
        assert caught.value.message == expected.value.message

    def test_the_photos_are_read_as_pillow_reads_them(self):
        photos = Path(__file__).parents[2].joinpath("../shared/data/intel-demo")
        paths = sorted(photos.rglob("*.jpg"))
        if not paths:
            pytest.skip("the photos are not here")
        for path in paths:
            content = path.read_bytes()
            assert difference(read_original(content).upright.convert("RGB"), load_image(content)) == 0


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
        assert run.result() == {"ok": 8, "rejected": 16, "selections": []}
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
