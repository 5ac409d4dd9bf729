"""The life cycle with the workspace in a bucket of a real Ceph gateway: nothing of it needs the local disk."""

import csv
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from benchmarks.photos import photos
from dlmodeler_site.demo.life_cycle import Site
from tests.ceph import Ceph
from tests.e2e import life
from tests.e2e.site import PASSWORD, ROOT, USERNAME, RunningSite, free_port, running_site, wait_until
from tests.e2e.tus import Upload, sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PREFIX = "sites/one"


@pytest.fixture(scope="module")
def bucket(ceph: Ceph) -> str:
    return ceph.new_bucket()


@pytest.fixture(scope="module")
def site(ceph: Ceph, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site"), **environment(ceph, bucket)) as running:
        yield running


def environment(ceph: Ceph, bucket: str, **others: str) -> dict[str, str]:
    return {
        "DLM_WORKSPACE_URL": f"s3://{bucket}/{PREFIX}",
        "DLM_WORKSPACE_ENDPOINT": ceph.endpoint,
        "DLM_WORKSPACE_REGION": ceph.region,
        "AWS_ACCESS_KEY_ID": ceph.access_key,
        "AWS_SECRET_ACCESS_KEY": ceph.secret_key,
        **others,
    }


def keys(ceph: Ceph, bucket: str) -> list[str]:
    pages = ceph.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def test_the_life_cycle(ceph: Ceph, bucket: str, site: RunningSite, tmp_path: Path) -> None:
    client = Site.login(site.address, USERNAME, PASSWORD)

    def raw(path: str) -> requests.Response:
        answer = client.session.get(f"{site.address}/api/v1{path}", timeout=30)
        answer.raise_for_status()
        return answer

    job, images = life.make_job(client, tmp_path / "train")
    assert client.get(f"/jobs/{job['id']}/check/") is not None
    project = client.get(f"/projects/{job['project']}/")
    stored = [key for key in keys(ceph, bucket) if key.startswith(f"{PREFIX}{images['path'].removeprefix('/mnt')}/")]
    assert len(stored) == 60

    # Contents, thumbnails, previews and sums
    first = client.get(f"/data/{images['id']}/files/?page_size=1")["results"][0]
    uploaded = (tmp_path / "train" / first["name"]).read_bytes()
    content = raw(f"/files/{first['id']}/content/")
    assert content.content == uploaded
    assert content.headers["Content-Length"] == str(len(uploaded))
    assert Image.open(io.BytesIO(raw(f"/files/{first['id']}/thumbnail/").content)).format == "JPEG"
    with zipfile.ZipFile(io.BytesIO(raw(f"/data/{images['id']}/download/").content)) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.endswith(".jpg")]) == 60
    steps = [{"op": "flip_up_down"}, {"op": "grayscale"}]
    preview = client.session.post(
        f"{site.address}/api/v1/data/{images['id']}/preprocess/preview/", json={"steps": steps}, timeout=30
    )
    assert preview.headers["Content-Type"] == "image/jpeg"
    made = client.post(f"/data/{images['id']}/preprocess/", {"name": "upside-down", "description": "", "steps": steps})
    processed = client.wait(f"/data/{made['id']}/")
    assert processed["file_count"] == 60

    # A training, its log, its model
    training = life.start_training(client, job, "few-epochs", epochs=4, batch_size=10)
    path = f"/trainings/{training['id']}/"
    trained = client.wait(path)
    assert [row["epoch"] for row in client.get(f"{path}metrics/")] == [1, 2, 3, 4]
    assert raw(f"{path}logs/").text
    with tarfile.open(fileobj=io.BytesIO(raw(f"{path}model/").content)) as model:
        assert any(name.endswith("saved_model.pb") for name in model.getnames())

    # Predictions, of one file and of many
    deployment, token = life.deploy(client, trained, "colours")
    answer = requests.post(
        f"{deployment['address']}/predict", headers={"token": token}, files={"input": uploaded}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    assert client.post(f"/deployments/{deployment['id']}/sample/", {"data": images["id"]})["predictions"]
    prediction = client.post(
        "/predictions/",
        {"deployment": deployment["id"], "name": "all", "description": "", "data": processed["id"]},
    )
    prediction = client.wait(f"/predictions/{prediction['id']}/")
    rows = list(csv.reader(io.StringIO(raw(f"/predictions/{prediction['id']}/results.csv").text)))
    assert len(rows) == 61

    assert [path for path in (site.home / "workspace").rglob("*") if path.is_file()] == []
    assert_no_key_in_children(site, ceph)

    # What is deleted frees its keys
    def delete(path: str) -> None:
        requests.Response.raise_for_status(client.session.delete(f"{site.address}/api/v1{path}", timeout=30))

    delete(f"/deployments/{deployment['id']}/")
    delete(f"/trainings/{training['id']}/")
    delete(f"/projects/{project['id']}/?forever=true")
    wait_until(lambda: keys(ceph, bucket) == [], timeout_s=60, what=f"no key is left: {keys(ceph, bucket)}")


def assert_no_key_in_children(site: RunningSite, ceph: Ceph) -> None:
    """The processes that compute and serve know nothing of the storage's key."""
    (server,) = site.find("-m deployments.modelserver")
    assert ceph.secret_key not in "".join(server.environ().values())
    assert not any(name.startswith(("AWS_", "DLM_WORKSPACE")) for name in server.environ())


def test_uploads_go_on_after_kills_and_a_restart(ceph: Ceph, bucket: str, site: RunningSite, tmp_path: Path) -> None:
    """A large file and a zip, sent by tus; then everything is in the bucket, once, and nothing on the disk."""
    client = Site.login(site.address, USERNAME, PASSWORD)
    project = client.post("/projects/", {"name": "uploads", "description": "photos"})
    dataset = client.post("/datasets/", {"project": project["id"], "name": "photos", "description": ""})
    data = client.post("/data/", {"dataset": dataset["id"], "name": "photos", "description": ""})
    images = photos(tmp_path / "photos", count=60, size_px=300)
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number, path in enumerate(images):
            archive.write(path, f"{'sea' if number % 2 else 'forest'}/{path.name}")
    large = tmp_path / "large.bmp"
    noise = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(large)  # more than one part of a multipart upload
    uploads = [
        Upload(client, data["id"], large, "large.bmp"),
        Upload(client, data["id"], packed, "packed.zip", ("unzip", "labels_from_folders")),
    ]
    with ThreadPoolExecutor(2) as pool:
        sending = [pool.submit(upload.run, bytes_per_s=4_000_000, timeout_s=120) for upload in uploads]
        wait_until(lambda: uploads[0].sent_bytes > 6 << 20, timeout_s=60, what="a part of the large file is sent")
        for process in site.find("gunicorn", "dlmodeler_site.wsgi"):
            process.kill()
        wait_until(lambda: uploads[0].begun_again, timeout_s=60, what="the connection is lost")
        wait_until(lambda: uploads[0].sent_bytes > 14 << 20, timeout_s=60, what="it goes on")
        site.stop()
        site.start()
        answers = [each.result() for each in sending]
    assert [answer["state"] for answer in answers] == ["ok", "ok"], answers
    assert uploads[0].sent_bytes < 1.5 * large.stat().st_size, "what had arrived is not sent again"

    client.post(f"/data/{data['id']}/commit/")
    ended = client.wait(f"/data/{data['id']}/")
    assert (ended["status"], ended["file_count"], ended["rejected_count"]) == ("completed", 61, 0), ended
    files = client.get(f"/data/{data['id']}/files/?page_size=100")["results"]
    assert {file["name"]: file["label"] for file in files if file["name"].startswith("sea/")} == {
        f"sea/{path.name}": "sea" for path in images[1::2]
    }
    sums = {file["name"]: file["sha256"] for file in files}
    assert sums["large.bmp"] == sha256(large)
    assert {sums[f"forest/{path.name}"] for path in images[::2]} == {sha256(path) for path in images[::2]}
    prefix = f"{PREFIX}{data['path'].removeprefix('/mnt')}/"
    assert {key.removeprefix(prefix) for key in keys(ceph, bucket) if key.startswith(prefix)} == set(sums)
    assert not [key for key in keys(ceph, bucket) if "packed" in key or "/.ahead/" in key]
    assert not ceph.client().list_multipart_uploads(Bucket=bucket).get("Uploads")
    wait_until(lambda: not list((site.home / "incoming").rglob("*.part")), timeout_s=5, what="no part is left")
    requests.Response.raise_for_status(
        client.session.delete(f"{site.address}/api/v1/projects/{project['id']}/?forever=true")
    )
    wait_until(lambda: keys(ceph, bucket) == [], timeout_s=60, what=f"no key is left: {keys(ceph, bucket)}")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"DLM_WORKSPACE_URL": "s3://no-such-bucket"}, "There is no such bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "The secret key does not belong to the access key"),
        ({"DLM_WORKSPACE_ENDPOINT": "http://127.0.0.1:9"}, "It does not answer"),
        ({"DLM_WORKSPACE_URL": "ftp://bucket"}, "has an unknown scheme"),
    ],
)
def test_the_site_does_not_start_without_its_bucket(
    wrong: dict[str, str], told: str, ceph: Ceph, bucket: str, tmp_path: Path
) -> None:
    own: dict[str, Any] = {"DLM_HOME": str(tmp_path), "DLM_PORT": str(free_port()), "DLM_BIND": "127.0.0.1"}
    ended = subprocess.run(
        [sys.executable, "-m", "dlmodeler_site.supervisor"],
        cwd=ROOT,
        env={**os.environ, **own, **environment(ceph, bucket, **wrong)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert told in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "started" not in ended.stdout
