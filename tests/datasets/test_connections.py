"""Connections to object storages, against a real Ceph gateway."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.urls import reverse

from datasets.connections import save_connection, storage_of
from datasets.endpoints import checked_endpoint
from datasets.models import Connection, Data
from dlmodeler_site.errors import UserError
from dlmodeler_site.outside import is_public
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_dataset
from tests.ceph import Ceph

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def bucket(ceph: Ceph, settings: Any) -> str:
    """A bucket with a few objects, at an endpoint that the operator allows."""
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint]
    name = ceph.new_bucket()
    for key in ("photos/forest/1.jpg", "photos/sea/2.jpg", "labels.csv", "photos/"):
        ceph.client().put_object(Bucket=name, Key=key, Body=b"" if key.endswith("/") else b"content")
    return name


def given(ceph: Ceph, bucket: str = "", **values: str) -> dict[str, str]:
    return {
        "name": "ceph",
        "endpoint": ceph.endpoint,
        "region": ceph.region,
        "bucket": bucket,
        "access_key": ceph.access_key,
        "secret_key": ceph.secret_key,
        **values,
    }


def make_connection(cast: Cast, ceph: Ceph, bucket: str = "", **values: str) -> Connection:
    fields = given(ceph, bucket, **values)
    secret_key = fields.pop("secret_key")
    connection = Connection(project=cast.project, creator=cast.alice, **fields)
    save_connection(connection, secret_key=secret_key)
    return connection


def detail(connection: Connection, action: str = "detail") -> str:
    return reverse(f"api-connection-{action}", args=[connection.pk])


# -- Making and changing -------------------------------------------------------------------------


def test_an_owner_makes_a_connection_and_nobody_sees_its_keys_again(cast: Cast, ceph: Ceph, bucket: str) -> None:
    body = {"project": cast.project.pk, **given(ceph, bucket)}
    assert api(cast.erin).post(reverse("api-connection-list"), body).status_code == 403
    assert api(cast.charlie).post(reverse("api-connection-list"), body).status_code == 404
    made = api(cast.alice).post(reverse("api-connection-list"), body).json()
    assert (made["name"], made["bucket"], made["error"]) == ("ceph", bucket, None)
    for answer in (made, api(cast.bob).get(reverse("api-connection-list")).json()["results"][0]):
        assert not {"access_key", "secret_key", "ciphertext"} & set(answer)
    row = Connection.objects.get()
    assert ceph.secret_key.encode() not in bytes(row.ciphertext)
    assert ceph.secret_key not in str(list(LogEntry.objects.get_for_object(row).values()))
    assert api(cast.charlie).get(reverse("api-connection-list")).json()["count"] == 0


def test_a_change_is_tried_out_and_a_blank_secret_keeps_the_one_there_is(cast: Cast, ceph: Ceph, bucket: str) -> None:
    connection = make_connection(cast, ceph, bucket)
    client = api(cast.alice)
    assert client.patch(detail(connection), {"name": "renamed", "secret_key": ""}).json()["name"] == "renamed"
    assert client.patch(detail(connection), {"bucket": "no-such-bucket"}).json()["reason"] == "no_such_bucket"
    assert api(cast.erin).patch(detail(connection), {"name": "x"}).status_code == 403
    access_key, secret_key = ceph.new_key()
    refused = client.patch(detail(connection), {"access_key": access_key})
    assert refused.json()["reason"] == "wrong_secret_key"
    connection.refresh_from_db()
    assert (connection.bucket, connection.access_key) == (bucket, ceph.access_key)
    assert client.patch(detail(connection), {"access_key": access_key, "secret_key": secret_key}).status_code == 200
    assert any("secret_key" in entry.changes for entry in LogEntry.objects.get_for_object(connection))
    connection.refresh_from_db()
    storage_of(connection).check_reading()


def test_a_name_is_taken_once_in_a_project(cast: Cast, ceph: Ceph, bucket: str) -> None:
    make_connection(cast, ceph, bucket)
    answer = api(cast.alice).post(reverse("api-connection-list"), {"project": cast.project.pk, **given(ceph)}).json()
    assert (answer["reason"], answer["details"]["field"]) == ("name_taken", "name")


def test_one_that_works_now_and_not_later_says_so(cast: Cast, ceph: Ceph, bucket: str) -> None:
    access_key, secret_key = ceph.new_key()
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    ceph.revoke_key(access_key)
    assert api(cast.erin).post(detail(connection, "check")).json()["reason"] == "unknown_access_key"
    shown = api(cast.bob).get(detail(connection)).json()
    assert "does not know the access key" in shown["error"]
    assert api(cast.bob).post(detail(connection, "check")).status_code == 403


def test_what_an_import_uses_is_not_deleted(cast: Cast, ceph: Ceph, bucket: str) -> None:
    connection = make_connection(cast, ceph, bucket)
    dataset = make_dataset(cast.project)
    data = Data.objects.create(dataset=dataset, name="import", slug="import", connection=connection, status="running")
    refused = api(cast.alice).delete(detail(connection))
    assert (refused.status_code, refused.json()["reason"]) == (409, "in_use")
    assert "import" in refused.json()["error"]
    Data.objects.update(status=Status.COMPLETED)
    assert api(cast.erin).delete(detail(connection)).status_code == 403
    assert api(cast.alice).delete(detail(connection)).status_code == 204
    data.refresh_from_db()
    assert data.connection is None


# -- What does not work --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"access_key": "NOBODY"}, "unknown_access_key", "access_key"),
        ({"secret_key": "wrong"}, "wrong_secret_key", "secret_key"),
        ({"secret_key": " "}, "invalid", "secret_key"),
        ({"bucket": "no-such-bucket"}, "no_such_bucket", "bucket"),
        ({"bucket": "arn:aws:s3:us-east-1:123456789012:accesspoint/x"}, "no_such_bucket", "bucket"),
        ({"endpoint": "http://127.0.0.1:1"}, "unreachable", "endpoint"),
        ({"endpoint": "https://storage.not-allowed.example"}, "endpoint_not_allowed", "endpoint"),
        ({"endpoint": "", "region": "evil.example/"}, "invalid_region", "region"),
        ({"endpoint": "ftp://127.0.0.1"}, "invalid_endpoint", "endpoint"),
    ],
)
def test_what_is_wrong_is_told_on_its_field_and_nothing_is_saved(
    values: dict[str, str], reason: str, field: str, cast: Cast, ceph: Ceph, bucket: str, settings: Any
) -> None:
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint, "http://127.0.0.1:1", "aws"]
    with pytest.raises(UserError) as refused:
        make_connection(cast, ceph, **({"bucket": bucket} | values))
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert not Connection.objects.exists()


def test_a_key_without_rights_to_the_bucket_is_told_so(cast: Cast, ceph: Ceph, bucket: str) -> None:
    access_key, secret_key = ceph.new_user()
    with pytest.raises(UserError) as refused:
        make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    assert (refused.value.reason, bucket in refused.value.message) == ("access_denied", True)


def test_listing_without_getting_is_not_enough(cast: Cast, ceph: Ceph, bucket: str) -> None:
    access_key, secret_key = ceph.new_user()
    ceph.client().put_bucket_acl(Bucket=bucket, GrantRead=f"id={access_key}")  # to list; each object has its own
    with pytest.raises(UserError) as refused:
        make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    assert refused.value.reason == "access_denied"
    ceph.client().put_object_acl(Bucket=bucket, Key="labels.csv", GrantRead=f"id={access_key}")
    connection = make_connection(cast, ceph, bucket, access_key=access_key, secret_key=secret_key)
    with pytest.raises(UserError) as refused:
        storage_of(connection).check_writing("exports/")
    assert (refused.value.reason, refused.value.field) == ("access_denied", "prefix")


def answering(status: int, code: str, more: str = "") -> type[BaseHTTPRequestHandler]:
    """A server that answers everything with one error, as AWS writes it."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>".encode() if code else b"<html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    return Answers


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "more", "reason"),
    [
        (400, "ExpiredToken", "", "expired_key"),
        (403, "RequestTimeTooSkewed", "", "clock_skew"),
        (400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", "wrong_region"),
        (403, "AllAccessDisabled", "", "access_denied"),
        (503, "SlowDown", "", "storage_unavailable"),
        (418, "Teapot", "", "storage_refused"),
        (200, "", "", "not_s3"),
        (404, "", "", "not_s3"),
    ],
)
def test_what_other_storages_refuse_is_told(
    status: int, code: str, more: str, reason: str, cast: Cast, ceph: Ceph, settings: Any
) -> None:
    with serving(answering(status, code, more)) as endpoint:
        settings.DLM_S3_ENDPOINTS = [endpoint]
        with pytest.raises(UserError) as refused:
            make_connection(cast, ceph, "some-bucket", endpoint=endpoint)
    assert refused.value.reason == reason
    if more:
        assert "eu-west-1" in refused.value.message


def test_a_certificate_that_nobody_vouches_for_is_refused(
    cast: Cast, ceph: Ceph, settings: Any, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = tmp_path / "pem"
    pem.write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with serving(answering(200, ""), pem) as endpoint:
        settings.DLM_S3_ENDPOINTS = [endpoint]
        with pytest.raises(UserError) as refused:
            make_connection(cast, ceph, "some-bucket", endpoint=endpoint)
    assert (refused.value.reason, "self-signed" in refused.value.message) == ("tls", True)


# -- Where connections may lead ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        ("", True),
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("s3.us-south.cloud-object-storage.appdomain.cloud", True),
        ("https://s3.eu-west-1.amazonaws.com:8443", False),
        ("http://s3.eu-west-1.amazonaws.com", False),
        ("https://s3.x.evil.amazonaws.com.example", False),
        ("https://s3.a.b.amazonaws.com", False),
        ("http://169.254.169.254", False),
        ("http://localhost:9000", False),
    ],
)
def test_only_public_storages_of_aws_and_ibm_are_allowed_unless_the_operator_says_else(
    endpoint: str, allowed: bool, settings: Any
) -> None:
    assert settings.DLM_S3_ENDPOINTS == ["aws", "ibm"]
    if allowed:
        assert checked_endpoint(endpoint).public_only
    else:
        with pytest.raises(UserError) as refused:
            checked_endpoint(endpoint)
        assert refused.value.reason == "endpoint_not_allowed"
        assert "DLM_S3_ENDPOINTS" in refused.value.message


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://u:p@s3.amazonaws.com",
        "https://s3.amazonaws.com/bucket",
        "https://s3.amazonaws.com?x",
        "https://",
        "a b",
    ],
)
def test_an_endpoint_is_a_server_and_nothing_else(endpoint: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_endpoint(endpoint)
    assert refused.value.reason == "invalid_endpoint"


def test_only_what_the_operator_names_in_full_may_lie_in_the_private_network(settings: Any) -> None:
    settings.DLM_S3_ENDPOINTS = ["http://10.0.0.5:7480", "https://*.storage.example"]
    assert not checked_endpoint("http://10.0.0.5:7480/").public_only
    assert checked_endpoint("https://eu.storage.example").public_only


def test_a_name_that_leads_into_the_private_network_is_refused_at_each_use(
    cast: Cast, ceph: Ceph, bucket: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(ceph.endpoint.rpartition(":")[2])
    named = f"http://s3.rebinding.example:{port}"
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint, "http://*.rebinding.example:" + str(port)]
    connection = make_connection(cast, ceph, bucket)
    Connection.objects.update(endpoint=named)
    connection.refresh_from_db()
    resolve = socket.getaddrinfo
    addresses = iter(["93.184.215.14"])  # the first answer is a public address, as of a name server that rebinds

    def rebinding(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve(next(addresses, "127.0.0.1") if host == "s3.rebinding.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(UserError) as refused:
        storage_of(connection).check_reading()
    assert refused.value.reason == "endpoint_private"
    with pytest.raises(UserError) as refused:
        storage_of(connection).listing("")
    assert refused.value.reason == "endpoint_private"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_private_addresses_are_known_in_every_disguise(address: str) -> None:
    assert not is_public(address)
    assert is_public("93.184.215.14")


def test_a_connection_whose_endpoint_is_allowed_no_more_is_of_no_use(
    cast: Cast, ceph: Ceph, bucket: str, settings: Any
) -> None:
    connection = make_connection(cast, ceph, bucket)
    settings.DLM_S3_ENDPOINTS = ["aws"]
    assert api(cast.alice).get(detail(connection, "browse")).json()["reason"] == "endpoint_not_allowed"


def test_no_key_of_the_sites_own_is_tried(cast: Cast, ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ceph.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ceph.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(UserError) as refused:
        make_connection(cast, ceph, bucket, access_key="NOBODY")
    assert refused.value.reason == "unknown_access_key"


# -- Browsing ------------------------------------------------------------------------------------


def test_editors_browse_folder_by_folder(cast: Cast, ceph: Ceph, bucket: str) -> None:
    url = detail(make_connection(cast, ceph, bucket), "browse")
    client = api(cast.erin)
    top = client.get(url).json()
    assert (top["folders"], top["next_cursor"]) == ([{"key": "photos/", "name": "photos"}], None)
    assert [(each["key"], each["size_bytes"]) for each in top["objects"]] == [("labels.csv", 7)]
    below = client.get(url, {"prefix": "photos/"}).json()
    assert ([each["name"] for each in below["folders"]], below["objects"]) == (["forest", "sea"], [])
    assert [each["key"] for each in client.get(url, {"prefix": "photos/s"}).json()["folders"]] == ["photos/sea/"]
    assert api(cast.bob).get(url).status_code == 403
    assert api(cast.charlie).get(url).status_code == 404


def test_a_connection_to_all_buckets_begins_with_them(cast: Cast, ceph: Ceph, bucket: str) -> None:
    url = detail(make_connection(cast, ceph), "browse")
    client = api(cast.erin)
    assert {"key": f"{bucket}/", "name": bucket} in client.get(url).json()["folders"]
    assert client.get(url, {"prefix": f"{bucket}/"}).json()["objects"][0]["key"] == f"{bucket}/labels.csv"
    assert client.get(url, {"prefix": "no-such-bucket/"}).json()["reason"] == "no_such_bucket"


def test_a_large_folder_comes_in_parts(cast: Cast, ceph: Ceph, bucket: str) -> None:
    put_many(ceph, bucket, (f"many/{n:04}.txt" for n in range(1005)))
    url = detail(make_connection(cast, ceph, bucket), "browse")
    first = api(cast.erin).get(url, {"prefix": "many/"}).json()
    second = api(cast.erin).get(url, {"prefix": "many/", "cursor": first["next_cursor"]}).json()
    keys = [each["key"] for each in first["objects"] + second["objects"]]
    assert (len(first["objects"]), len(keys), second["next_cursor"]) == (1000, 1005, None)
    assert keys == sorted(keys)


def test_a_connection_of_all_projects_is_everybodys_to_use_and_nobodys_to_change(
    cast: Cast, ceph: Ceph, bucket: str
) -> None:
    connection = make_connection(cast, ceph, bucket)
    Connection.objects.update(project=None)
    assert api(cast.charlie).get(detail(connection, "browse")).status_code == 200
    assert api(cast.alice).patch(detail(connection), {"name": "mine"}).status_code == 403
    assert api(cast.alice).delete(detail(connection)).status_code == 403
    assert api(None).get(detail(connection)).status_code == 401


def put_many(ceph: Ceph, bucket: str, keys: Iterator[str], content: Callable[[str], bytes] = str.encode) -> None:
    """Objects, several at a time."""
    from concurrent.futures import ThreadPoolExecutor

    client = ceph.client()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=content(key)), keys))
