"""A data downloaded as one zip."""

import csv
import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client
from django.urls import reverse
from zipstream import ZipStream

from datasets import download, purge, trash
from datasets.download import MOST_AT_ONCE, ZipLength
from datasets.models import Data, File
from dlmodeler_site.storage import workspace
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png
from tests.ceph import Ceph

pytestmark = pytest.mark.django_db

FILES = [
    ("숲/이미지 1.png", png()),
    ("forest/b.png", png((1, 2, 3))),
    ("labels.csv", b"file,label\nforest/b.png,1\n"),
    ("Labels-2.CSV/notes.txt", b"Some words.\n"),
]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def data(cast: Cast) -> Data:
    labels = {"숲/이미지 1.png": "숲, 나무", "forest/b.png": "forest"}
    return make_data(make_dataset(cast.project, "My photos"), [*FILES, ("cut.jpg", b"no image")], labels=labels)


def url(data: Data) -> str:
    return reverse("api-data-download", args=[data.pk])


def body(answer: Any) -> bytes:
    try:
        return b"".join(answer.streaming_content)
    finally:
        close(answer)


def close(answer: Any) -> None:
    """As the server does at the end; the test's own connection to the database stays open."""
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


def test_the_zip_holds_the_sound_files_under_their_names_and_the_labels(cast: Cast, data: Data, tmp_path: Path) -> None:
    answer = api(cast.bob).get(url(data), headers={"Accept": "application/zip"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"] == 'attachment; filename="my-photos-photos.zip"'
    content = body(answer)
    assert len(content) == int(answer["Content-Length"])
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name, _content in FILES} == dict(FILES)
    assert set(archive.namelist()) - dict(FILES).keys() == {"labels-3.csv"}  # the two names before it are taken
    rows = list(csv.reader(io.TextIOWrapper(archive.open("labels-3.csv"), encoding="utf-8", newline="")))
    assert rows == [["file", "label"], ["숲/이미지 1.png", "숲, 나무"], ["forest/b.png", "forest"]]
    assert archive.getinfo("숲/이미지 1.png").flag_bits & 0x800
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    (tmp_path / "a.zip").write_bytes(content)
    assert subprocess.run(["python3", "-m", "zipfile", "-t", tmp_path / "a.zip"], check=False).returncode == 0


def test_a_data_in_a_bucket_is_sent_and_deleted_as_well(cast: Cast, ceph: Ceph, settings: Any) -> None:
    ceph.use_as_workspace(settings)
    data = make_data(make_dataset(cast.project), [("a.png", png()), ("b/c.txt", b"words\n")])
    archive = zipfile.ZipFile(io.BytesIO(body(api(cast.bob).get(url(data)))))
    assert (archive.namelist(), archive.read("b/c.txt")) == (["a.png", "b/c.txt"], b"words\n")
    trash.delete_dataset(data.dataset, forever=True)
    assert list(workspace().keys(data.files_key))
    purge.purge()
    assert not any(list(workspace().keys(key)) for key in (data.files_key, data.thumbnails_key))
    assert not Data.everything.exists()


def test_without_labels_there_is_no_csv_of_them(cast: Cast) -> None:
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    client = Client()
    client.force_login(cast.bob)
    answer = client.get(reverse("datasets:data-download", args=[data.pk]))
    assert zipfile.ZipFile(io.BytesIO(body(answer))).namelist() == ["a.png"]


def test_the_length_is_told_before(cast: Cast, data: Data) -> None:
    head = api(cast.bob).head(url(data))
    assert (head.content, int(head["Content-Length"])) == (b"", len(body(api(cast.bob).get(url(data)))))


@pytest.mark.parametrize("change", ["gone", "shorter", "longer", "row"])
def test_what_is_not_as_it_was_breaks_the_download(cast: Cast, data: Data, change: str) -> None:
    file = data.files.get(name="forest/b.png")
    path = Path(workspace().local_path(file.key_in(data), file.sha256))
    answer = api(cast.bob).get(url(data))
    if change == "gone":
        path.unlink()
    elif change == "row":
        file.delete()
    else:
        path.write_bytes(path.read_bytes()[:-1] if change == "shorter" else path.read_bytes() + b"x")
    with pytest.raises(OSError):  # noqa: PT011 - each of them names what is wrong in its own words
        body(answer)


def test_only_so_many_are_sent_at_a_time(cast: Cast, data: Data) -> None:
    client = api(cast.bob)
    sending = [client.get(url(data)) for _download in range(MOST_AT_ONCE)]
    refused = client.get(url(data))
    assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
    assert client.head(url(data)).status_code == 200
    close(sending[0])  # not a byte of it was read
    body(sending[1])
    again = [client.get(url(data)) for _download in range(2)]
    assert {answer.status_code for answer in again} == {200}
    assert client.get(url(data)).status_code == 503
    for answer in (*sending, *again):  # some of them for the second time
        close(answer)
    assert download.places.taken == 0


def test_one_of_very_many_files_is_sent_alone(cast: Cast, data: Data) -> None:
    Data.objects.update(file_count=download.MOST_FILES_AT_ONCE + 1)
    client = api(cast.bob)
    sending = client.get(url(data))
    assert sending.status_code == 200
    assert client.get(url(data)).status_code == 503
    close(sending)
    assert client.head(url(data)).status_code == 200


def test_only_a_completed_data_is_downloaded(cast: Cast) -> None:
    data = Data.objects.create(dataset=make_dataset(cast.project), name="x", slug="x")
    answer = api(cast.bob).get(url(data))
    assert (answer.status_code, answer.json()["reason"]) == (409, "not_completed")
    assert api(cast.charlie).get(url(data)).status_code == 404


def test_the_rows_are_read_in_short_queries(cast: Cast, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BATCH", 2)
    content = body(api(cast.bob).get(url(data)))
    assert len(zipfile.ZipFile(io.BytesIO(content)).namelist()) == 5
    assert File.objects.filter(data=data, state="ok").count() == 4


GIB = 1 << 30


@pytest.mark.parametrize(
    "files",
    [
        [("a", 0)],
        [("나", 2 * GIB - 1), ("b", 1)],
        [("a", 2 * GIB), ("b", 5 * GIB), ("c", 1)],
        [("a", int((2 * GIB - 1) / 1.05) + 1), ("b", int((2 * GIB - 1) / 1.05) - 1)],
    ],
)
def test_the_length_of_large_files_is_what_the_library_counts(files: list[tuple[str, int]]) -> None:
    counted, length = ZipStream(sized=True), ZipLength()
    for name, size in files:
        counted.add(iter(()), name, size=size)
        length.add(name, size)
    assert length.total_bytes == len(counted)


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_the_length_of_many_files_is_what_is_written(count: int) -> None:
    def written() -> Iterator[bytes]:
        stream = ZipStream()
        for number in range(count):
            stream.add(b"", str(number))
            yield from stream.all_files()
        yield from stream.finalize()

    length = ZipLength()
    for number in range(count):
        length.add(str(number), 0)
    assert length.total_bytes == sum(map(len, written()))
