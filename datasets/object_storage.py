"""An S3-compatible object storage: its listing, addresses to read and write objects at, and what its refusals mean."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

import urllib3

from datasets.endpoints import checked_endpoint
from datasets.storage_errors import NotS3, no_such_bucket, no_such_object, refusal, refused_fetch, trouble
from dlmodeler_site.errors import UserError
from dlmodeler_site.outside import PrivateAddress, check_host, pool_manager

PAGE = 1000  # what S3 lists at once
URL_LIFE_S = 7 * 86400  # the longest that S3 allows: an import may take days
PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
PATIENT = 8  # tries, over about two minutes: for work, which nobody sits in front of
_TIMEOUT = urllib3.Timeout(connect=5, read=20)
_BUCKETS_TRIED = 3
_OBJECTS_SEEN = 50
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_MAX_ANSWER_BYTES = 32 << 20
_making = threading.Lock()  # botocore's sessions are not made for threads, its clients are


@dataclass(frozen=True)
class Access:
    """Where an object storage is, and the key to it. `bucket` blank: all buckets of the key."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Access({self.endpoint or 'AWS'!r}, bucket={self.bucket!r}, access_key={self.access_key!r})"


@dataclass(frozen=True)
class Place:
    """An object, or what is below a prefix, in a bucket."""

    bucket: str
    key: str


@dataclass(frozen=True)
class StoredObject:
    """An object as listed; `path` is its key, after its bucket where the connection is to all buckets."""

    path: str
    size_bytes: int
    etag: str
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Listing:
    """A part of what is in a folder; `cursor` leads to the next part, "" after the last."""

    folders: list[str]
    objects: list[StoredObject]
    cursor: str = ""


@dataclass(frozen=True)
class PartAddresses:
    """Addresses that take an object in parts of so many bytes, one each, then join or discard them."""

    part_bytes: int
    urls: list[str]
    join_url: str
    discard_url: str


class ObjectStorage:
    """One connection's storage. Every method raises UserError with what is wrong, in words for who made the connection.

    Paths are keys, with the bucket before them where the connection is to all buckets of its key.
    """

    def __init__(self, access: Access, *, tries: int = 2) -> None:
        self.access, self.tries = access, tries
        self.endpoint = checked_endpoint(access.endpoint, region=access.region)
        self.region = access.region or self.endpoint.aws_region or "us-east-1"
        self._clients: dict[str, Any] = {}

    # -- Reading ---------------------------------------------------------------------------------

    def place(self, path: str) -> Place:
        bucket, _slash, key = (self.access.bucket, "", path) if self.access.bucket else path.partition("/")
        if not _BUCKET.fullmatch(bucket):  # SECURITY: also an ARN, by which botocore would go to another server
            raise no_such_bucket(bucket)
        return Place(bucket, key)

    def listing(self, prefix: str, *, cursor: str = "", limit: int = PAGE) -> Listing:
        """What begins with `prefix` up to the next slash; at the top of all buckets, the buckets."""
        if not self.access.bucket and "/" not in prefix:
            names = [name for name in self.buckets() if name.startswith(prefix)]
            return Listing([f"{name}/" for name in names], [])
        return self._page(prefix, cursor=cursor, limit=limit, Delimiter="/")

    def walk(self, prefix: str, *, most: int = PAGE) -> Iterator[Listing]:
        """Every object whose path begins with `prefix`, in parts of at most so many."""
        cursor = ""
        while True:
            listing = self._page(prefix, cursor=cursor, limit=most)
            yield listing
            if not (cursor := listing.cursor):
                return

    def find(self, path: str) -> StoredObject:
        """One object."""
        place = self.place(path)
        with self._told(place.bucket):
            client = self._client_of(place.bucket)
            try:
                head = client.head_object(Bucket=place.bucket, Key=place.key)
            except client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    raise no_such_object(path) from error
                raise
        return StoredObject(path, head["ContentLength"], head["ETag"].strip('"'), head.get("LastModified"))

    def buckets(self) -> list[str]:
        with self._told(""):
            found = self._client.list_buckets()
        return [bucket["Name"] for bucket in found.get("Buckets", ())]

    def _page(self, prefix: str, *, cursor: str = "", limit: int = PAGE, **options: Any) -> Listing:
        place = self.place(prefix)
        if cursor:
            options["ContinuationToken"] = cursor
        with self._told(place.bucket):
            page = self._client_of(place.bucket).list_objects_v2(
                Bucket=place.bucket, Prefix=place.key, MaxKeys=limit, **options
            )
        before = "" if self.access.bucket else f"{place.bucket}/"
        return Listing(
            [before + each["Prefix"] for each in page.get("CommonPrefixes", ())],
            [
                StoredObject(before + each["Key"], each["Size"], each.get("ETag", "").strip('"'), each["LastModified"])
                for each in page.get("Contents", ())
            ],
            page.get("NextContinuationToken", "") if page.get("IsTruncated") else "",
        )

    # -- Addresses -------------------------------------------------------------------------------

    def url_to_get(self, path: str, *, life_s: int = URL_LIFE_S) -> str:
        """An address that answers the object to whoever has it, for a time."""
        return self._url("get_object", path, life_s)

    def url_to_put(self, path: str, *, life_s: int = URL_LIFE_S) -> str:
        """An address that takes the object from whoever has it, for a time."""
        return self._url("put_object", path, life_s)

    def begin_parts(
        self, path: str, size_bytes: int, *, content_type: str, part_bytes: int = PART_BYTES
    ) -> PartAddresses:
        """Begin an object that is too large to be sent at once; what an earlier begin left of it is given up."""
        place = self.place(path)
        part_bytes = max(part_bytes, -(-size_bytes // _MOST_PARTS))
        with self._told(place.bucket, writing=True):
            client = self._client_of(place.bucket)
            with suppress(client.exceptions.ClientError):  # who may write need not be allowed to list this
                begun = client.list_multipart_uploads(Bucket=place.bucket, Prefix=place.key).get("Uploads", ())
                for upload_id in [each["UploadId"] for each in begun if each["Key"] == place.key]:
                    client.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload_id)
            upload_id = client.create_multipart_upload(Bucket=place.bucket, Key=place.key, ContentType=content_type)[
                "UploadId"
            ]
        numbers = range(1, -(-size_bytes // part_bytes) + 1)
        return PartAddresses(
            part_bytes,
            [self._url("upload_part", path, URL_LIFE_S, UploadId=upload_id, PartNumber=number) for number in numbers],
            self._url("complete_multipart_upload", path, URL_LIFE_S, UploadId=upload_id),
            self._url("abort_multipart_upload", path, URL_LIFE_S, UploadId=upload_id),
        )

    def _url(self, operation: str, path: str, life_s: int, **values: Any) -> str:
        place = self.place(path)
        with self._told(place.bucket):
            url: str = self._client_of(place.bucket).generate_presigned_url(
                operation, Params={"Bucket": place.bucket, "Key": place.key, **values}, ExpiresIn=life_s
            )
        return url

    # -- Trying out ------------------------------------------------------------------------------

    def check_reading(self) -> None:
        """List and get for real, as an import does."""
        self._check_host()
        buckets = [self.access.bucket] if self.access.bucket else self.buckets()
        refused: UserError | None = None
        for bucket in buckets[:_BUCKETS_TRIED]:
            try:
                self._check_bucket(bucket)
                return
            except UserError as error:
                refused = refused or error
        if refused:
            raise refused

    def check_writing(self, prefix: str) -> None:
        """Begin and give up an upload below the prefix: whoever may do so may write, and nothing is left behind."""
        place = self.place(f"{prefix}dl-modeler-write-test")
        with self._told(place.bucket, writing=True):
            client = self._client_of(place.bucket)
            upload = client.create_multipart_upload(Bucket=place.bucket, Key=place.key)
            client.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload["UploadId"])

    def _check_host(self) -> None:
        """A name that does not resolve, or to where it may not, is told before the first request is made."""
        with self._told(""):
            if self.endpoint.public_only:
                check_host(self.endpoint.host, self.endpoint.port)

    def _check_bucket(self, bucket: str) -> None:
        before = "" if self.access.bucket else f"{bucket}/"
        listed = self._page(before, limit=_OBJECTS_SEEN).objects
        whole = [each for each in listed if not each.path.endswith("/")]
        path = whole[0].path if whole else f"{before}dl-modeler-read-test"
        with self._told(bucket):
            answer = self._pools.request("GET", self.url_to_get(path, life_s=60), headers={"Range": "bytes=0-0"})
        # An empty object has no first byte (416); in an empty bucket it is enough to be told that there is no such key.
        if answer.status not in (200, 206, 416) and not (answer.status == 404 and not whole):
            raise refused_fetch(self.access, bucket, answer.status, answer.data)

    # -- Speaking to it --------------------------------------------------------------------------

    @contextmanager
    def _told(self, bucket: str, *, writing: bool = False) -> Iterator[None]:
        """What goes wrong inside becomes a UserError."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise refusal(self.access, bucket, error.response, writing=writing) from error
        except (BotoCoreError, urllib3.exceptions.HTTPError, PrivateAddress, NotS3, OSError) as error:
            raise trouble(self.endpoint.url, error) from error

    @cached_property
    def _pools(self) -> urllib3.PoolManager:
        return pool_manager(public_only=self.endpoint.public_only, timeout=_TIMEOUT, tries=self.tries)

    @cached_property
    def _client(self) -> Any:
        return self._client_in(self.region)

    def _client_of(self, bucket: str) -> Any:
        """The client to speak of a bucket with: of AWS, one for the bucket's region, which its addresses must name."""
        from botocore.exceptions import ClientError

        if self.access.region or self.endpoint.aws_region or not self.endpoint.is_aws:
            return self._client
        if bucket not in self._clients:
            try:
                answer = self._client.head_bucket(Bucket=bucket)
            except ClientError as error:  # who may not ask for it is told its region nevertheless
                answer = error.response
            region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", self.region)
            self._clients[bucket] = self._client_in(region)
        return self._clients[bucket]

    def _client_in(self, region: str) -> Any:
        """SECURITY: the key is the connection's alone: none of the site's environment or of its machine is tried."""
        from botocore.config import Config

        with _making:
            client = _session().create_client(
                "s3",
                region_name=region,
                endpoint_url=self.endpoint.url if self.access.endpoint else None,
                aws_access_key_id=self.access.access_key,
                aws_secret_access_key=self.access.secret_key,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "virtual" if self.endpoint.is_aws else "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    retries={"mode": "standard", "total_max_attempts": self.tries},
                    ignore_configured_endpoint_urls=True,
                ),
            )
        client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: Any, **_values: Any) -> Any:
        """Send what botocore has signed over connections of our own, which check where they lead."""
        from botocore.awsrequest import AWSResponse

        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = self._pools.connection_from_url(request.url).urlopen(
            request.method, target or "/", body=request.body, headers=request.headers, preload_content=False
        )
        try:
            content = answer.read(_MAX_ANSWER_BYTES + 1, decode_content=False)
        finally:
            answer.release_conn()
        if len(content) > _MAX_ANSWER_BYTES:
            raise urllib3.exceptions.ProtocolError("the answer is larger than any of S3")
        if answer.status < 500 and b"<html" in content[:1000].lower():
            raise NotS3
        return AWSResponse(request.url, answer.status, answer.headers, _Read(content))


@dataclass(frozen=True)
class _Read:
    """An answer's body that has been read."""

    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


@cache
def _session() -> Any:
    from botocore.session import Session

    return Session()
