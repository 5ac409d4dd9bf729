"""Data from object storages, against a real Ceph gateway; the fetching itself is tested in test_fetching.py."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.urls import reverse
from django.utils import translation

from datasets import imports
from datasets.connections import save_connection
from datasets.imports import base_of, checked_keys, import_data
from datasets.models import Connection, Data, File
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.errors import UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work import runner
from dlmodeler_site.work.models import Status
from projects.members import create_project
from tests.cast import Cast, api, make_cast, make_dataset, png, run_work
from tests.ceph import USER, Ceph
from tests.datasets.test_connections import make_connection, put_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def bucket(ceph: Ceph, settings: Any) -> str:
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint]
    return ceph.new_bucket()


@pytest.fixture
def connection(cast: Cast, ceph: Ceph, bucket: str) -> Connection:
    return make_connection(cast, ceph, bucket)


def put(ceph: Ceph, bucket: str, **objects: bytes) -> None:
    for key, content in objects.items():
        ceph.client().put_object(Bucket=bucket, Key=key, Body=content)


def start(cast: Cast, connection: Connection, *keys: str, **options: Any) -> Data:
    dataset = make_dataset(cast.project)
    return import_data(dataset, cast.alice, name="import", connection=connection, keys=list(keys), **options)


def names(data: Data, **conditions: Any) -> list[str]:
    return sorted(data.files.filter(**conditions).values_list("name", flat=True))


def test_chosen_folders_and_files_become_a_completed_data(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    image = png()
    objects = {"photos/forest/1.png": image, "photos/forest/2.png": png((1, 2, 3)), "photos/sea/3.png": png((9, 9, 9))}
    put(ceph, bucket, **objects, **{"labels.csv": b"name,label\n", "photos/": b"", "photos/.DS_Store": b"x"})
    body = {"dataset": make_dataset(cast.project).pk, "name": "import", "connection": connection.pk}
    body |= {"keys": ["photos/"], "labels_from_folders": True}
    answer = api(cast.erin).post(reverse("api-data-import"), body)
    assert (answer.status_code, answer.json()["status"]) == (201, "queued")
    assert (answer.json()["connection"], answer.json()["keys"]) == (connection.pk, ["photos/"])
    data = run_work(Data.objects.get(pk=answer.json()["id"]))
    assert (data.status, data.error, data.file_count, data.rejected_count) == ("completed", "", 3, 0)
    rows = {file.name: file for file in data.files.all()}
    assert {name: file.label for name, file in rows.items()} == {
        "forest/1.png": "forest",
        "forest/2.png": "forest",
        "sea/3.png": "sea",
    }
    with workspace().open(rows["forest/1.png"].key_in(data)) as file:
        assert file.read() == image
    assert rows["sea/3.png"].source_key == "photos/sea/3.png"
    counted = {"skipped": 2, "files": 3}  # skipped: the placeholder of the folder, and junk
    assert counted.items() <= data.source_options.items()
    assert not any(Path(site.DLM_INCOMING).glob(f"data-{data.pk}*"))


@pytest.mark.parametrize(
    ("keys", "base"),
    [
        (["a/b/"], "a/b/"),
        (["a/b/1.jpg"], "a/b/"),
        (["a/b/", "a/c/"], "a/"),
        (["a/b/", "a/b.csv"], "a/"),
        (["a/", "b/"], ""),
        ([""], ""),
        (["1.jpg"], ""),
        (["bucket/a/x/", "bucket/a/y/"], "bucket/a/"),
    ],
)
def test_names_begin_below_the_folder_that_all_chosen_ones_are_in(keys: list[str], base: str) -> None:
    assert base_of(keys) == base


def test_what_is_below_a_chosen_folder_is_taken_once() -> None:
    assert checked_keys(["a/b/1.jpg", "a/", "a/b/", "ab/1.jpg", "a/", "c"]) == ["a/", "ab/1.jpg", "c"]
    assert checked_keys(["a/", ""]) == [""]
    for keys in ([], ["/a"], ["a\0"], ["a" * 2000]):
        with pytest.raises(UserError):
            checked_keys(keys)


def test_names_that_cannot_be_are_rejected_rows_and_the_others_arrive(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    content = png()
    keys = [
        "d/good.png",
        "d/../up.png",
        "d//double.png",
        "d/caf\u00e9.png",
        "d/cafe\u0301.png",
        "d/x.png",
        "d/x.png/y.png",
    ]
    put(ceph, bucket, **dict.fromkeys(keys, content))
    data = run_work(start(cast, connection, "d/"))
    assert data.status == Status.COMPLETED
    assert names(data, state="ok") == ["caf\u00e9.png", "good.png", "x.png"]
    assert names(data, state="rejected") == ["../up.png", "/double.png", "caf\u00e9.png (2)", "x.png/y.png"]
    assert all(data.files.filter(state="rejected").values_list("error", flat=True))
    assert not (Path(site.DLM_HOME) / "workspace" / data.dataset.files_key / "up.png").exists()


def test_archives_are_unpacked_when_that_is_asked_for(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("sea/1.png", png())
        archive.writestr("__MACOSX/sea/._1.png", b"junk")
    put(ceph, bucket, **{"d/photos.zip": packed.getvalue(), "d/2.png": png((1, 1, 1))})
    data = run_work(start(cast, connection, "d/", unzip=True, labels_from_folders=True))
    assert (data.status, names(data)) == ("completed", ["2.png", "sea/1.png"])
    assert data.files.get(name="sea/1.png").label == "sea"
    data = run_work(start(cast, connection, "d/"))
    assert names(data, state="rejected") == ["photos.zip"]


def test_a_connection_to_all_buckets_takes_from_several(cast: Cast, ceph: Ceph, bucket: str) -> None:
    other = ceph.new_bucket()
    put(ceph, bucket, **{"a/1.png": png()})
    put(ceph, other, **{"2.png": png((1, 1, 1))})
    connection = make_connection(cast, ceph)
    data = run_work(start(cast, connection, f"{bucket}/a/", f"{other}/2.png", labels_from_folders=True))
    assert names(data) == sorted([f"{bucket}/a/1.png", f"{other}/2.png"])
    assert sorted(data.files.values_list("label", flat=True)) == ["", "a"]


def test_what_is_not_there_is_told_before_anything_is_made(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    put(ceph, bucket, **{"a/1.png": png()})
    url = reverse("api-data-import")
    body = {"dataset": make_dataset(cast.project).pk, "name": "import", "connection": connection.pk}
    for keys, reason in ((["b/"], "no_such_object"), (["a/2.png"], "no_such_object"), ([], "no_keys")):
        assert api(cast.erin).post(url, body | {"keys": keys}).json()["reason"] == reason
    assert api(cast.bob).post(url, body | {"keys": ["a/"]}).status_code == 403
    assert api(cast.charlie).post(url, body | {"keys": ["a/"]}).status_code == 404
    other = make_connection(make_other(cast), ceph, bucket)
    assert (
        api(cast.alice).post(url, body | {"keys": ["a/"], "connection": other.pk}).json()["reason"] == "other_project"
    )
    assert not Data.objects.exists()


def make_other(cast: Cast) -> Cast:
    """Another project of Alice's."""
    return replace(cast, project=create_project(cast.alice, name="other", description=""))


def test_a_key_that_is_revoked_meanwhile_fails_the_import_which_goes_on_with_a_new_key(
    cast: Cast, ceph: Ceph, bucket: str
) -> None:
    put_many(ceph, bucket, (f"d/{n}.png" for n in range(30)), lambda key: png((len(key), hash(key) % 250, 7)))
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    data = start(cast, connection, "d/")
    imports.list_objects(data)
    ceph.revoke_key(access_key)  # between the listing and the fetching
    data = run_work(data)
    assert (data.status, data.error_reason) == ("failed", "key_refused")
    assert "refuses the connection's key" in data.error
    with translation.override("ko"):
        data.refresh_from_db()
        assert "키를 거부했습니다" in data.error, "the cause too is read in the reader's language"
    assert not data.files.exclude(state=File.State.PENDING).exists(), "the objects are not to blame"
    connection.access_key = ceph.access_key
    save_connection(connection, secret_key=ceph.secret_key)
    assert api(cast.erin).post(reverse("api-data-commit", args=[data.pk])).status_code == 202
    data = run_work(data)
    assert (data.status, data.file_count) == ("completed", 30)


def test_a_key_that_is_revoked_before_the_listing_fails_the_import_and_says_so_on_the_connection(
    cast: Cast, ceph: Ceph, bucket: str
) -> None:
    put(ceph, bucket, **{"d/1.png": png()})
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    data = start(cast, connection, "d/")
    ceph.revoke_key(access_key)
    data = run_work(data)
    assert (data.status, data.error_reason) == ("failed", "unknown_access_key")
    connection.refresh_from_db()
    assert access_key in connection.error
    assert data.is_to_inspect
    connection.delete()
    data.refresh_from_db()
    data.enqueue(of=(Status.FAILED,))
    assert run_work(data).error_reason == "connection_deleted"


def test_an_object_that_is_gone_or_forbidden_is_a_rejected_row(cast: Cast, ceph: Ceph, bucket: str) -> None:
    access_key, secret_key = ceph.new_user()
    put(ceph, bucket, **{f"d/{n}.png": png((n, n, n)) for n in range(4)})
    client = ceph.client()
    client.put_bucket_acl(Bucket=bucket, GrantRead=f"id={access_key}", GrantFullControl=f"id={USER}")
    for n in (0, 1, 2):
        client.put_object_acl(Bucket=bucket, Key=f"d/{n}.png", GrantRead=f"id={access_key}")
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    data = start(cast, connection, "d/")
    imports.list_objects(data)
    client.delete_object(Bucket=bucket, Key="d/1.png")
    client.put_object(Bucket=bucket, Key="d/2.png", Body=b"another content")
    data = run_work(data)
    assert (data.status, names(data, state="ok")) == ("completed", ["0.png"])
    errors = dict(data.files.filter(state="rejected").values_list("name", "error"))
    assert "does not exist any more" in errors["1.png"]
    assert "may not read" in errors["3.png"]
    assert set(errors) == {"1.png", "2.png", "3.png"}


def test_a_listing_that_was_cut_off_begins_again_and_a_stop_ends_it(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    put_many(ceph, bucket, (f"d/{n}.txt" for n in range(20)))
    data = start(cast, connection, "d/")
    File.objects.create(data=data, name="3.txt", source="object", source_key="d/3.txt")  # of an attempt that died
    assert data.request_stop()
    data.refresh_from_db()
    assert data.enqueue(of=(Status.CANCELLED,))
    lease = data.claim()
    assert lease
    assert data.request_stop()
    runner.run(Data, data.pk, lease)
    data.refresh_from_db()
    assert (data.status, data.is_listed) == ("cancelled", False)
    assert api(cast.erin).post(reverse("api-data-commit", args=[data.pk])).status_code == 202
    data = run_work(data)
    assert (data.status, data.file_count) == ("completed", 20)


def test_more_objects_than_one_data_takes_are_refused(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, settings: Any
) -> None:
    put_many(ceph, bucket, (f"d/{n}.txt" for n in range(6)))
    settings.DLM_IMPORT_MAX_OBJECTS = 5
    data = run_work(start(cast, connection, "d/"))
    assert (data.status, data.error_reason) == ("failed", "too_many_objects")


def test_no_key_reaches_the_process_that_fetches(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, tmp_path: Path
) -> None:
    put(ceph, bucket, **{"d/1.png": png()})
    data = start(cast, connection, "d/")
    run = RunFolder.create(tmp_path / "run", {})
    spec = data.prepare(run)
    written = str(spec) + "".join(path.read_text() for path in run.path.rglob("*") if path.is_file())
    assert "X-Amz-Signature" in written
    assert ceph.secret_key not in written
