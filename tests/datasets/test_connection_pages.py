"""The pages of connections and of choosing objects, and the admin of connections, against a real Ceph gateway."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.connections import storage_of
from datasets.models import Connection, Data, Dataset
from tests.cast import Cast, make_cast, make_dataset, make_user
from tests.ceph import Ceph
from tests.datasets.test_connections import given, make_connection, put_many

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def bucket(ceph: Ceph, settings: Any) -> str:
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint]
    name = ceph.new_bucket()
    put_many(ceph, name, iter(["photos/forest/1.jpg", "photos/sea & sky/2.jpg", "labels.csv"]))
    return name


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def page(name: str, *args: int) -> str:
    return reverse(f"datasets:{name}", args=args)


def test_an_owner_adds_a_connection_and_keeps_what_was_typed_but_the_secret(
    cast: Cast, ceph: Ceph, bucket: str
) -> None:
    client, url = browser(cast.alice), page("connection-create", cast.project.pk)
    wrong = client.post(url, given(ceph, bucket, access_key="NOBODY")).text
    assert "does not know the access key" in wrong
    assert bucket in wrong
    assert ceph.secret_key not in wrong
    client.post(url, given(ceph, bucket))
    connection = Connection.objects.get()
    edit = page("connection-edit", connection.pk)
    assert ceph.secret_key not in client.get(edit).text
    client.post(edit, given(ceph, bucket, name="renamed", secret_key=""))
    connection.refresh_from_db()
    assert connection.name == "renamed"
    storage_of(connection).check_reading()
    assert browser(cast.erin).get(url).status_code == 403


def test_the_list_says_what_works_and_offers_changes_to_owners_alone(cast: Cast, ceph: Ceph, bucket: str) -> None:
    url = page("connections", cast.project.pk)
    assert "No connections yet" in browser(cast.bob).get(url).text
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    ceph.revoke_key(access_key)
    browser(cast.alice).post(page("connection-check", cast.project.pk, connection.pk))
    edit = page("connection-edit", connection.pk)
    for user, changes in ((cast.alice, True), (cast.erin, False)):
        shown = browser(user).get(url).text
        assert "does not know the access key" in shown
        assert (edit in shown) is changes
    browser(cast.alice).post(page("connection-delete", connection.pk))
    assert not Connection.objects.exists()


def test_the_tree_goes_from_connections_to_objects(cast: Cast, ceph: Ceph, bucket: str) -> None:
    client, url = browser(cast.erin), page("objects", cast.project.pk)
    assert "There is no connection yet" in client.get(url).text
    connection = make_connection(cast, ceph)
    assert "ceph" in client.get(url).text
    assert f"prefix={bucket}%2F" in client.get(url, {"connection": str(connection.pk), "prefix": ""}).text
    shown = client.get(url, {"connection": str(connection.pk), "prefix": f"{bucket}/photos/"}).text
    assert f'data-value="{connection.pk}:{bucket}/photos/sea &amp; sky/"' in shown
    found = client.get(url, {"connection": str(connection.pk), "search": f"/{bucket}/photos/se"}).text
    assert "sea &amp; sky" in found
    assert "forest" not in found
    assert "There is no bucket" in client.get(url, {"connection": str(connection.pk), "prefix": "nowhere/"}).text
    folders = client.get(url, {"connection": str(connection.pk), "prefix": f"{bucket}/", "folders": "1"}).text
    assert "labels.csv" not in folders
    assert client.get(url, {"connection": "999999", "prefix": ""}).status_code == 404
    assert browser(cast.bob).get(url).status_code == 403


def test_a_large_folder_offers_the_rest(cast: Cast, ceph: Ceph, bucket: str) -> None:
    put_many(ceph, bucket, (f"many/{n:04}.txt" for n in range(1003)))
    client, url = browser(cast.erin), page("objects", cast.project.pk)
    connection = make_connection(cast, ceph, bucket)
    first = client.get(url, {"connection": str(connection.pk), "prefix": "many/"})
    assert first.text.count("data-value") == 1000
    more = first.context["level"].more
    assert f'hx-get="{more.replace("&", "&amp;")}"' in first.text
    assert client.get(more).text.count("data-value") == 3


def test_chosen_objects_become_a_queued_data(cast: Cast, ceph: Ceph, bucket: str) -> None:
    connection = make_connection(cast, ceph, bucket)
    client, url = browser(cast.erin), page("import", cast.project.pk)
    shown = client.get(url, {"dataset_name": "typed before"}).text
    assert "typed before" in shown
    body: dict[str, Any] = {"dataset_name": "from a bucket", "name": "raw", "labels_from_folders": "on"}
    assert "This field is required" in client.post(url, body).text
    several = client.post(url, body | {"objects": [f"{connection.pk}:photos/", f"{connection.pk + 1}:labels.csv"]}).text
    assert "One data is imported from one connection" in several
    assert 'data-path="photos/"' in several
    missing = client.post(url, body | {"objects": [f"{connection.pk}:nothing/"]}).text
    assert "There is no object in" in missing
    assert not Dataset.objects.exists()
    client.post(url, body | {"objects": [f"{connection.pk}:photos/", f"{connection.pk}:photos/forest/1.jpg"]})
    data = Data.objects.get()
    assert (data.dataset.name, data.status, data.source_keys) == ("from a bucket", "queued", ["photos/"])
    add = page("data-import", make_dataset(cast.project).pk)
    client.post(add, {"name": "second", "objects": [f"{connection.pk}:labels.csv"]})
    assert Data.objects.get(name="second").connection == connection
    assert browser(cast.bob).get(url).status_code == 403


def test_an_operator_makes_a_connection_of_all_projects(ceph: Ceph, bucket: str) -> None:
    client = browser(make_user("operator", is_staff=True, is_superuser=True))
    url = reverse("admin:datasets_connection_add")
    wrong = client.post(url, given(ceph, bucket, secret_key="wrong")).text
    assert "does not belong to the access key" in wrong
    assert not Connection.objects.exists()
    client.post(url, given(ceph, bucket))
    connection = Connection.objects.get()
    assert (connection.project, str(connection.creator)) == (None, "operator")
    change = reverse("admin:datasets_connection_change", args=[connection.pk])
    assert ceph.secret_key not in client.get(change).text
    client.post(change, given(ceph, bucket, name="renamed", secret_key=""))
    connection.refresh_from_db()
    assert connection.name == "renamed"
    storage_of(connection).check_reading()
    client.post(reverse("admin:datasets_connection_delete", args=[connection.pk]), {"post": "yes"})
    assert not Connection.objects.exists()
