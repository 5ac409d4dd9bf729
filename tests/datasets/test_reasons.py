"""A reason is told anew in the reader's language from template and values, whatever process made it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils.translation import gettext

from datasets.inspection.labels import LabelError, make_label_map, match_labels, read_label_rows
from datasets.models import Data
from datasets.multipart import MultipartError, read_parts
from datasets.preprocessing.registry import StepError, validate_steps
from datasets.versions import create_raw_data, preprocess_data
from dlmodeler_site import sentences
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, make_cast, make_data, make_dataset, png, run_work
from tests.datasets.test_uploads import commit, upload

KOREAN = {
    "The %(format)s file is truncated: a part of it is missing. Upload it again.": "잘린 %(format)s 파일입니다.",
    "The file name %(name)s has the part “%(part)s”; only names of folders are allowed.": "쓸 수 없는 이름: %(part)s",
    "The file is empty.": "빈 파일입니다.",
    "None of the %(count)d files can be used. Make a new data from other files.": "%(count)d개 모두 쓸 수 없습니다.",
    "%(count)d files were not preprocessed.": "%(count)d개 실패.",
    "Remove what is listed here or choose to skip bad files.": "건너뛰세요.",
    "This is text, not an image.": "텍스트입니다.",
    "Line %(line)d has one column: expected a file name and a label, such as 0.jpg,1; received “%(received)s”.": (
        "%(line)d행에는 “%(received)s”만 있습니다."
    ),
    "several images have this name (%(names)s); write the path": "%(names)s 중 하나의 경로를 쓰세요",
    "The headers of a part are longer than %(most)d bytes.": "머리글은 %(most)d바이트까지입니다.",
    "Step %(step)d: %(mistake)s": "%(step)d단계: %(mistake)s",
    "%(op)s needs %(parameter)s, %(range)s; received %(received)s.": "%(parameter)s: %(range)s, 받은 값: %(received)s",
    "a number from %(least)s to %(most)s": "%(least)s부터 %(most)s까지",
    "nothing": "없음",
}


@contextmanager
def korean() -> Iterator[None]:
    """What is read here is read in Korean, whatever the catalogue holds."""
    sentences.translate_by(lambda template: KOREAN.get(template, template))
    try:
        yield
    finally:
        sentences.translate_by(gettext)


def told_in_korean(message: str) -> str:
    stored = sentences.dumps(message)
    with korean():
        return sentences.loads(stored)


@pytest.fixture
def cast() -> Iterator[Cast]:
    yield make_cast()
    workspace().delete_tree("project")  # ids come again in the next test


def reasons(data: Data) -> dict[str, str]:
    return dict(data.files.values_list("name", "error"))


@pytest.mark.django_db
def test_why_a_file_was_refused(cast: Cast) -> None:
    data = create_raw_data(make_dataset(cast.project), cast.alice, name="photos")
    upload(cast, data, [("a.png", png()), ("cut.png", png()[:-30]), ("empty.csv", b""), ("../b.png", png())])
    commit(cast, data)
    english = reasons(data)
    assert sentences.to_json(english["cut.png"]) == {
        "template": "The %(format)s file is truncated: a part of it is missing. Upload it again.",
        "values": {"format": "PNG"},
    }
    with korean():
        told = reasons(data)
    assert told == {
        "a.png": "",
        "cut.png": "잘린 PNG 파일입니다.",
        "empty.csv": "빈 파일입니다.",
        "../b.png": "쓸 수 없는 이름: ..",
    }


@pytest.mark.django_db
def test_why_a_data_failed_with_the_reasons_of_its_files(cast: Cast) -> None:
    dataset = make_dataset(cast.project)
    refused = make_data(dataset, [("a.png", png()[:-30]), ("b.csv", b"")], name="refused")
    mixed = make_data(dataset, [("a.png", png()), ("b.csv", b"a.png,1\n"), ("c.csv", b"a.png,2\n")], name="mixed")
    half = run_work(preprocess_data(mixed, cast.alice, name="half", steps=[{"op": "grayscale"}]))
    assert [refused.status, half.status] == [Status.FAILED, Status.FAILED]
    with korean():
        for data in (refused, half):
            data.refresh_from_db()
    assert refused.error == "2개 모두 쓸 수 없습니다.\na.png: 잘린 PNG 파일입니다.\nb.csv: 빈 파일입니다."
    lines = half.error.splitlines()
    assert lines[0] == "2개 실패. 건너뛰세요."
    assert sorted(lines[1:]) == ["b.csv: 텍스트입니다.", "c.csv: 텍스트입니다."]


def test_what_is_wrong_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "label.csv"
    path.write_text("0.jpg\n")
    with pytest.raises(LabelError) as caught:
        read_label_rows(path)
    assert told_in_korean(caught.value.message) == "1행에는 “0.jpg”만 있습니다."
    path.write_text("0.jpg,1\n")
    (row,) = match_labels(read_label_rows(path), ["a/0.jpg", "b/0.jpg"]).bad_rows
    assert told_in_korean(row.problem) == "a/0.jpg, b/0.jpg 중 하나의 경로를 쓰세요"
    with pytest.raises(LabelError) as caught:
        make_label_map(["a", "b", "c"], 2)
    assert sentences.to_json(caught.value.message)["values"] == {"num_types": 2, "count": 3, "listed": "a, b, c"}


def test_what_is_wrong_with_steps() -> None:
    with pytest.raises(StepError) as caught:
        validate_steps([{"op": "grayscale"}, {"op": "rotate"}, {"op": "zoom", "percent": 9}])
    both = ["2단계: degrees: -360부터 360 °까지, 받은 값: 없음", "3단계: percent: 10부터 500 %까지, 받은 값: 9"]
    assert told_in_korean(caught.value.message) == " ".join(both)
    assert [told_in_korean(detail["message"]) for detail in caught.value.details] == both


def test_what_is_wrong_with_a_multipart_body() -> None:
    class Endless:
        def read(self, size: int, /) -> bytes:
            return b"--b\r\n" + b"x" * size

    with pytest.raises(MultipartError) as caught:
        list(read_parts(Endless(), "multipart/form-data; boundary=b"))
    assert told_in_korean(caught.value.message) == "머리글은 16384바이트까지입니다."
