"""What the environment says of the workspace, and what an operator is told when it cannot be used."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from datasets.versions import preprocess_data
from dlmodeler_site.storage import LocalWorkspace, Workspace, WorkspaceUnavailable
from dlmodeler_site.storage_s3 import S3Workspace
from dlmodeler_site.work.models import Status
from dlmodeler_site.workspace_settings import workspace_storage
from tests.cast import api, make_cast, make_data, make_dataset, png, run_work
from tests.ceph import Ceph

FOLDER = Path("/home/workspace")
KEY = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"location": FOLDER}),
        ({"DLM_WORKSPACE_URL": "file:///a%20b/c"}, {"location": Path("/a b/c")}),
        (
            {"DLM_WORKSPACE_URL": "s3://bucket", **KEY, "AWS_REGION": "eu-central-1"},
            {"bucket_name": "bucket", "location": "", "endpoint_url": None, "region_name": "eu-central-1",
             "access_key": "A", "secret_key": "S", "security_token": "T"},
        ),
        (
            {"DLM_WORKSPACE_URL": "s3://bucket/some/prefix/", **KEY, "DLM_WORKSPACE_ENDPOINT": "http://s3:7480",
             "AWS_ENDPOINT_URL": "http://other", "DLM_WORKSPACE_ACCESS_KEY": "B", "DLM_WORKSPACE_SECRET_KEY": "U"},
            {"bucket_name": "bucket", "location": "some/prefix", "endpoint_url": "http://s3:7480",
             "access_key": "B", "secret_key": "U", "security_token": None},
        ),
        ({"DLM_WORKSPACE_URL": "s3://bucket"}, {"access_key": None, "secret_key": None}),
    ],
)  # fmt: skip
def test_the_environment_names_the_workspace(environment: dict[str, str], expected: dict[str, Any]) -> None:
    options = workspace_storage(environment, folder=FOLDER)["OPTIONS"]
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DLM_WORKSPACE_URL": "/var/workspace"}, "unknown scheme"),
        ({"DLM_WORKSPACE_URL": "gs://bucket"}, "unknown scheme"),
        ({"DLM_WORKSPACE_URL": "file://var/workspace"}, "no folder of this machine"),
        ({"DLM_WORKSPACE_URL": "s3:///prefix"}, "does not name a bucket"),
        ({"DLM_WORKSPACE_URL": "s3://key:secret@bucket"}, "holds a key"),
        ({"DLM_WORKSPACE_URL": "s3://bucket", "DLM_WORKSPACE_ENDPOINT": "s3.example.org"}, "is no address"),
        ({"DLM_WORKSPACE_URL": "s3://bucket", "DLM_WORKSPACE_ACCESS_KEY": "key"}, "half there"),
        ({"DLM_WORKSPACE_URL": "s3://bucket", "AWS_SECRET_ACCESS_KEY": "secret"}, "half there"),
    ],
)
def test_what_names_no_workspace_is_told(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        workspace_storage(environment, folder=FOLDER)
    assert "secret@" not in str(refused.value)


def cause_of(storage: Workspace | S3Workspace, *, writing: bool = False) -> str:
    with pytest.raises(WorkspaceUnavailable) as refused:
        storage.check(writing=writing)
    assert "operator" in refused.value.message, "who is no operator is told whom to ask"
    return refused.value.cause


def test_an_operator_is_told_what_is_wrong_with_the_bucket(ceph: Ceph) -> None:
    bucket = ceph.new_bucket()
    lasting, secret = ceph.new_key()
    stranger, stranger_secret = ceph.new_user()

    def at(**options: Any) -> S3Workspace:
        return S3Workspace(**{"bucket_name": bucket, **ceph.options, **options})

    assert "not known there" in cause_of(at(access_key="NOBODY"))
    assert "DLM_WORKSPACE_SECRET_KEY" in cause_of(at(secret_key="wrong"))
    assert "Give it the right" in cause_of(at(access_key=stranger, secret_key=stranger_secret))
    assert "no such bucket" in cause_of(at(bucket_name="no-such-bucket"))
    assert "not known there" in cause_of(at(access_key="NOBODY"), writing=True)

    storage = at(access_key=lasting, secret_key=secret)
    storage.check(writing=True)
    ceph.revoke_key(lasting)
    assert "not any more" in cause_of(storage)
    for ask in (storage.exists, storage.open, storage.delete, storage.delete_tree, storage.local_tree):
        with pytest.raises(WorkspaceUnavailable):
            ask("project")


def test_an_operator_is_told_that_nothing_answers() -> None:
    nobody = S3Workspace(bucket_name="bucket", endpoint_url="http://127.0.0.1:9", access_key="A", secret_key="S")
    assert "does not answer" in cause_of(nobody)
    assert "http://127.0.0.1:9" in cause_of(nobody)


def test_an_operator_is_told_that_the_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = LocalWorkspace(location=tmp_path / "file" / "workspace")
    assert "Mount it" in cause_of(storage)
    assert "Mount it" in cause_of(storage, writing=True)


@pytest.mark.django_db
def test_work_waits_for_a_bucket_that_cannot_be_used_but_not_for_ever(ceph: Ceph, settings: Any) -> None:
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    ceph.use_as_workspace(settings, secret_key="wrong")
    processed = preprocess_data(data, cast.alice, name="from the bucket", steps=[{"op": "grayscale"}])
    for _attempt in range(settings.DLM_MAX_CRASHES - 1):
        assert run_work(processed).status == Status.QUEUED
    assert run_work(processed).status == Status.FAILED
    assert processed.error_reason == "workspace_unavailable"
    assert "operator" in processed.error


@pytest.mark.django_db
def test_a_request_for_a_file_is_told_that_it_cannot_be_reached_now(ceph: Ceph, settings: Any) -> None:
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    ceph.use_as_workspace(settings, secret_key="wrong")
    answer = api(cast.bob).get(f"/api/v1/files/{data.files.get().pk}/content/")
    assert (answer.status_code, answer.json()["reason"]) == (503, "workspace_unavailable")


@pytest.mark.django_db
def test_the_site_is_not_ready_without_its_bucket(ceph: Ceph, settings: Any) -> None:
    def states(**options: Any) -> Any:
        ceph.use_as_workspace(settings, **options)
        return Client().get("/api/v1/health/ready/").json()["checks"]

    assert states()["workspace"] is True
    assert states(bucket_name="no-such-bucket")["workspace"] is False
