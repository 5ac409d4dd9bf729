"""Data copied to object storages, against a real Ceph gateway."""

import csv
import hashlib
import io
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from datasets.connections import storage_of
from datasets.exporting.objects import LocalFile, Parts, Sender
from datasets.exports import export_data
from datasets.imports import import_data
from datasets.models import Connection, Data, Export
from dlmodeler_site.compute.base import Resources
from dlmodeler_site.compute.local import LocalBackend
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_json, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.ceph import USER, Ceph
from tests.datasets.test_connections import make_connection

pytestmark = pytest.mark.django_db

FILES = {"forest/1.png": png(), "sea/2.png": png((0, 0, 200)), "바다 a+b.png": png((0, 9, 200))}


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


@pytest.fixture
def data(cast: Cast) -> Data:
    return make_data(make_dataset(cast.project), FILES.items(), labels={"sea/2.png": "sea"})


def stored(ceph: Ceph, bucket: str) -> dict[str, bytes]:
    client = ceph.client()
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}


def start(cast: Cast, data: Data, connection: Connection, prefix: str = "out/photos") -> Export:
    return export_data(data, cast.alice, connection=connection, prefix=prefix)


def test_every_file_arrives_with_a_manifest_beside_the_folder(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data
) -> None:
    body = {"data": data.pk, "connection": connection.pk, "prefix": "/out/photos/"}
    answer = api(cast.erin).post(reverse("api-export-list"), body)
    assert (answer.status_code, answer.json()["status"], answer.json()["prefix"]) == (201, "queued", "out/photos/")
    export = run_work(Export.objects.get())
    assert (export.status, export.error) == ("completed", "")
    objects = stored(ceph, bucket)
    manifest = csv.DictReader(io.StringIO(objects.pop("out/photos.manifest.csv").decode()))
    assert objects == {f"out/photos/{name}": content for name, content in FILES.items()}
    rows = {row["name"]: row for row in manifest}
    assert set(rows) == set(FILES)
    assert rows["sea/2.png"]["label"] == "sea"
    assert rows["sea/2.png"]["sha256"] == hashlib.sha256(FILES["sea/2.png"]).hexdigest()
    assert int(rows["sea/2.png"]["size"]) == len(FILES["sea/2.png"])
    shown = api(cast.bob).get(reverse("api-export-detail", args=[export.pk])).json()
    assert (shown["progress"], shown["counts"]["files"], shown["failures"]) == (1.0, 3, [])
    assert api(cast.bob).get(reverse("api-export-list"), {"data": data.pk}).json()["count"] == 1
    head = ceph.client().head_object(Bucket=bucket, Key="out/photos/sea/2.png")
    assert head["ContentType"] == "image/png"


def test_what_is_there_is_not_sent_again_and_what_differs_is(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data
) -> None:
    run_work(start(cast, data, connection))
    client = ceph.client()
    before = {key: client.head_object(Bucket=bucket, Key=key)["LastModified"] for key in stored(ceph, bucket)}
    of_same_size = bytes(len(FILES["sea/2.png"]))
    client.put_object(Bucket=bucket, Key="out/photos/sea/2.png", Body=of_same_size)
    client.delete_object(Bucket=bucket, Key="out/photos/forest/1.png")
    export = run_work(start(cast, data, connection))
    assert (export.counts["files"], export.counts["present"]) == (3, 1)
    objects = stored(ceph, bucket)
    assert all(objects[f"out/photos/{name}"] == content for name, content in FILES.items())
    kept = client.head_object(Bucket=bucket, Key="out/photos/바다 a+b.png")["LastModified"]
    assert kept == before["out/photos/바다 a+b.png"]


def test_an_exported_data_comes_back_as_it_was(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data
) -> None:
    run_work(start(cast, data, connection))
    again = import_data(data.dataset, cast.alice, name="again", connection=connection, keys=["out/photos/"])
    again = run_work(again)
    columns = ("name", "size_bytes", "sha256")
    assert list(again.files.order_by("name").values_list(*columns)) == list(
        data.files.order_by("name").values_list(*columns)
    )


def test_one_file_that_is_not_taken_is_listed_and_the_others_arrive(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection
) -> None:
    long_name = "/".join(["n" * 200] * 4) + ".png"
    data = make_data(make_dataset(cast.project), [("1.png", png()), (long_name, png((1, 1, 1)))])
    export = run_work(start(cast, data, connection, prefix="/".join(["p" * 200] * 2)))
    assert (export.status, export.error_reason) == ("failed", "export_incomplete")
    assert "1 of 2 files were not exported" in export.error
    ((name, error),) = export.failed_files
    assert (name, "1024 bytes" in error) == (long_name, True)
    assert len(stored(ceph, bucket)) == 1, "no manifest says that all is there"
    shown = api(cast.bob).get(reverse("api-export-detail", args=[export.pk])).json()
    assert shown["failures"] == [{"name": long_name, "error": error}]
    assert shown["counts"]["failed"] == 1


def test_a_key_that_is_revoked_meanwhile_fails_the_export_which_goes_on_with_a_new_key(
    cast: Cast, ceph: Ceph, bucket: str, data: Data
) -> None:
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    export = start(cast, data, connection)
    ceph.revoke_key(access_key)
    export = run_work(export)
    assert (export.status, export.error_reason) == ("failed", "unknown_access_key")
    changed = {"access_key": ceph.access_key, "secret_key": ceph.secret_key}
    assert api(cast.alice).patch(reverse("api-connection-detail", args=[connection.pk]), changed).status_code == 200
    url = reverse("api-export-resume", args=[export.pk])
    assert api(cast.bob).post(url).status_code == 403
    assert api(cast.erin).post(url).status_code == 202
    export.refresh_from_db()
    assert run_work(export).status == Status.COMPLETED


def test_a_key_that_is_revoked_while_files_are_sent_ends_the_run_at_once(
    cast: Cast, ceph: Ceph, bucket: str, data: Data, tmp_path: Path
) -> None:
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    run = RunFolder.create(tmp_path / "run", {})
    write_json(run.path / "spec.json", start(cast, data, connection).prepare(run))
    ceph.revoke_key(access_key)
    handle = LocalBackend(blocking=True).start(run, "datasets.exporting", Resources())
    error = run.error()
    assert (handle.poll(), error and error["reason"]) == (1, "key_refused")
    assert "X-Amz" not in run.log.read_text()
    assert stored(ceph, bucket) == {}


def test_what_has_arrived_is_not_sent_again_also_where_its_etag_tells_nothing(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data, tmp_path: Path
) -> None:
    run_work(start(cast, data, connection))
    run = RunFolder.create(tmp_path / "run", {})
    write_json(run.path / "spec.json", start(cast, data, connection).prepare(run))
    rows = [row | {"etag": "of an encrypted object"} for row in read_jsonl(run.input / "files.jsonl")]
    write_jsonl(run.input / "files.jsonl", rows)
    run.checkpoint.mkdir()
    (run.checkpoint / "done.txt").write_text("\n".join(str(row["id"]) for row in rows[:2]))
    before = ceph.client().head_object(Bucket=bucket, Key="out/photos/forest/1.png")["LastModified"]
    assert LocalBackend(blocking=True).start(run, "datasets.exporting", Resources()).poll() == 0
    assert run.result() == {"files": 3, "present": 2}
    assert ceph.client().head_object(Bucket=bucket, Key="out/photos/forest/1.png")["LastModified"] == before


def test_a_file_too_large_to_be_sent_at_once_is_sent_in_parts(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.bmp")
    content = (tmp_path / "large.bmp").read_bytes()
    data = make_data(make_dataset(cast.project), [("large.bmp", content), ("a.png", png())])
    storage = storage_of(connection)
    begin = partial(storage.begin_parts, content_type="image/bmp", part_bytes=5 << 20)  # S3 takes none smaller
    begin("out/photos/large.bmp", len(content))

    def run_in_parts(name: str) -> RunFolder:
        run = RunFolder.create(tmp_path / name, {})
        write_json(run.path / "spec.json", start(cast, data, connection, f"out/{name}").prepare(run))
        rows = list(read_jsonl(run.input / "files.jsonl"))
        for row in rows:
            if row["name"] == "large.bmp":
                row["parts"] = asdict(begin("out/photos/large.bmp", len(content)))
        write_jsonl(run.input / "files.jsonl", rows)
        return run

    def send(run: RunFolder) -> None:
        assert LocalBackend(blocking=True).start(run, "datasets.exporting", Resources()).poll() == 0, run.error()
        assert not ceph.client().list_multipart_uploads(Bucket=bucket).get("Uploads")

    run = run_in_parts("photos")
    assert len(ceph.client().list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1, "the older one is given up"
    send(run)
    assert stored(ceph, bucket)["out/photos/large.bmp"] == content
    head = ceph.client().head_object(Bucket=bucket, Key="out/photos/large.bmp")
    assert (head["ETag"][-3:-1], head["ContentType"]) == ("-3", "image/bmp")

    again = run_in_parts("photos-again")
    rows = list(read_jsonl(again.input / "files.jsonl"))
    write_jsonl(again.input / "files.jsonl", [row | {"is_there": True, "etag": head["ETag"][1:-1]} for row in rows])
    send(again)
    assert again.result() == {"files": 2, "present": 1}
    assert ceph.client().head_object(Bucket=bucket, Key="out/photos/large.bmp")["LastModified"] == head["LastModified"]


def test_parts_that_are_not_taken_are_given_up(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(6 << 20))
    parts = storage_of(connection).begin_parts("large", 6 << 20, content_type="image/bmp", part_bytes=5 << 20)
    wrong = replace(parts, urls=[parts.urls[0], parts.urls[1].replace("Signature=", "Signature=0")])
    file = LocalFile(1, "large", path, "", 6 << 20, parts=Parts(**asdict(wrong)))
    sender = Sender(public_only=False)
    assert [sent for sent in sender.send_all([file]) if sent] == []
    assert sender.problem
    assert sender.problem.reason == "key_refused"
    assert not ceph.client().list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert stored(ceph, bucket) == {}


def test_only_where_the_key_may_write_and_only_what_is_completed(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data
) -> None:
    access_key, secret_key = ceph.new_user()
    ceph.client().put_bucket_acl(Bucket=bucket, GrantRead=f"id={access_key}", GrantFullControl=f"id={USER}")
    reading = make_connection(cast, ceph, bucket, name="reading", access_key=access_key, secret_key=secret_key)
    with pytest.raises(UserError) as refused:
        start(cast, data, reading)
    assert (refused.value.reason, refused.value.field) == ("access_denied", "prefix")
    for prefix in ("a/../b", "a//b", "a\nb"):
        with pytest.raises(UserError) as refused:
            start(cast, data, connection, prefix)
        assert refused.value.reason == "invalid_prefix"
    body = {"data": data.pk, "connection": connection.pk, "prefix": "x"}
    assert api(cast.bob).post(reverse("api-export-list"), body).status_code == 403
    assert api(cast.charlie).post(reverse("api-export-list"), body).status_code == 404
    start(cast, data, connection, "x")
    assert api(cast.erin).post(reverse("api-export-list"), body).json()["reason"] == "already_exporting"
    Data.objects.update(status=Status.FAILED)
    assert api(cast.erin).post(reverse("api-export-list"), body).json()["reason"] == "not_completed"


def test_all_buckets_need_one_named(cast: Cast, ceph: Ceph, bucket: str, data: Data) -> None:
    connection = make_connection(cast, ceph)
    with pytest.raises(UserError) as refused:
        start(cast, data, connection, "/")
    assert refused.value.field == "prefix"
    run_work(start(cast, data, connection, bucket))
    assert set(stored(ceph, bucket)) == {*FILES, f"{data.slug}.manifest.csv"}


def test_a_stop_keeps_what_has_arrived(cast: Cast, ceph: Ceph, connection: Connection, data: Data) -> None:
    export = start(cast, data, connection)
    url = reverse("api-export-stop", args=[export.pk])
    assert api(cast.bob).post(url).status_code == 403
    assert api(cast.erin).post(url).json()["status"] == "cancelled"
    assert api(cast.erin).post(url).json()["reason"] == "not_running"
    assert api(cast.erin).post(reverse("api-export-resume", args=[export.pk])).status_code == 202
    export.refresh_from_db()
    assert run_work(export).status == Status.COMPLETED


def test_a_data_that_is_being_exported_is_not_deleted(cast: Cast, connection: Connection, data: Data) -> None:
    export = start(cast, data, connection)
    assert api(cast.alice).delete(reverse("api-data-detail", args=[data.pk])).json()["reason"] == "in_use"
    assert api(cast.alice).delete(reverse("api-connection-detail", args=[connection.pk])).json()["reason"] == "in_use"
    run_work(export)
    assert api(cast.alice).delete(reverse("api-data-detail", args=[data.pk])).status_code == 204
    assert api(cast.alice).get(reverse("api-export-detail", args=[export.pk])).status_code == 404


def test_no_key_reaches_the_process_that_sends(
    cast: Cast, ceph: Ceph, connection: Connection, data: Data, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    spec = start(cast, data, connection).prepare(run)
    written = str(spec) + "".join(path.read_text() for path in run.path.rglob("*") if path.is_file())
    assert "X-Amz-Signature" in written
    assert ceph.secret_key not in written
    assert workspace().exists(data.files.get(name="sea/2.png").key_in(data))


# -- Pages ---------------------------------------------------------------------------------------


def test_the_page_exports_and_shows_what_came_of_it(
    cast: Cast, ceph: Ceph, bucket: str, connection: Connection, data: Data
) -> None:
    client = Client()
    client.force_login(cast.erin)
    page = reverse("datasets:data-export", args=[data.pk])
    assert page in client.get(reverse("datasets:data", args=[data.pk])).text
    assert data.slug in client.get(page).text
    wrong = client.post(page, {"place": f"{connection.pk}:a/", "folder": "../b"}).text
    assert "only names of folders are allowed" in wrong
    answer = client.post(page, {"place": f"{connection.pk}:a/", "folder": "b"})
    export = Export.objects.get()
    assert (answer["Location"], export.prefix) == (reverse("datasets:export", args=[export.pk]), "a/b/")
    assert "hx-trigger" in client.get(answer["Location"]).text
    run_work(export)
    shown = client.get(reverse("datasets:export-status", args=[export.pk])).text
    assert "3 of 3 files" in shown
    assert "hx-trigger" not in shown
    export.failures = [{"name": "<b>.png", "error": {"template": "Too %(what)s.", "values": {"what": "long"}}}]
    export.save()
    shown = client.get(answer["Location"]).text
    assert "&lt;b&gt;.png" in shown
    assert "Too long." in shown
    assert answer["Location"] in client.get(reverse("datasets:data", args=[data.pk])).text
    viewer = Client()
    viewer.force_login(cast.bob)
    assert viewer.get(answer["Location"]).status_code == 200
    assert viewer.get(page).status_code == 403
