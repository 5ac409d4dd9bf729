"""What is told of files, images and tables, and how copies are found."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from datasets.inspection.columns import profile_table
from datasets.inspection.duplicates import near_groups
from datasets.inspection.histograms import Histogram, Spread
from datasets.inspection.looks import look_at
from datasets.inspection.profile import Profiler
from datasets.inspection.thumbnails import shrink


def scene(seed: int, size: int = 160) -> Image.Image:
    """A picture full of shapes, each seed its own."""
    rng = random.Random(seed)
    image = Image.new("RGB", (size, size), tuple(rng.randrange(256) for _channel in range(3)))
    draw = ImageDraw.Draw(image)
    for _shape in range(40):
        left, top = rng.randrange(size), rng.randrange(size)
        box = (left, top, left + rng.randrange(8, size // 2), top + rng.randrange(8, size // 2))
        rng.choice([draw.ellipse, draw.rectangle])(box, fill=tuple(rng.randrange(256) for _channel in range(3)))
    return image


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def fingerprint(image: Image.Image) -> str:
    return look_at(shrink(image, 256)).fingerprint


class TestFingerprints:
    def test_copies_are_found_and_others_are_not(self):
        images = [scene(seed) for seed in range(40)]
        copies = [
            *(jpeg(image, quality) for quality, image in zip((40, 60, 80, 95), images[:4], strict=True)),
            *(images[4 + n].resize((size, size)) for n, size in enumerate((80, 120, 240, 320))),
            *(ImageEnhance.Brightness(images[8 + n]).enhance(factor) for n, factor in enumerate((0.9, 1.1))),
            images[10].crop((2, 1, 159, 158)),
        ]
        assert near_groups([fingerprint(image) for image in images + copies]) == [
            [place, 40 + place] for place in range(len(copies))
        ]

    def test_one_colour_is_told_from_another_and_from_itself_in_another_size(self):
        colours = [(200, 0, 0), (200, 8, 0), (0, 0, 0), (255, 255, 255)]
        images = [Image.new("RGB", (size, size), colour) for size in (1, 30) for colour in colours]
        assert near_groups([fingerprint(image) for image in images]) == [[0, 4], [1, 5], [2, 6], [3, 7]]

    def test_drawings_on_nothing_are_told_apart_and_found_upright(self):
        def icon(shape: str) -> Image.Image:
            image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
            getattr(ImageDraw.Draw(image), shape)((8, 20, 56, 60), outline=(0, 0, 0, 255), width=4)
            return image

        circle, square = icon("ellipse"), icon("rectangle")
        assert near_groups([fingerprint(image) for image in (circle, square, circle.quantize(8))]) == [[0, 2]]
        lying = scene(3).transpose(Image.Transpose.ROTATE_90)
        assert look_at(lying, 6).fingerprint == look_at(scene(3)).fingerprint

    def test_masses_of_flat_or_like_images_are_grouped_without_comparing_all(self):
        rng = np.random.default_rng(0)
        flat = [f"{'0' * 32}{colour:06x}04" for colour in rng.integers(0, 1 << 24, 20_000)]
        like = rng.integers(0, 256, 16, np.uint8)
        video = []
        for place in rng.integers(0, 128, 20_000):
            like[place // 8] ^= 1 << place % 8
            video.append(f"{like.tobytes().hex()}80808012")
        groups = near_groups(["", *flat, *video, ""])
        assert groups == near_groups(["", *flat, *video, ""])
        rows = [row for group in groups for row in group]
        assert len(rows) == len(set(rows))
        assert not {0, 40_001} & set(rows)
        assert sum(row > 20_000 for row in rows) > 19_000


class TestHistograms:
    @pytest.mark.parametrize(
        "numbers",
        [[7.0] * 9, [0.0], [-3.5, 1e9, 0], list(range(1000)), [1e-9, 2e-9], [-1e150, 1e150], [1e15, 1e15 + 3]],
    )
    def test_all_are_counted_whatever_comes_in_pieces(self, numbers):
        spread = Spread()
        for part in np.array_split(np.array(numbers, np.float64), 5):
            spread.add(part)
        shown = spread.histogram.shown()
        assert sum(shown["counts"]) == len(numbers)
        assert len(shown["edges"]) == len(shown["counts"]) + 1 <= 33
        assert shown["edges"][0] <= min(numbers) <= max(numbers) <= shown["edges"][-1]
        assert (spread.min, spread.max) == (min(numbers), max(numbers))
        assert spread.mean == pytest.approx(np.mean(numbers))
        assert spread.std == pytest.approx(np.std(numbers), abs=1e-6 * max(map(abs, numbers)))

    def test_those_of_integers_have_whole_edges(self):
        histogram = Histogram()
        histogram.add(np.array([76.0, 113, 131]))
        histogram.add(np.full(9, 150.0))
        edges = histogram.shown(is_whole=True)["edges"]
        assert edges == [float(round(edge)) for edge in edges]
        assert (edges[0], edges[-1]) == (75.0, 153.0)

    def test_logarithmic_ones_tell_sizes_of_all_orders(self):
        histogram = Histogram(is_log=True)
        histogram.add(np.array([10.0, 1000.0, 1e6, 1e9]))
        assert sum(count > 0 for count in histogram.shown()["counts"]) == 4


def profiled(folder: Path, rows: list[list[Any]]) -> dict[str, dict[str, Any]]:
    with open(folder / "t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return {column["name"]: column for column in profile_table(folder / "t.csv")["columns"]}


class TestColumns:
    def test_types_are_told(self, tmp_path):
        values = {
            "whole": ["1", "-20", "+3", "NA"],
            "real": ["1", "2.5", "1e3", "-"],
            "zip": ["00123", "00124", "00125", "00126"],
            "comma": ["1,5", "2,5", "3,5", ""],
            "yes": ["yes", "No", "YES", "null"],
            "day": ["2024-01-31", "2024-02-29", "2023-12-01", "NaN"],
            "moment": ["2024-01-31T10:00:00Z", "2024-01-31 12:30", "2024-02-01T00:00:00+09:00", "nan"],
            "european": ["13/02/2024", "01/03/2024", "02/03/2024", " "],
            "no_day": ["2024-02-30", "2024-13-01", "x", "y"],
            "nothing": ["", "-", "NULL", " n/a "],
        }
        columns = profiled(tmp_path, [list(values), *map(list, zip(*values.values(), strict=True))])
        assert {name: column["type"] for name, column in columns.items()} == {
            "whole": "integer",
            "real": "number",
            "zip": "text",
            "comma": "text",
            "yes": "boolean",
            "day": "date",
            "moment": "date",
            "european": "date",
            "no_day": "text",
            "nothing": "empty",
        }
        assert [column["missing"] for column in columns.values()] == [1, 1, 0, 1, 1, 1, 1, 1, 0, 4]
        whole, european = columns["whole"], columns["european"]
        assert (whole["min"], whole["max"], whole["mean"]) == (-20, 3, pytest.approx(-16 / 3))
        assert (columns["day"]["min"], columns["day"]["max"]) == ("2023-12-01", "2024-02-29")
        assert (european["min"], european["max"]) == ("2024-02-13", "2024-03-02")
        assert columns["moment"]["max"] == "2024-01-31T15:00:00Z"

    def test_a_few_values_that_do_not_fit_are_told(self, tmp_path):
        column = profiled(tmp_path, [["size"], *([n] for n in range(99)), ["large"]])["size"]
        assert (column["type"], column["mismatched"], column["mismatched_examples"]) == ("integer", 1, ["large"])

    def test_many_different_values_are_estimated_and_the_frequent_ones_found(self, tmp_path):
        rows = [[n, "often" if n % 4 == 0 else f"{n}-{'x' * 300}", n % 7] for n in range(50_000)]
        columns = profiled(tmp_path, [["id", "text", "small"], *rows])
        assert columns["small"]["distinct_is_exact"]
        assert columns["small"]["values"][0] == {"value": "0", "count": 7143}
        assert not columns["id"]["distinct_is_exact"]
        assert columns["id"]["distinct"] == pytest.approx(50_000, rel=0.1)
        assert columns["text"]["distinct"] == pytest.approx(37_501, rel=0.1)
        assert columns["text"]["values"][0] == {"value": "often", "count": 12_500}
        assert max(len(value) for value in columns["text"]["examples"]) == 200

    def test_ragged_wide_and_headless_tables(self, tmp_path):
        (tmp_path / "t.csv").write_text("a.jpg,0\nb.jpg,1,2\nc.jpg\n")
        found = profile_table(tmp_path / "t.csv")
        columns = [(column["name"], column["missing"]) for column in found["columns"]]
        assert (found["rows"], columns) == (3, [("column 1", 0), ("column 2", 1), ("column 3", 2)])
        (tmp_path / "t.csv").write_text(",".join(f"c{n}" for n in range(1500)) + "\n" + "1," * 1499 + "1\n")
        found = profile_table(tmp_path / "t.csv")
        assert (len(found["columns"]), found["more_columns"], found["rows"]) == (1000, 500, 1)


class TestProfiler:
    def row(self, name: str, image: Image.Image, **fields: Any) -> dict[str, Any]:
        facts = {"state": "ok", "content": "image", "format": "PNG", "mode": image.mode, "size_bytes": 100}
        size = {"width": image.width, "height": image.height, "fingerprint": fingerprint(image)}
        return {"name": name, "sha256": f"{hash(image.tobytes()) % 2**64:064x}"[::-1], **facts, **size, **fields}

    def test_duplicates_are_told_within_and_across_labels(self):
        profiler = Profiler()
        one, other = scene(1), scene(2)
        files = [("d.png", other, ""), ("c.jpg", jpeg(one, 70), "cat"), ("a.png", one, "cat"), ("b.png", one, "dog")]
        for name, image, label in files:
            profiler.add(self.row(name, image, label=label), look=look_at(image))
        profiler.add({"state": "rejected", "reason": "truncated", "name": "e.png"})
        assert profiler.profile()["duplicates"] is None
        found = profiler.profile(skipped=2, complete=True)
        assert (found["files"], found["rejected"], found["skipped"], found["unlabelled"]) == (4, 1, 2, 1)
        assert found["reasons"] == {"truncated": 1}
        assert found["duplicates"] == {
            "groups": 1,
            "files": 1,
            "across_labels": 1,
            "largest": [
                {
                    "files": [{"name": "a.png", "label": "cat"}, {"name": "b.png", "label": "dog"}],
                    "count": 2,
                    "labels": ["cat", "dog"],
                }
            ],
        }
        (near,) = found["near_duplicates"]["largest"]
        assert [file["name"] for file in near["files"]] == ["a.png", "b.png", "c.jpg"]
        assert sum(found["colour"]["red"]) == pytest.approx(4, abs=0.1)
        assert 0 < found["brightness"]["min"] <= found["brightness"]["max"] < 255

    def test_very_dark_and_very_bright_images_are_named(self):
        profiler = Profiler()
        for level in (0, 31, 60, 225, 240, 255):
            image = Image.new("RGB", (40, 40), (level, level, level))
            profiler.add(self.row(f"{level}.png", image), look=look_at(image))
        profiler.add(self.row("text.txt", Image.new("L", (8, 8)), content="text", fingerprint=None))
        found = profiler.profile(complete=True)
        assert found["dark"] == {"count": 2, "names": ["0.png", "31.png"]}
        assert found["bright"] == {"count": 2, "names": ["255.png", "240.png"]}

    def test_it_stays_small_whatever_it_is_given(self):
        profiler = Profiler()
        image = Image.new("L", (8, 8))
        row = self.row("", image, content="table", mode="", width=None, height=None)
        wide = {
            "name": "가" * 200,
            "type": "text",
            "missing": 0,
            "mismatched": 0,
            "distinct": 20,
            "distinct_is_exact": True,
            "min": None,
            "max": None,
            "mean": None,
            "std": None,
            "histogram": None,
            "values": [{"value": "가" * 200, "count": 1}] * 20,
            "examples": ["가" * 200] * 5,
            "mismatched_examples": [],
        }
        table = {"rows": 1, "columns": [wide] * 1000, "more_columns": 0}
        for n in range(3000):
            fields = {"name": f"{'나' * 300}{n}", "label": f"{'다' * 60}{n}", "sha256": f"{n // 2:032x}" * 2}
            profiler.add(row | fields, table=table)
        found = profiler.profile(complete=True)
        assert len(json.dumps(found)) < 700_000
        assert found["duplicates"]["groups"] == 1500
        assert found["other_labels"]["labels"] + len(found["labels"]) == 3000
        assert sum(len(each["columns"]) + each["more_columns"] for each in found["tables"]) == 20_000
