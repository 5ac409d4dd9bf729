"""The workspace in a bucket; in modules of its own, so that a site on local disk does not load the S3 client."""

import base64
import hashlib
import io
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import SuspiciousFileOperation
from storages.backends.s3 import S3Storage

from dlmodeler_site.s3_cache import cached_file, cached_tree, is_cached, keep
from dlmodeler_site.s3_errors import MISSING, REPLACED, unavailable
from dlmodeler_site.s3_quick import SMALL_BYTES, QuickObjects
from dlmodeler_site.s3_reader import BUFFER_BYTES, ObjectReader
from dlmodeler_site.storage import Put, WorkspaceUnavailable, blocks_of, puts_of_tree

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16
PART_BYTES = 16 << 20
_READ_AHEAD = 16  # files
_READ_AHEAD_BYTES = 8 << 20
MAX_KEY_BYTES = 1024
_AT_ONCE = 1000  # keys that S3 lists and deletes in one request
_AHEAD = ".ahead"
_TYPE = "application/octet-stream"  # SECURITY: no browser runs it, whoever may read the bucket
_CONTENT = {"ContentType": _TYPE}
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
_COPY = TransferConfig(multipart_threshold=1 << 30, multipart_chunksize=1 << 29)  # S3 copies it, nothing passes here


class S3Workspace(S3Storage):
    """The workspace in a bucket. What must be read as a file is fetched into a content-addressed cache.

    One client for all threads of a process: made again after a fork, which must not share connections.
    """

    is_remote = True

    def __init__(self, **options: Any) -> None:
        self._locks: dict[int, Lock] = {}
        self._clients: dict[tuple[int, bool], Any] = {}
        self._quick_ones: dict[int, QuickObjects] = {}
        super().__init__(**options)

    # -- One file --------------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def put_file(self, key: str, source: Path, sha256: str = "") -> None:
        self._put(Put(key, source, sha256))

    def local_path(self, key: str, sha256: str) -> Path:
        cached = cached_file(sha256 or hashlib.sha256(f"{key}\n{self._head(key)['ETag']}".encode()).hexdigest())
        if not is_cached(cached):
            self._download(key, cached, sha256=sha256)
        return cached

    def delete(self, name: str) -> None:
        with self._told(name):
            self._client.delete_object(Bucket=self.bucket_name, Key=self._key(name))

    # -- Many ------------------------------------------------------------------------------------

    def put_files(self, files: Iterable[Put]) -> None:
        _in_threads(self._put, files)

    @contextmanager
    def ahead(self, files: Iterable[Put]) -> Iterator[list[Put]]:
        """What is large is put under another key at first: S3 copies it in no time."""
        puts = [
            replace(put, ahead_key=f"{_AHEAD}/{uuid.uuid4().hex}") if put.source.stat().st_size > SMALL_BYTES else put
            for put in files
        ]
        large = [put for put in puts if put.ahead_key]
        try:
            _in_threads(lambda put: self._upload(put.source, put.ahead_key), large)
            yield puts
        finally:
            self.delete_files(put.ahead_key for put in large)

    def put_tree(self, prefix: str, source: Path) -> None:
        self.put_files(puts_of_tree(prefix, source))

    def copy_files(self, files: Iterable[tuple[str, str]]) -> set[str]:
        _in_threads(self._copy, files)
        return set()

    def local_paths(self, files: Sequence[tuple[str, str]]) -> list[Path]:
        return _in_threads(lambda file: self.local_path(*file), files)

    def local_tree(self, prefix: str) -> Path:
        cached = cached_tree(prefix)
        if is_cached(cached):
            return cached
        part = cached.with_name(f".{uuid.uuid4().hex}")
        try:
            self.fetch_tree(prefix, part)
            part.rename(cached)
        except FileNotFoundError:  # none in the bucket, none on the disk
            pass
        except OSError:  # RACE: another process was faster
            if not cached.exists():
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return cached

    def contents(self, files: Iterable[tuple[str, int]]) -> Iterator[Iterator[bytes]]:
        rest, coming, ahead_bytes = iter(files), deque[tuple[str, int, Future[bytes] | None]](), 0
        pool = ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="workspace")
        try:
            while True:
                while len(coming) < _READ_AHEAD and ahead_bytes < _READ_AHEAD_BYTES and (file := next(rest, None)):
                    key, size_bytes = file
                    is_small = size_bytes <= SMALL_BYTES
                    ahead_bytes += size_bytes if is_small else 0
                    coming.append((*file, pool.submit(self._content, key) if is_small else None))
                if not coming:
                    return
                key, size_bytes, fetched = coming.popleft()
                if fetched is None:
                    yield blocks_of(self, key)
                else:
                    yield iter((fetched.result(),))
                    ahead_bytes -= size_bytes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        found = _in_threads(lambda key: self._download(key, destination / key[len(prefix) + 1 :]), self.keys(prefix))
        if not found:
            raise FileNotFoundError(f"There is nothing below {prefix}/ in the workspace.")

    def keys(self, prefix: str) -> Iterator[str]:
        skip = len(self._key("x")) - 1
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=f"{self._key(prefix)}/"
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # what consoles show as an empty folder
                        yield item["Key"][skip:]

    def delete_files(self, keys: Iterable[str]) -> None:
        self._delete_keys(map(self._key, keys))

    def delete_tree(self, prefix: str) -> None:
        if not prefix.strip("/"):
            raise ValueError("refusing to delete the whole workspace")
        self._delete_keys(map(self._key, self.keys(prefix)))

    # -- The bucket ------------------------------------------------------------------------------

    def tidy(self, *, before: datetime) -> None:
        with self._told(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=self._key(f"{_AHEAD}/x")[:-1]
            )
            found = [item for page in pages for item in page.get("Contents", ())]
            self._delete_keys(item["Key"] for item in found if item["LastModified"] < before)
            uploads = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket_name, Prefix=self._key("x")[:-1]
            )
            for upload in [each for page in uploads for each in page.get("Uploads", ())]:
                if upload["Initiated"] < before:
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket_name, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def check(self, *, writing: bool) -> None:
        client = self._client_for(hasty=True)
        with self._told(""):
            client.list_objects_v2(Bucket=self.bucket_name, MaxKeys=1, Prefix=f"{self._key('x')[:-1]}.work/")
            if writing:
                probe = {"Bucket": self.bucket_name, "Key": self._key(f".work/check-{uuid.uuid4().hex}")}
                client.put_object(**probe, Body=b"may be deleted", **_CONTENT)
                client.get_object(**probe)["Body"].read()
                client.delete_object(**probe)

    @property
    def _client(self) -> Any:
        return self._client_for(hasty=False)

    def _client_for(self, *, hasty: bool) -> Any:
        pid = os.getpid()
        # A client takes 15 MB and a tenth of a second: threads wait for one. A forked child has a lock of its own.
        with self._locks.setdefault(pid, Lock()):
            if (pid, hasty) not in self._clients:
                self._clients[pid, hasty] = self._new_client(hasty=hasty)
        return self._clients[pid, hasty]

    def _new_client(self, *, hasty: bool) -> Any:
        config = Config(
            s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            request_checksum_calculation="when_required",  # servers other than AWS refuse the newer ones
            response_checksum_validation="when_required",
            connect_timeout=2 if hasty else 5,
            read_timeout=5 if hasty else 60,
            retries={"mode": "standard", "total_max_attempts": 1 if hasty else 6},
            max_pool_connections=4 * THREADS,
            tcp_keepalive=True,
        )
        session = self._create_session()
        client = session.client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            verify=self.verify,
            config=self.client_config.merge(config),
        )
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
        if not hasty:
            self._quick_ones[os.getpid()] = QuickObjects(session, client, self.bucket_name, connections=4 * THREADS)
        return client

    @property
    def _quick(self) -> QuickObjects:
        self._client_for(hasty=False)
        return self._quick_ones[os.getpid()]

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """What the bucket refuses inside becomes FileNotFoundError or WorkspaceUnavailable."""
        try:
            yield
        except (ClientError, BotoCoreError, S3UploadFailedError) as error:
            cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
            code = cause.response["Error"].get("Code") if isinstance(cause, ClientError) else ""
            if code in MISSING:
                raise FileNotFoundError(f"There is no {name} in the workspace.") from error
            if code in REPLACED:
                raise OSError(f"{name} in the workspace was replaced while it was read.") from error
            if not isinstance(cause, ClientError | BotoCoreError):
                raise
            what = f"The workspace's bucket “{self.bucket_name}” at {self.endpoint_url or 'AWS'}"
            raise unavailable(cause, what=what) from error

    def _key(self, name: str) -> str:
        """The object's key. One that is too long for S3 is cut and told apart by a hash."""
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise SuspiciousFileOperation(f"{name!r} is no relative path inside of the workspace.")
        key = f"{self.location}/{name}".lstrip("/")
        encoded = key.encode()
        if len(encoded) <= MAX_KEY_BYTES:
            return key
        digest = hashlib.sha256(encoded).hexdigest()
        return f"{encoded[: MAX_KEY_BYTES - len(digest) - 1].decode(errors='ignore')}~{digest}"

    def _normalize_name(self, name: str) -> str:
        return self._key(name)

    def _open(self, name: str, mode: str = "rb") -> Any:
        if mode != "rb":
            raise ValueError(f"Files of the workspace are opened with mode rb, not {mode}.")

        def get(**options: Any) -> Any:
            with self._told(name):
                return self._client.get_object(Bucket=self.bucket_name, Key=self._key(name), **options)

        return io.BufferedReader(ObjectReader(get, told=lambda: self._told(name)), BUFFER_BYTES)

    def _save(self, name: str, content: Any) -> str:
        with self._told(name):
            self._client.upload_fileobj(
                content, self.bucket_name, self._key(name), ExtraArgs=_CONTENT, Config=_TRANSFER
            )
        return name

    def _head(self, name: str) -> Any:
        with self._told(name):
            return self._client.head_object(Bucket=self.bucket_name, Key=self._key(name))

    def _put(self, put: Put) -> None:
        if put.ahead_key:
            self._copy((put.ahead_key, put.key))
        else:
            self._upload(put.source, put.key)
        if put.sha256:
            keep(put.source, put.sha256)
        put.source.unlink(missing_ok=True)

    def _upload(self, source: Path, name: str) -> None:
        key = self._key(name)
        size_bytes = source.stat().st_size
        if size_bytes <= SMALL_BYTES and self._quick.put(key, source.read_bytes(), content_type=_TYPE):
            return
        with self._told(name):
            if size_bytes > PART_BYTES:
                self._client.upload_file(str(source), self.bucket_name, key, ExtraArgs=_CONTENT, Config=_TRANSFER)
            else:
                with open(source, "rb") as body:
                    self._client.put_object(Bucket=self.bucket_name, Key=key, Body=body, **_CONTENT)

    def _copy(self, keys: tuple[str, str]) -> None:
        source, target = map(self._key, keys)
        if source == target or self._quick.copy(source, target):
            return
        with self._told(keys[0]):
            self._client.copy({"Bucket": self.bucket_name, "Key": source}, self.bucket_name, target, Config=_COPY)

    def _download(self, key: str, target: Path, *, sha256: str = "") -> None:
        """Fetch the file, whole or not at all, and see that it is the one with that hash."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid.uuid4().hex}")
        digest = hashlib.sha256()
        try:
            with open(part, "wb") as file:
                for chunk in self._chunks(key):
                    digest.update(chunk)
                    file.write(chunk)
            if sha256 and digest.hexdigest() != sha256:
                raise WorkspaceUnavailable(
                    f"{self._key(key)} in the bucket “{self.bucket_name}” is not what was put there: its SHA-256 hash "
                    f"is {digest.hexdigest()}, expected {sha256}. Restore it from a backup."
                )
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _content(self, key: str) -> bytes:
        return b"".join(self._chunks(key))

    def _chunks(self, key: str) -> Iterator[bytes]:
        if (content := self._quick.get(self._key(key))) is not None:
            yield content
            return
        yield from blocks_of(self, key)

    def _delete_keys(self, keys: Iterable[str]) -> None:
        _in_threads(self._delete_some, iter(lambda: list(islice(keys, _AT_ONCE)), []))

    def _delete_some(self, keys: list[str]) -> None:
        with self._told(keys[0]):
            answer = self._client.delete_objects(
                Bucket=self.bucket_name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
            if errors := answer.get("Errors"):
                raise ClientError({"Error": errors[0], "ResponseMetadata": answer["ResponseMetadata"]}, "DeleteObjects")


def _in_threads(do: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do it for every item, some at once; after an error no further one is begun."""
    results: list[R] = []
    rest = iter(items)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="workspace") as pool:
        while batch := list(islice(rest, _AT_ONCE)):
            futures = [pool.submit(do, item) for item in batch]
            try:
                results += [future.result() for future in futures]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return results


def _add_md5(request: Any, **_kwargs: Any) -> None:
    """Servers that know no newer checksums ask for this one."""
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()
