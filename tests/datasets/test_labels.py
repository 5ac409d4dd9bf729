"""Label files: what is read, how it meets the images, and the order of a network's outputs."""

import time

import pytest

from datasets.inspection.labels import (
    ClassLabel,
    LabelError,
    LabelRow,
    LabelTable,
    make_label_map,
    match_labels,
    read_label_rows,
)


@pytest.fixture
def read(tmp_path):
    def read_text(text: str | bytes, **options) -> LabelTable:
        path = tmp_path / "label.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_label_rows(path, **options)

    return read_text


def pairs(table: LabelTable) -> list[tuple[str, str]]:
    return [(row.name, row.label) for row in table.rows]


EXPECTED = [("0.jpg", "1"), ("a b.jpg", "5")]


@pytest.mark.parametrize(
    "text",
    [
        "0.jpg,1\na b.jpg,5\n",
        "0.jpg,1\r\na b.jpg,5",
        b"\xef\xbb\xbf0.jpg,1\na b.jpg,5",
        '"0.jpg","1"\n\n"a b.jpg",5\n',
        "0.jpg;1\na b.jpg;5\n",
        "0.jpg\t1\na b.jpg\t5\n",
        "0.jpg , 1.0\n./a b.jpg, 05\n",
        "filename,label\n0.jpg,1\na b.jpg,5\n",
        "Image;CLASS\n0.jpg;1\na b.jpg;5\n",
        "id,category,path\n7,1,0.jpg\n8,5,a b.jpg\n",
        "file,kind\n0.jpg,1\na b.jpg,5\n",
        "사진,종류\n0.jpg,1\na b.jpg,5\n",
        "파일명,라벨\n0.jpg,1\na b.jpg,5\n".encode("cp949"),
        "name,target\n0.jpg,1\na b.jpg,5\n".encode("utf-16"),
    ],
)
def test_the_same_labels_in_any_dress(read, text):
    assert pairs(read(text)) == EXPECTED


def test_first_row_that_names_a_known_image_is_data(read):
    text = "image,class\nother,sea\n"
    assert pairs(read(text)) == [("other", "sea")]
    assert pairs(read(text, image_names={"image", "other"})) == [("image", "class"), ("other", "sea")]


def test_class_names_keep_their_words(read):
    assert pairs(read("0.jpg,sea\n1.jpg,01\n")) == [("0.jpg", "sea"), ("1.jpg", "01")]


def test_lines_of_bad_rows_are_named(read):
    table = read("file,label\n0.jpg,1\n1.jpg\n,2\n3.jpg,\n")
    assert table.rows == (LabelRow(2, "0.jpg", "1"),)
    assert [row.line for row in table.bad_rows] == [3, 4, 5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (
            "0.jpg\n1.jpg\n",
            "Line 1 has one column: expected a file name and a label, such as 0.jpg,1; received “0.jpg”",
        ),
        ("id,filename,kind\n1,0.jpg,sea\n", "Line 1 has no column of labels"),
        ("id,label,kind\n1,0.jpg,sea\n", "received id, label, kind"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "UTF-8"),
        ('0.jpg,"1\n1.jpg,2\n', "does not parse as csv"),
    ],
)
def test_files_that_hold_no_labels_are_refused(read, text, words):
    with pytest.raises(LabelError, match=words.replace("(", r"\(")):
        read(text)


def test_matching_names_everything_that_does_not_fit(read):
    table = read(
        "a/0.jpg,1\nb/0.jpg,2\n1.jpg,1\n1.jpg,1\n2.jpg,1\n2.jpg,2\nmissing.jpg,1\n0.jpg,1\nx/3.jpg,1\nup/a/4.jpg,1\n5.jpg\n"
    )
    images = ["a/0.jpg", "b/0.jpg", "c/1.jpg", "c/2.jpg", "y/3.jpg", "a/4.jpg"]
    match = match_labels(table, images)
    assert match.assigned == {"a/0.jpg": "1", "b/0.jpg": "2", "c/1.jpg": "1", "a/4.jpg": "1"}
    assert [row.name for row in match.rows_without_image] == ["missing.jpg", "x/3.jpg"]
    assert match.images_without_row == ("y/3.jpg",)
    assert [(c.name, [row.line for row in c.rows]) for c in match.contradictions] == [("c/2.jpg", [5, 6])]
    assert [row.line for row in match.repeated_rows] == [4]
    assert [(row.line, row.received) for row in match.bad_rows] == [(8, "0.jpg,1"), (11, "5.jpg")]
    assert not match.is_complete


def test_decomposed_korean_names_meet_composed_ones(read):
    match = match_labels(read("한.jpg,1\n"), ["한.jpg"])
    assert match.is_complete


def test_200_000_rows_in_a_few_seconds(read):
    names = [f"folder {number % 100}/{number}.jpg" for number in range(200_000)]
    text = "".join(f"{name},{number % 6}\n" for number, name in enumerate(names))
    start = time.process_time()
    match = match_labels(read(text, image_names=names), names)
    assert match.is_complete
    assert len(match.assigned) == 200_000
    assert time.process_time() - start < 5


class TestLabelMap:
    def test_integers_in_range_are_their_own_index(self):
        found = make_label_map(["5", "1", "3"], 6, {"1": "buildings"})
        assert found.labels[:2] == (ClassLabel(0, "0"), ClassLabel(1, "buildings"))
        assert [entry.label for entry in found.labels] == [0, 1, 2, 3, 4, 5]
        assert found.targets == {"1": 1, "3": 3, "5": 5}

    def test_other_integers_are_sorted_and_keep_their_value(self):
        found = make_label_map(["10", "9", "100"], 5)
        assert [entry.label for entry in found.labels] == [9, 10, 100, 101, 102]
        assert found.targets == {"9": 0, "10": 1, "100": 2}

    def test_names_are_sorted_and_numbered(self):
        found = make_label_map(["sea", "forest", "sea"], 3, {"sea": "바다"})
        assert found.labels == (ClassLabel(0, "forest"), ClassLabel(1, "바다"), ClassLabel(2, "2"))
        assert found.targets == {"forest": 0, "sea": 1}
        assert found.labels[1].as_dict() == {"label": 1, "class_name": "바다"}

    def test_one_to_n_needs_only_n_outputs(self):
        found = make_label_map([str(number) for number in range(1, 7)], 6)
        assert [entry.label for entry in found.labels] == [1, 2, 3, 4, 5, 6]

    def test_too_few_outputs_are_refused_with_the_classes(self):
        with pytest.raises(LabelError, match=r"num_types is 2, .* 3 distinct classes \(a, b, c\)\. Set .* at least 3"):
            make_label_map(["a", "b", "c"], 2)
        with pytest.raises(LabelError, match=r"30 distinct classes .*19, …"):
            make_label_map([f"{number}" for number in range(30)], 2)
