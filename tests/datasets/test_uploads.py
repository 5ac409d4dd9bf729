"""Uploading through the API, inspection after the commit: what is taken, what is refused, what is left behind."""

import io
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from PIL import Image
from rest_framework.test import APIClient

from datasets import incoming
from datasets.models import Data, File
from datasets.versions import create_raw_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_dataset, png, run_work

pytestmark = pytest.mark.django_db

BOUNDARY = "boundary-of-the-test"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def data(cast: Cast) -> Data:
    return create_raw_data(make_dataset(cast.project), cast.alice, name="photos")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    workspace().delete_tree("project")  # ids come again in the next test
    assert list(Path(settings.DLM_INCOMING).iterdir()) == []


def body(files: list[tuple[str, bytes]], *, end: bool = True, **fields: Any) -> bytes:
    """A multipart body as a client would send it, names raw."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n"
        + content
        + b"\r\n"
        for name, content in files
    ]
    for field, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode())
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def send(client: APIClient | Client, data: Data, content: bytes, **headers: Any) -> Any:
    return client.generic(
        "POST",
        reverse("api-data-files", args=[data.pk]),
        content,  # type: ignore[arg-type]
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
        **headers,
    )


def upload(cast: Cast, data: Data, files: list[tuple[str, bytes]], **fields: Any) -> list[dict[str, Any]]:
    answer = send(api(cast.alice), data, body(files, **fields))
    assert answer.status_code == 200, answer.json()
    return answer.json()  # type: ignore[no-any-return]


def commit(cast: Cast, data: Data) -> Data:
    answer = api(cast.alice).post(reverse("api-data-commit", args=[data.pk]))
    assert answer.status_code == 202, answer.json()
    assert answer.json()["status"] == "queued"
    data.refresh_from_db()
    run_work(data)
    return data


def keys(data: Data) -> set[str]:
    return {key.removeprefix(f"{data.files_key}/") for key in workspace().keys(data.files_key)}


def image_bytes(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def pixel_bomb() -> bytes:
    """A PNG of 100 megapixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (10_000 * 1251), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_names_of_every_script_are_kept_to_the_bytes(cast: Cast, data: Data) -> None:
    names = [
        "with spaces (1).png",
        "풍경 사진.png",
        "Ελλάδα/фото.png",
        "日本/富士山.png",
        'quote;semi=colon".png'.replace('"', "'"),
    ]
    contents = [png((n, 0, 0)) for n in range(len(names))]
    answers = upload(cast, data, list(zip(names, contents, strict=True)))
    assert [(answer["name"], answer["state"], answer["error"]) for answer in answers] == [
        (n, "ok", None) for n in names
    ]
    commit(cast, data)
    assert data.status == Status.COMPLETED
    assert keys(data) == set(names)
    listed = api(cast.bob).get(reverse("api-data-files", args=[data.pk])).json()["results"]
    assert [file["name"] for file in listed] == names
    for file, content in zip(listed, contents, strict=True):
        shown = api(cast.bob).get(file["url"])
        assert b"".join(shown.streaming_content) == content  # type: ignore[attr-defined]
        assert shown["Content-Type"] == "image/png"
        assert api(cast.bob).get(file["thumbnail_url"])["Content-Type"] == "image/jpeg"


def test_odd_but_sound_images_are_accepted(cast: Cast, data: Data) -> None:
    square = Image.new("RGB", (20, 20), "red")
    files = {
        "cmyk.jpg": image_bytes(square.convert("CMYK"), "JPEG"),
        "16-bit.png": image_bytes(Image.new("I;16", (20, 20), 40_000), "PNG"),
        "palette.png": image_bytes(square.convert("P"), "PNG"),
        "animated.gif": image_bytes(square, "GIF", save_all=True, append_images=[square.rotate(90)]),
    }
    upload(cast, data, list(files.items()))
    commit(cast, data)
    assert dict(data.files.values_list("name", "state")) == dict.fromkeys(files, "ok")


def test_a_refused_file_leaves_the_others_unharmed_and_nothing_behind(cast: Cast, data: Data) -> None:
    other = create_raw_data(data.dataset, cast.alice, name="other")
    upload(cast, other, [("victim.png", png())])
    sound = image_bytes(Image.effect_noise((64, 64), 50), "JPEG")
    files = [
        ("sound.jpg", sound),
        ("empty.jpg", b""),
        ("text.jpg", b"hello, I am text"),
        ("truncated.jpg", sound[: len(sound) // 2]),
        ("bomb.png", pixel_bomb()),
        ("../other/victim.png", png()),
        ("a/../b.png", png()),
        ("/etc/passwd.png", png()),
        ("x" * 256 + ".png", png()),
        ("가" * 2000 + ".png", png()),
        ("", png()),
        ("bell\x07.png", png()),
    ]
    answers = upload(cast, data, files)
    assert [answer["state"] for answer in answers] == ["ok"] * 5 + ["rejected"] * 7
    assert all(answer["error"] for answer in answers[5:])
    assert "at most 255 bytes" in answers[8]["error"]
    commit(cast, data)
    assert data.status == Status.COMPLETED
    assert (data.file_count, data.rejected_count, data.size_bytes) == (1, 11, len(sound))
    assert keys(data) == {"sound.jpg"}
    assert keys(other) == {"victim.png"}
    errors = dict(data.files.filter(state=File.State.REJECTED).values_list("name", "error"))
    assert "empty" in errors["empty.jpg"]
    assert "text" in errors["text.jpg"]
    assert "truncated" in errors["truncated.jpg"]
    assert "pixels" in errors["bomb.png"]


def test_paths_beside_the_files_give_folders_and_labels(cast: Cast, data: Data) -> None:
    files = [("0.png", png()), ("1.png", png()), ("2.png", png())]
    paths = ["train/forest/0.png", "train/sea/1.png", "2.png"]
    upload(cast, data, files, paths=paths, labels_from_folders="true")
    assert dict(data.files.values_list("name", "label")) == dict(zip(paths, ["forest", "sea", ""], strict=True))
    answer = send(api(cast.alice), data, body(files, paths=paths[:2]))
    assert (answer.status_code, answer.json()["reason"]) == (400, "paths_mismatch")


def test_the_same_name_again_replaces(cast: Cast, data: Data) -> None:
    upload(cast, data, [("a.png", png((1, 1, 1))), ("b.png", png())])
    upload(cast, data, [("a.png", b"bad"), ("a.png", png((2, 2, 2)))], paths=["a.png", "a.png"])
    commit(cast, data)
    assert data.file_count == 2
    with workspace().open(f"{data.files_key}/a.png") as file:
        assert file.read() == png((2, 2, 2))


def test_a_file_in_the_way_of_a_folder_is_refused(cast: Cast, data: Data) -> None:
    answers = upload(cast, data, [("a", b"text"), ("a/b.png", png()), ("c/d.png", png()), ("c", b"text")])
    assert [answer["state"] for answer in answers] == ["ok", "rejected", "ok", "rejected"]
    answers = upload(cast, data, [("a/b.png", png()), ("c", b"text"), ("e.png", png())])
    assert [answer["state"] for answer in answers] == ["rejected", "rejected", "ok"]
    commit(cast, data)
    assert keys(data) == {"a", "c/d.png", "e.png"}


def test_a_broken_off_upload_leaves_nothing(cast: Cast, data: Data) -> None:
    answer = send(api(cast.alice), data, body([("a.png", png()), ("b.png", png())], end=False))
    assert (answer.status_code, answer.json()["reason"]) == (400, "interrupted")
    assert not data.files.exists()
    assert keys(data) == set()


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_is_not() -> None:
    long_ago = time.time() - 3600
    left = Path(tempfile.mkdtemp(prefix="request-", dir=settings.DLM_INCOMING))
    with incoming.request_folder() as used:
        for folder in (left, used):
            os.utime(folder, (long_ago, long_ago))
        incoming.sweep()
        assert used.exists()
        assert not left.exists()


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (body([]), 400, "no_files"),
        (b"no multipart at all", 400, "interrupted"),
        (body([("a.png", b"x")], unzip="maybe"), 400, "invalid"),
        (body([("a.png", b"x")]).replace(b'"files"', b'"file"'), 400, "unknown_field"),
        (body([(f"{n}.png", b"x") for n in range(1001)]), 413, "too_many_files"),
    ],
)
def test_a_request_that_is_refused_as_a_whole_keeps_nothing(
    cast: Cast, data: Data, content: bytes, status: int, reason: str
) -> None:
    answer = send(api(cast.alice), data, content)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not data.files.exists()


def test_too_many_bytes_are_refused_before_and_while_reading(cast: Cast, data: Data, settings: Any) -> None:
    settings.DLM_UPLOAD_MAX_BYTES = 100_000
    answer = send(api(cast.alice), data, body([("a.txt", b"x" * 100_001)]))
    assert (answer.status_code, answer.json()["reason"]) == (413, "upload_too_large")
    answer = send(api(cast.alice), data, body([("a.txt", b"x" * (17 << 20))]))
    assert (answer.status_code, answer.json()["reason"]) == (413, "upload_too_large")


def test_other_content_types_are_415(cast: Cast, data: Data) -> None:
    url = reverse("api-data-files", args=[data.pk])
    assert api(cast.alice).post(url, {"files": []}, format="json").status_code == 415
    assert api(cast.alice).generic("POST", url, b"x", content_type="image/png").status_code == 415  # type: ignore[arg-type]


def test_a_browser_uploads_with_session_and_csrf_header(cast: Cast, data: Data) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.alice)
    content = body([("a.png", png())])
    assert send(browser, data, content).status_code == 403
    token = browser.get(reverse("account_login")) and "x" * 32
    browser.cookies[settings.CSRF_COOKIE_NAME] = token  # type: ignore[assignment]
    assert send(browser, data, content, HTTP_X_CSRFTOKEN=token).status_code == 200


def test_only_editors_upload(cast: Cast, data: Data) -> None:
    content = body([("a.png", png())])
    answers = {name: send(api(getattr(cast, name)), data, content).status_code for name in ("erin", "bob", "charlie")}
    assert answers == {"erin": 200, "bob": 403, "charlie": 404}
    assert send(api(None), data, content).status_code == 401


def test_commit_needs_a_file_and_ends_the_uploading(cast: Cast, data: Data) -> None:
    url = reverse("api-data-commit", args=[data.pk])
    assert api(cast.alice).post(url).json()["reason"] == "no_files"
    upload(cast, data, [("../a.png", png())])
    assert api(cast.alice).post(url).json()["reason"] == "no_files"
    upload(cast, data, [("a.png", png())])
    assert api(cast.alice).post(url).status_code == 202
    assert api(cast.alice).post(url).status_code == 409
    answer = send(api(cast.alice), data, body([("b.png", png())]))
    assert (answer.status_code, answer.json()["reason"]) == (409, "not_uploading")
    assert answer.wsgi_request.read() == b""  # read to its end, so that a client that sends sees the answer


def test_a_data_without_one_sound_file_fails_and_says_why(cast: Cast, data: Data) -> None:
    upload(cast, data, [("a.jpg", b"I am text"), ("b.jpg", b"")])
    commit(cast, data)
    assert data.status == Status.FAILED
    assert "None of the 2 files can be used" in data.error
    assert "b.jpg: The file is empty." in data.error
    assert keys(data) == set()


def test_a_stopped_inspection_can_be_committed_again(cast: Cast, data: Data) -> None:
    upload(cast, data, [("a.png", png())])
    client = api(cast.alice)
    client.post(reverse("api-data-commit", args=[data.pk]))
    assert client.post(reverse("api-data-stop", args=[data.pk])).json()["status"] == "cancelled"
    assert client.post(reverse("api-data-stop", args=[data.pk])).status_code == 409
    data.refresh_from_db()
    assert commit(cast, data).status == Status.COMPLETED
