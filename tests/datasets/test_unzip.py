"""Archives through the API: what becomes of their files, of the archive, and of what an attempt left half done."""

import io
import random
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from PIL import Image

from datasets import incoming, leftovers, results
from datasets.models import Data, File
from datasets.versions import commit_data, create_raw_data
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.local import LocalBackend
from dlmodeler_site.compute.run_folder import RunFolder, write_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, make_cast, make_dataset, png, run_work
from tests.datasets.test_uploads import upload

pytestmark = pytest.mark.django_db

COLOURS = {
    f"{label}/{number}.png": (40 * number, 60 * index, 90) for index, label in enumerate("abc") for number in range(5)
}
IMAGES = {name: png(colour) for name, colour in COLOURS.items()}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def data(cast: Cast) -> Data:
    return create_raw_data(make_dataset(cast.project), cast.alice, name="photos")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    assert list(Path(settings.DLM_INCOMING).iterdir()) == []


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(entries: dict[str, bytes], *, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def states(data: Data) -> dict[str, str]:
    return dict(data.files.values_list("name", "state"))


def stored(data: Data) -> set[str]:
    """Everything of the data in the workspace, without thumbnails and the log."""
    prefix = data.files_key
    return {key.removeprefix(f"{prefix}/") for key in workspace().keys(prefix)} | set(
        workspace().keys(data.archives_key)
    )


def inspected(data: Data) -> Data:
    commit_data(data)
    return run_work(data)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_becomes_its_files(cast: Cast, data: Data, pack: Any) -> None:
    junk = {"__MACOSX/a/._0.png": b"junk", "a/.DS_Store": b"junk"}
    (answer,) = upload(cast, data, [("photos.archive", pack(IMAGES | junk))], unzip="true", labels_from_folders="true")
    assert answer == {"name": "photos.archive", "state": "ok", "error": None}
    inspected(data)
    assert (data.status, data.file_count, data.rejected_count) == (Status.COMPLETED, 15, 0)
    assert stored(data) == set(IMAGES)
    files = list(data.files.all())
    assert {file.name: file.label for file in files} == {name: name[0] for name in IMAGES}
    assert {(file.source, file.source_key) for file in files} == {("archive", "photos.archive")}
    for file in files:
        with workspace().open(file.key) as content:
            assert content.read() == IMAGES[file.name]
        with workspace().open(file.thumbnail_key) as content:
            shown = Image.open(content).convert("RGB").getpixel((20, 15))
        assert all(abs(one - other) < 12 for one, other in zip(shown, COLOURS[file.name], strict=True))  # type: ignore[arg-type]


def test_a_small_photo_is_its_own_thumbnail(cast: Cast, data: Data) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(buffer, "JPEG")
    upload(cast, data, [("0.jpg", buffer.getvalue())])
    upload(cast, data, [("x.zip", zipped({"a/0.jpg": buffer.getvalue()}))], unzip="true")
    inspected(data)
    assert states(data) == {"0.jpg": "ok", "a/0.jpg": "ok"}
    for file in data.files.all():
        for key in (file.key, file.thumbnail_key):
            with workspace().open(key) as content:
                assert content.read() == buffer.getvalue()


def test_an_archive_is_unpacked_where_it_lies(cast: Cast, data: Data) -> None:
    upload(cast, data, [("x.zip", zipped({"0.png": png()}))], paths="deep/er/x.zip", unzip="1", labels_from_folders="1")
    inspected(data)
    assert list(data.files.values_list("name", "label")) == [("deep/er/0.png", "er")]


def test_what_cannot_be_unpacked_is_refused_at_once(cast: Cast, data: Data) -> None:
    answers = upload(
        cast,
        data,
        [
            ("photo.png", png()),
            ("cut.zip", zipped(IMAGES)[:-30]),
            ("slip.zip", zipped({"../../evil.png": png()})),
            ("good.zip", zipped(IMAGES)),
        ],
        unzip="true",
    )
    assert [answer["state"] for answer in answers] == ["rejected", "rejected", "rejected", "ok"]
    assert "This is not an archive" in answers[0]["error"]
    assert "damaged" in answers[1]["error"]
    assert "../../evil.png" in answers[2]["error"]
    assert stored(data) == {f"{data.archives_key}/good.zip"}
    inspected(data)
    assert (data.status, data.file_count, data.rejected_count) == (Status.COMPLETED, 15, 3)
    assert stored(data) == set(IMAGES)


def test_a_tar_that_attacks_is_refused_as_a_whole(cast: Cast, data: Data) -> None:
    """A tar tells what is in it only when it is read to its end, which the inspection does."""
    evil = tarred({**IMAGES, "a/../../../evil.png": png()})
    upload(cast, data, [("evil.tar.gz", evil), ("good.tar.gz", tarred({"0.png": png()}))], unzip="true")
    inspected(data)
    assert data.status == Status.COMPLETED
    assert states(data) == {"evil.tar.gz": "rejected", "0.png": "ok"}
    assert "evil.png" in data.files.get(name="evil.tar.gz").error
    assert stored(data) == {"0.png"}


def test_when_all_is_refused_the_data_says_why_and_nothing_is_left(cast: Cast, data: Data) -> None:
    upload(cast, data, [("evil.tar", tarred({"/etc/evil": b"x"}, mode="w"))], unzip="true")
    inspected(data)
    assert (data.status, data.error_reason) == (Status.FAILED, "all_rejected")
    assert "/etc/evil" in data.error
    assert stored(data) == set()
    other = create_raw_data(data.dataset, cast.alice, name="others")
    upload(cast, other, [("bad.zip", zipped({"a.png": b"no image", "in.zip": zipped(IMAGES)}))], unzip="true")
    inspected(other)
    assert (other.status, states(other)) == (Status.FAILED, {"a.png": "rejected", "in.zip": "rejected"})
    assert stored(other) == set()


def test_a_broken_member_is_that_file_alone(cast: Cast, data: Data) -> None:
    content = bytearray(zipped(IMAGES | {"b/9.png": random.Random(1).randbytes(500)}))
    content[content.index(b"b/9.png") + 100] ^= 0xFF
    upload(cast, data, [("photos.zip", bytes(content))], unzip="true")
    inspected(data)
    assert (data.status, data.file_count, data.rejected_count) == (Status.COMPLETED, 15, 1)
    file = data.files.get(state=File.State.REJECTED)
    assert file.name == "b/9.png"
    assert "damaged inside the archive" in file.error
    assert stored(data) == set(IMAGES)


def clashing(cast: Cast, data: Data) -> None:
    """Uploads whose names meet; the first of each keeps its name."""
    upload(cast, data, [("a/0.png", png((9, 9, 9))), ("b", png())])
    first = {name: IMAGES[name] for name in IMAGES if name[0] in "ab"}
    second = {name: IMAGES[name] for name in IMAGES if name[0] in "bc"} | {"c/1.png/x.png": png()}
    del second["c/1.png"]
    nested = {"first.zip": zipped(IMAGES), "second.zip": b"text"}
    upload(cast, data, [("first.zip", zipped(first)), ("second.tar.gz", tarred(second | nested))], unzip="true")


def expected_of_clashes() -> dict[str, str]:
    ok = ["a/0.png", "b", *(f"a/{n}.png" for n in range(1, 5)), *(f"c/{n}.png" for n in (0, 2, 3, 4)), "c/1.png/x.png"]
    rejected = ["first.zip/a/0.png", *(f"first.zip/b/{n}.png" for n in range(5))]
    rejected += [*(f"second.tar.gz/b/{n}.png" for n in range(5)), "second.tar.gz/first.zip"]
    return dict.fromkeys(ok, "ok") | dict.fromkeys(rejected, "rejected") | {"second.zip": "rejected"}


def test_names_that_meet_are_rejected_under_another_name(cast: Cast, data: Data) -> None:
    """Count in = count out: each file of an archive has a row, and each row a name of its own."""
    clashing(cast, data)
    inspected(data)
    # `second.zip` is text that calls itself an archive: text is a file like others.
    assert states(data) == expected_of_clashes() | {"second.zip": "ok"}
    errors = dict(data.files.filter(state="rejected").values_list("name", "error"))
    assert "a/0.png" in errors["first.zip/a/0.png"]
    assert "same name" in errors["first.zip/b/0.png"]
    with workspace().open(f"{data.files_key}/a/0.png") as content:
        assert content.read() == png((9, 9, 9))
    assert stored(data) == {name for name, state in states(data).items() if state == "ok"}


@pytest.mark.parametrize("published", [1, 7, 13, 22])
def test_an_attempt_that_died_over_publishing_is_repeated_to_the_same_end(
    cast: Cast, data: Data, tmp_path: Path, published: int
) -> None:
    clashing(cast, data)
    run = RunFolder.create(tmp_path / "run", {})
    write_json(run.path / "spec.json", data.prepare(run))
    assert LocalBackend(blocking=True).start(run, data.module, Resources()).poll() == 0
    lines = (run.output / "files.jsonl").read_text().splitlines(keepends=True)
    (run.output / "files.jsonl").write_text("".join(lines[:published]))
    results.publish(data, run)  # and there it was killed
    inspected(data)
    assert data.status == Status.COMPLETED
    assert states(data) == expected_of_clashes() | {"second.zip": "ok"}
    assert data.thumbnail_bytes == sum(map(workspace().size, workspace().keys(data.thumbnails_key)))
    assert stored(data) == {name for name, state in states(data).items() if state == "ok"}
    with workspace().open(f"{data.files_key}/a/0.png") as content:
        assert content.read() == png((9, 9, 9))


def test_the_same_name_again_replaces_whatever_it_is(cast: Cast, data: Data) -> None:
    upload(cast, data, [("x", zipped(IMAGES))])
    assert stored(data) == {"x"}
    upload(cast, data, [("x", zipped(IMAGES))], unzip="true")
    assert stored(data) == {f"{data.archives_key}/x"}
    upload(cast, data, [("x", b"no archive")], unzip="true")
    assert stored(data) == set()
    upload(cast, data, [("x", zipped(IMAGES))], unzip="true")
    upload(cast, data, [("x", png())])
    assert stored(data) == {"x"}
    inspected(data)
    assert states(data) == {"x": "ok"}


def test_what_completed_or_gone_data_left_is_swept(cast: Cast, data: Data) -> None:
    upload(cast, data, [("x.zip", zipped(IMAGES))], unzip="true")
    for pk in (data.pk, data.pk + 1000):
        incoming.data_folder(pk).mkdir()
    leftovers.sweep()
    assert incoming.data_folder(data.pk).exists()
    assert not incoming.data_folder(data.pk + 1000).exists()
    inspected(data)
    workspace().save(f"{data.archives_key}/x.zip", ContentFile(b"left by a kill"))  # type: ignore[attr-defined]
    incoming.data_folder(data.pk).mkdir()
    leftovers.sweep()
    assert stored(data) == set(IMAGES)
