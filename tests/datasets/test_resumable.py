"""Uploads that go on where they broke off: the protocol, what is kept, what is refused, what is left behind."""

import base64
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import resumable
from datasets.models import Data
from datasets.purge import purge_dataset
from datasets.versions import create_raw_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_dataset, png, run_work
from tests.datasets.test_uploads import upload as upload_at_once

pytestmark = pytest.mark.django_db

CONTENT = png(size=(300, 200))
BYTES = "application/offset+octet-stream"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def data(cast: Cast) -> Data:
    return create_raw_data(make_dataset(cast.project), cast.alice, name="photos")


@pytest.fixture(autouse=True)
def _empty_incoming() -> Iterator[None]:
    yield
    for folder in Path(settings.DLM_INCOMING).iterdir():
        resumable.forget(int(folder.name.removeprefix("uploads-")))
    assert list(Path(settings.DLM_INCOMING).iterdir()) == []


def start(
    client: APIClient | Client, data: Data, size_bytes: int, headers: dict[str, Any] | None = None, **metadata: str
) -> Any:
    pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items()]
    given = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size_bytes), "Upload-Metadata": ",".join(pairs)}
    return client.post(reverse("api-data-uploads", args=[data.pk]), headers=given | (headers or {}))


def begin(cast: Cast, data: Data, content: bytes = CONTENT, **metadata: str) -> str:
    """The address of a new upload."""
    answer = start(api(cast.alice), data, len(content), None, **{"name": "forest/a.png", **metadata})
    assert answer.status_code == 201, answer.json()
    assert answer["Upload-Offset"] == "0"
    return str(answer["Location"])


def send(
    client: APIClient | Client, url: str, content: bytes, offset: int, *, kind: str = BYTES, **environment: Any
) -> Any:
    environment = {"HTTP_TUS_RESUMABLE": "1.0.0", "HTTP_UPLOAD_OFFSET": str(offset)} | environment
    return client.generic("PATCH", url, content, content_type=kind, **environment)  # type: ignore[arg-type]


def break_off(client: APIClient, url: str, content: bytes, offset: int, *, after: int) -> Any:
    """Send bytes whose connection ends too early."""
    broken: dict[str, Any] = {"wsgi.input": io.BytesIO(content[:after]), "CONTENT_LENGTH": str(len(content))}
    return send(client, url, b"", offset, **broken)


def offset(cast: Cast, url: str) -> int:
    answer = api(cast.alice).head(url, headers={"Tus-Resumable": "1.0.0"})
    assert (answer.status_code, answer["Cache-Control"], answer["Tus-Resumable"]) == (200, "no-store", "1.0.0")
    return int(answer["Upload-Offset"])


def stored(data: Data, name: str) -> bytes:
    with workspace().open(f"{data.files_key}/{name}") as file:
        return bytes(file.read())


def commit(cast: Cast, data: Data) -> Any:
    return api(cast.alice).post(reverse("api-data-commit", args=[data.pk]))


def test_a_file_in_pieces_becomes_a_file_like_every_other(cast: Cast, data: Data) -> None:
    url = begin(cast, data, labels_from_folders="true")
    client = api(cast.alice)
    assert send(client, url, CONTENT[:100], 0)["Upload-Offset"] == "100"
    assert offset(cast, url) == 100
    last = send(client, url, CONTENT[100:], 100)
    assert (last.status_code, last["Upload-Offset"]) == (204, str(len(CONTENT)))
    # Who did not hear the last answer asks again, and need not send anything.
    assert offset(cast, url) == len(CONTENT)
    assert client.get(url).json()["state"] == "ok"
    assert stored(data, "forest/a.png") == CONTENT
    assert commit(cast, data).status_code == 202
    data.refresh_from_db()
    run_work(data)
    assert data.status == Status.COMPLETED
    assert list(data.files.values_list("name", "state", "label")) == [("forest/a.png", "ok", "forest")]


def test_bytes_of_a_broken_connection_are_kept(cast: Cast, data: Data) -> None:
    url, client = begin(cast, data), api(cast.alice)
    answer = break_off(client, url, CONTENT, 0, after=150)
    assert (answer.status_code, answer.json()["reason"]) == (400, "interrupted")
    assert offset(cast, url) == 150
    assert send(client, url, CONTENT[150:], 150).status_code == 204
    assert stored(data, "forest/a.png") == CONTENT


def test_another_browser_finds_what_is_unfinished(cast: Cast, data: Data) -> None:
    url = begin(cast, data, modified="1700000000000")
    break_off(api(cast.alice), url, CONTENT, 0, after=150)
    (found,) = api(cast.erin).get(reverse("api-data-uploads", args=[data.pk])).json()["results"]
    assert (found["url"], found["name"], found["modified"]) == (url, "forest/a.png", "1700000000000")
    assert (found["size_bytes"], found["offset_bytes"], found["state"]) == (len(CONTENT), 150, "open")
    send(api(cast.erin), url, CONTENT[150:], 150)
    assert api(cast.erin).get(reverse("api-data-uploads", args=[data.pk])).json()["results"] == []


def test_an_empty_file_is_there_at_once(cast: Cast, data: Data) -> None:
    url = begin(cast, data, b"", name="empty.txt")
    assert api(cast.alice).get(url).json()["state"] == "ok"
    assert stored(data, "empty.txt") == b""


def test_two_who_send_the_same_upload_do_it_no_harm(cast: Cast, data: Data) -> None:
    url, client = begin(cast, data), api(cast.alice)

    class Overtaken(io.BytesIO):
        """A slow connection: before its second block the other sender has gone past it."""

        blocks = 0

        def read(self, size: int | None = -1) -> bytes:
            self.blocks += 1
            if self.blocks == 2:
                assert send(client, url, CONTENT[100:300], 100).status_code == 204
            return super().read(100)

    slow: dict[str, Any] = {"wsgi.input": Overtaken(CONTENT), "CONTENT_LENGTH": str(len(CONTENT))}
    answer = send(client, url, b"", 0, **slow)
    assert (answer.status_code, answer.json()["reason"]) == (409, "offset_mismatch")
    assert answer.json()["details"]["offset_bytes"] == 300
    send(client, url, CONTENT[300:], 300)
    assert stored(data, "forest/a.png") == CONTENT


@pytest.mark.parametrize("killed_before", ["its row was written", "its record was written", "the part was deleted"])
def test_a_process_that_died_over_the_last_step_is_made_up_for(cast: Cast, data: Data, killed_before: str) -> None:
    url, client = begin(cast, data), api(cast.alice)
    (part,) = Path(settings.DLM_INCOMING).glob("*/*.part")
    record = part.with_suffix(".json")
    open_record = record.read_text()
    os.link(part, part.with_suffix(".kept-by-the-test"))
    send(client, url, CONTENT, 0)
    os.rename(part.with_suffix(".kept-by-the-test"), part)
    if killed_before != "the part was deleted":
        record.write_text(open_record)
    if killed_before == "its row was written":
        data.files.all().delete()
        os.link(part, part.with_suffix(".whole"))
    assert offset(cast, url) == len(CONTENT)
    assert client.get(url).json()["state"] == "ok"
    assert stored(data, "forest/a.png") == CONTENT
    assert data.files.get().size_bytes == len(CONTENT)
    assert commit(cast, data).status_code == 202


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        (lambda client, url, data: send(client, url, b"abc", 7), 409, "offset_mismatch"),
        (lambda client, url, data: send(client, url, CONTENT + b"x", 0), 400, "beyond_the_length"),
        (lambda client, url, data: send(client, url, b"x", 0, HTTP_TUS_RESUMABLE="0.2.2"), 412, "unsupported_version"),
        (lambda client, url, data: send(client, url, b"x", 0, HTTP_UPLOAD_OFFSET="-1"), 400, "invalid_header"),
        (lambda client, url, data: send(client, url, b"x", 0, kind="image/png"), 415, "unsupported_media_type"),
        (lambda client, url, data: start(client, data, 1 << 50, name="a.png"), 413, "upload_too_large"),
        (lambda client, url, data: start(client, data, 9, name="a.png", unzip="maybe"), 400, "invalid"),
        (lambda client, url, data: start(client, data, 9, {"Upload-Length": "some"}, name="a"), 400, "invalid_header"),
        (lambda client, url, data: start(client, data, 9, {"Upload-Metadata": "name !"}), 400, "invalid_header"),
        (lambda client, url, data: start(client, data, 9, {"Upload-Metadata": ""}), 400, "invalid_name"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    cast: Cast, data: Data, call: Callable[[APIClient, str, Data], Any], status: int, reason: str
) -> None:
    url, client = begin(cast, data), api(cast.alice)
    answer = call(client, url, data)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer["Tus-Resumable"] == "1.0.0"
    assert offset(cast, url) == 0
    assert len(list(Path(settings.DLM_INCOMING).glob("*/*"))) == 2


def test_a_name_that_cannot_be_kept_is_refused_before_its_bytes_are_sent(cast: Cast, data: Data) -> None:
    answer = start(api(cast.alice), data, 10, name="../a.png")
    assert (answer.status_code, answer.json()["reason"]) == (400, "invalid_name")
    (file,) = data.files.all()
    assert (file.name, file.state, file.size_bytes, file.sha256) == ("../a.png", "rejected", 10, "")
    assert file.error == answer.json()["error"]


def test_a_file_that_has_no_place_is_rejected_at_its_end(cast: Cast, data: Data) -> None:
    upload_at_once(cast, data, [("forest", b"a file in the way")])
    url, client = begin(cast, data), api(cast.alice)
    assert send(client, url, CONTENT, 0).status_code == 204
    found = client.get(url).json()
    assert found["state"] == "rejected"
    assert "same name" in found["error"]


def test_uploads_belong_to_their_data_and_to_its_editors(cast: Cast, data: Data) -> None:
    url = begin(cast, data)
    upload_id = url.rstrip("/").rpartition("/")[2]
    other = create_raw_data(data.dataset, cast.alice, name="other")
    elsewhere = reverse("api-data-upload", args=[other.pk, upload_id])
    assert api(cast.alice).get(elsewhere).status_code == 404
    assert send(api(cast.alice), elsewhere, CONTENT, 0).status_code == 404
    statuses = {name: send(api(getattr(cast, name)), url, CONTENT, 0).status_code for name in ("bob", "charlie")}
    assert statuses == {"bob": 403, "charlie": 404}
    assert send(api(None), url, CONTENT, 0).status_code == 401
    assert send(api(cast.erin), url, CONTENT, 0).status_code == 204


def test_a_browser_sends_the_csrf_token_as_a_header(cast: Cast, data: Data) -> None:
    url = begin(cast, data)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.alice)
    assert send(browser, url, CONTENT, 0).status_code == 403
    browser.get(reverse("account_login"))
    browser.cookies[settings.CSRF_COOKIE_NAME] = "x" * 32
    assert start(browser, data, 10, {"X-CSRFToken": "x" * 32}, name="b.png").status_code == 201
    assert send(browser, url, CONTENT, 0, HTTP_X_CSRFTOKEN="x" * 32).status_code == 204


def test_a_data_with_unfinished_uploads_is_not_committed(cast: Cast, data: Data) -> None:
    upload_at_once(cast, data, [("b.png", png())])
    url, client = begin(cast, data), api(cast.alice)
    break_off(client, url, CONTENT, 0, after=-(-len(CONTENT) // 2))
    answer = commit(cast, data)
    assert (answer.status_code, answer.json()["reason"]) == (409, "unfinished_uploads")
    assert "forest/a.png (50 %)" in answer.json()["error"]
    assert client.delete(url, headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    assert client.get(url).status_code == 404
    assert commit(cast, data).status_code == 202
    assert start(client, data, 10, name="c.png").json()["reason"] == "not_uploading"


def test_there_are_at_most_so_many_open_uploads(cast: Cast, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "MAX_OPEN", 2)
    urls = [begin(cast, data, name=f"{number}.png") for number in range(2)]
    assert start(api(cast.alice), data, 10, name="c.png").json()["reason"] == "too_many_uploads"
    send(api(cast.alice), urls[0], CONTENT, 0)
    begin(cast, data, name="c.png")


def test_a_full_disk_is_said_before_anything_is_sent(cast: Cast, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "_RESERVE_BYTES", 1 << 60)
    answer = start(api(cast.alice), data, 10, name="c.png")
    assert (answer.status_code, answer.json()["reason"]) == (507, "disk_full")


def test_what_nobody_went_on_with_for_a_week_is_swept(cast: Cast, data: Data) -> None:
    old, young = begin(cast, data, name="old.png"), begin(cast, data, name="young.png")
    done = begin(cast, data, name="done.png")
    send(api(cast.alice), done, CONTENT, 0)
    week_ago = time.time() - resumable.LIFE_S - 60
    folder = Path(settings.DLM_INCOMING) / f"uploads-{data.pk}"
    for path in folder.iterdir():
        if json.loads(path.with_suffix(".json").read_text())["name"] != "young.png":
            os.utime(path, (week_ago, week_ago))
    os.utime(folder, (week_ago, week_ago))
    resumable.sweep()
    statuses = [api(cast.alice).get(url).status_code for url in (old, done, young)]
    assert statuses == [404, 404, 200]
    assert data.files.count() == 1
    data.status = Status.COMPLETED
    data.save(update_fields=["status"])
    resumable.sweep()
    assert not folder.exists()


def test_the_uploads_of_a_deleted_data_go_with_it(cast: Cast, data: Data) -> None:
    url = begin(cast, data)
    assert api(cast.alice).delete(reverse("api-data-detail", args=[data.pk])).status_code == 204
    assert api(cast.alice).get(url).status_code == 404
    resumable.sweep()
    assert list(Path(settings.DLM_INCOMING).iterdir()) != []  # it may come back from the trash
    purge_dataset(data.dataset)
    assert list(Path(settings.DLM_INCOMING).iterdir()) == []


def test_options_say_what_the_server_can(cast: Cast, data: Data) -> None:
    answer = api(cast.alice).options(reverse("api-data-uploads", args=[data.pk]))
    assert (answer.status_code, answer["Tus-Version"]) == (204, "1.0.0")
    assert answer["Tus-Extension"] == "creation,termination,expiration"
    assert answer["Tus-Max-Size"] == str(settings.DLM_UPLOAD_MAX_BYTES)


def test_only_missing_files_are_asked_for(cast: Cast, data: Data) -> None:
    upload_at_once(cast, data, [("a.png", b"1"), ("b.png", b"22"), ("../c.png", b"3")], labels_from_folders="true")
    upload_at_once(
        cast, data, [("d.png", b"4"), ("풍경.png", b"5")], paths=["sea/d.png", "풍경.png"], labels_from_folders="true"
    )

    def asked(*files: tuple[str, int], **options: bool) -> list[str]:
        body = {"files": [{"name": name, "size_bytes": size} for name, size in files], **options}
        answer = api(cast.alice).post(reverse("api-data-files-missing", args=[data.pk]), body)
        assert answer.status_code == 200, answer.json()
        return list(answer.json()["missing"])

    files = [("a.png", 1), ("b.png", 3), ("../c.png", 1), ("sea/d.png", 1), ("풍경.png", 1), ("e.png", 1)]
    assert asked(*files, labels_from_folders=True) == ["b.png", "../c.png", "e.png"]
    assert asked(*files) == ["b.png", "../c.png", "sea/d.png", "e.png"]  # its label would be another
    assert asked(("풍경.png", 1)) == []  # as macOS writes it
    answer = api(cast.alice).post(reverse("api-data-files-missing", args=[data.pk]), {"files": []})
    assert answer.status_code == 400
