"""Selection steps on lists of files, and runs that leave files out, carry them over or make variants of them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from datasets.inspection.looks import look_at
from datasets.preprocessing.registry import validate_steps
from datasets.preprocessing.selecting import select
from datasets.preprocessing.selection import Effect, Files, SelectionError
from datasets.preprocessing.split import split
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from tests.datasets.test_inspection import encode, photo


def files(*rows: tuple[str, str, str, str]) -> Files:
    """From name, label, hash and fingerprint of each."""
    names = ("name", "label", "sha256", "fingerprint")
    return Files.read([dict(zip(names, row, strict=True)) for row in rows], rejected_count=2)


def run(listed: Files, *steps: dict[str, Any]) -> list[Effect]:
    return select(listed, validate_steps(list(steps)))


def left(listed: Files) -> list[str]:
    return [listed.names[place] for place in listed.indices()]


def numbered(count: int, labels: str = "ab") -> Files:
    return files(*((f"{n}.jpg", labels[n % len(labels)], f"{n:064}", "") for n in range(count)))


@pytest.fixture
def alike() -> Files:
    """Two files of the same bytes, a copy of other bytes and another label, one of its own, and a table."""
    look, other = (look_at(image).fingerprint for image in (photo(200, 150), ImageOps.invert(photo(200, 150))))
    return files(
        ("a.jpg", "", "1" * 64, look),
        ("b.jpg", "sea", "1" * 64, look),
        ("c.jpg", "forest", "2" * 64, look_at(photo(100, 75)).fingerprint),
        ("d.jpg", "sea", "3" * 64, other),
        ("e.csv", "", "4" * 64, ""),
        ("f.csv", "", "4" * 64, ""),
    )


class TestSteps:
    def test_excluded_files_are_gone_and_relabelled_ones_stay(self):
        listed = numbered(4)
        effects = run(
            listed,
            {"op": "exclude", "files": ["1.jpg", "2.jpg"]},
            {"op": "relabel", "files": ["2.jpg", "3.jpg"], "label": " c "},
            {"op": "rename_label", "from": "a", "to": ""},
            {"op": "drop_rejected"},
        )
        assert effects == [Effect(dropped=2), Effect(relabelled=1), Effect(relabelled=1), Effect(dropped=2)]
        assert [(listed.names[place], listed.labels[place]) for place in listed.indices()] == [
            ("0.jpg", ""),
            ("3.jpg", "c"),
        ]

    def test_each_file_gets_its_own_label(self):
        listed = numbered(4)
        effects = run(
            listed,
            {"op": "exclude", "files": ["1.jpg"]},
            {"op": "relabel_each", "files": ["3.jpg", "1.jpg", "0.jpg", "2.jpg"], "labels": [" c ", "c", "a", ""]},
        )
        assert effects == [Effect(dropped=1), Effect(relabelled=2)]  # 0.jpg had it, and 1.jpg is gone
        assert [listed.labels[place] for place in listed.indices()] == ["a", "", "c"]
        with pytest.raises(SelectionError, match=r"no file “9.jpg”"):
            run(listed, {"op": "relabel_each", "files": ["9.jpg"], "labels": ["a"]})

    def test_unnamed_files_are_counted_by_their_labels_alone(self):
        steps = (
            {"op": "exclude", "files": ["1.jpg", "2.jpg"]},
            {"op": "relabel", "files": ["3.jpg"], "label": "a"},
            {"op": "rename_label", "from": "a", "to": "c"},
            {"op": "rename_label", "from": "b", "to": "c"},
        )
        listed, counted = numbered(100), files(*((f"{n}.jpg", "ab"[n % 2], f"{n:064}", "") for n in (1, 2, 3)))
        counted.add_several("a", 49)
        counted.add_several("b", 48)
        assert counted.count == listed.count == 100
        assert run(counted, *steps) == run(listed, *steps)
        assert counted.count == listed.count == 98

    def test_unknown_names_are_told(self):
        with pytest.raises(SelectionError) as caught:
            run(numbered(3), {"op": "exclude", "files": [f"{n}.png" for n in range(30)]})
        assert "no files of 30 of these names" in caught.value.message
        assert "“19.png”, …" in caught.value.message
        assert "“20.png”" not in caught.value.message

    def test_an_unknown_label_is_told_with_those_that_there_are(self):
        with pytest.raises(SelectionError, match=r"No file has the label “c”. The labels are: “a”, “b”"):
            run(numbered(3), {"op": "rename_label", "from": "c", "to": "d"})

    @pytest.mark.parametrize(
        ("near", "across", "expected"),
        [
            (False, "keep_first", ["b.jpg", "c.jpg", "d.jpg", "e.csv"]),
            (True, "keep_first", ["b.jpg", "d.jpg", "e.csv"]),
            (True, "drop_all", ["d.jpg", "e.csv"]),
        ],
    )
    def test_one_of_the_duplicates_stays(self, alike, near, across, expected):
        (effect,) = run(alike, {"op": "drop_duplicates", "near": near, "across_labels": across})
        assert left(alike) == expected
        assert effect.dropped == 6 - len(expected)


class TestSplit:
    def parts(self, listed: Files, **values: Any) -> dict[str, str]:
        (step,) = validate_steps([{"op": "split", "part": "train", **values}])
        return {listed.names[place]: part for place, part in split(listed, step.values).items()}

    @pytest.mark.parametrize("count", [10, 59, 1000])
    def test_each_label_is_shared_out_by_the_percents(self, count):
        listed = numbered(count, "abc")
        parts = self.parts(listed, train=70, validation=20, test=10)
        total = Counter(parts.values())
        for part, percent in (("train", 70), ("validation", 20), ("test", 10)):
            assert abs(total[part] - count * percent / 100) < 1
            for label in "abc":
                mine = [parts[name] for name, each in zip(listed.names, listed.labels, strict=True) if each == label]
                assert abs(mine.count(part) - len(mine) * percent / 100) < 2

    def test_many_small_labels_do_not_go_into_one_part(self):
        listed = files(*((f"{n}.jpg", str(n // 2), f"{n:064}", "") for n in range(200)))
        assert Counter(self.parts(listed, train=80, validation=10, test=10).values()) == {
            "train": 160,
            "validation": 20,
            "test": 20,
        }

    def test_the_same_seed_gives_the_same_parts_and_another_gives_others(self):
        one, again, other = (self.parts(numbered(100), seed=seed) for seed in (1, 1, 2))
        assert one == again
        assert sum(one[name] != other[name] for name in one) > 20

    def test_what_is_alike_stays_together(self, alike):
        for seed in range(20):
            parts = self.parts(alike, seed=seed, train=34, validation=33, test=33)
            assert parts["a.jpg"] == parts["b.jpg"] == parts["c.jpg"]
            assert parts["e.csv"] == parts["f.csv"]

    def test_the_parts_are_all_files_each_once(self):
        steps = [{"op": "split", "part": part, "seed": 5} for part in ("train", "validation", "test")]
        lefts = []
        for step in steps:
            listed = numbered(50)
            run(listed, step)
            lefts += left(listed)
        assert sorted(lefts) == sorted(numbered(50).names)

    def test_a_part_of_nothing_gets_nothing(self):
        assert set(self.parts(numbered(50), train=50, validation=0, test=50).values()) == {"train", "test"}


class TestRun:
    def start(self, folder: Path, rows: list[dict[str, Any]], *steps: dict[str, Any]) -> tuple[RunFolder, int]:
        spec = {"files": "input/files.jsonl", "steps": steps, "on_error": "fail", "thumbnail_px": 256, "workers": 2}
        run_folder = RunFolder.create(folder, spec)
        write_jsonl(run_folder.input / "files.jsonl", rows)
        command = [sys.executable, "-m", "datasets.preprocessing", str(run_folder.path)]
        return run_folder, subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60).returncode

    def rows(self, folder: Path, count: int = 3) -> list[dict[str, Any]]:
        facts = {"content": "image", "size_bytes": 7, "width": 48, "height": 32, "mode": "RGB", "format": "JPEG"}
        rows = []
        for number in range(count):
            path = folder / f"{number}.jpg"
            path.write_bytes(encode(photo(48 + number), "JPEG", quality=90))
            row = {"id": number + 1, "name": f"a/{number}.jpg", "label": "x", "sha256": f"{number:064}"}
            rows.append({**row, "fingerprint": "", "has_thumbnail": True, **facts, "path": str(path)})
        return rows

    def test_selections_alone_carry_files_over_without_reading_them(self, tmp_path):
        rows = [{**row, "path": "/nowhere"} for row in self.rows(tmp_path)]
        steps: list[dict[str, Any]] = [
            {"op": "exclude", "files": ["a/1.jpg"]},
            {"op": "rename_label", "from": "x", "to": "y"},
        ]
        made, code = self.start(tmp_path / "run", rows, *steps)
        assert code == 0
        assert made.result() == {
            "ok": 2,
            "rejected": 0,
            "selections": [
                {"op": "exclude", "dropped": 1, "relabelled": 0},
                {"op": "rename_label", "dropped": 0, "relabelled": 2},
            ],
        }
        written = list(read_jsonl(made.output / "files.jsonl"))
        expected = {"state": "ok", "carry": True, "label": "y", "sha256": f"{2:064}", "width": 48, "file": None}
        assert expected.items() <= written[1].items()
        assert not list((made.output).rglob("*.jpg"))

    @pytest.mark.parametrize(
        ("step", "words"),
        [
            (
                {"op": "exclude", "files": [f"a/{n}.jpg" for n in range(3)]},
                "No file is left: the steps leave out all 3",
            ),
            ({"op": "exclude", "files": ["b.jpg"]}, "The data has no file “b.jpg”"),
        ],
    )
    def test_nothing_left_and_unknown_names_fail_in_words(self, tmp_path, step, words):
        made, code = self.start(tmp_path / "run", self.rows(tmp_path), step)
        assert code == 1
        assert words in (made.error() or {})["message"]

    def test_augmenting_keeps_the_originals_and_gives_the_same_variants_at_each_run(self, tmp_path):
        step = {"op": "augment", "copies": 2, "rotate_degrees": 40}
        contents = []
        for attempt in ("one", "two"):
            made, code = self.start(tmp_path / attempt, self.rows(tmp_path), step)
            assert code == 0
            assert made.result() == {"ok": 9, "rejected": 0, "selections": []}
            written = {row["name"]: row for row in read_jsonl(made.output / "files.jsonl")}
            contents.append(
                {name: made.path.joinpath(row["file"]).read_bytes() for name, row in written.items() if row["file"]}
            )
        assert sorted(written)[:3] == ["a/0.jpg", "a/0~1.jpg", "a/0~2.jpg"]
        assert written["a/0.jpg"]["carry"]
        assert {row["label"] for row in written.values()} == {"x"}
        assert contents[0] == contents[1]
        assert len(set(contents[0].values())) == 6
        assert Image.open(made.path / written["a/1~1.jpg"]["file"]).size == (49, 32)

    def test_variants_go_through_the_steps_after_and_originals_through_all(self, tmp_path):
        steps: list[dict[str, Any]] = [
            {"op": "resize", "width": 30, "height": 20},
            {"op": "augment", "copies": 1},
            {"op": "grayscale"},
        ]
        made, code = self.start(tmp_path / "run", self.rows(tmp_path), *steps)
        assert code == 0
        for row in read_jsonl(made.output / "files.jsonl"):
            image = Image.open(made.path / row["file"])
            assert (image.size, image.mode) == ((30, 20), "L")

    def test_names_of_variants_may_not_be_taken(self, tmp_path):
        rows = self.rows(tmp_path)
        rows[2]["name"] = "a/0~2.jpg"
        made, code = self.start(tmp_path / "run", rows, {"op": "augment", "copies": 2})
        assert code == 1
        assert "“a/0~2.jpg”" in (made.error() or {})["message"]
        assert self.start(tmp_path / "run", rows, {"op": "augment", "copies": 1})[1] == 0


def test_the_list_of_files_is_small():
    """What 200,000 files take, by the list of 2,000."""
    rows = (
        {"name": f"some/folder/{n:08}.jpg", "label": "sea", "sha256": f"{n:064}", "fingerprint": f"{n:040}"}
        for n in range(2000)
    )
    listed = Files.read(rows)
    columns = (listed.names, listed.sha256s, listed.fingerprints)
    size = sum(sys.getsizeof(text) for column in columns for text in column)
    assert size / 2000 < 400
    assert len({id(label) for label in listed.labels}) == 1
