"""The workspace in a bucket; in a module of its own, so that a site on local disk does not load the S3 client."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from storages.backends.s3 import S3Storage

from dlmodeler_site.storage import files_below


class S3Workspace(S3Storage):
    """The workspace in a bucket. What must be read as a file is fetched into a content-addressed cache."""

    def put_file(self, key: str, source: Path) -> None:
        self.bucket.upload_file(str(source), self._key(key))
        source.unlink()

    def put_tree(self, prefix: str, source: Path) -> None:
        for path in files_below(source):
            self.put_file(f"{prefix}/{path.relative_to(source).as_posix()}", path)

    def local_path(self, key: str, sha256: str) -> Path:
        cached = settings.DLM_CACHE / "files" / sha256[:2] / sha256
        if not cached.exists():
            self._download(self._key(key), cached)
        return Path(cached)

    def local_tree(self, prefix: str) -> Path:
        cached = settings.DLM_CACHE / "trees" / hashlib.sha256(prefix.encode()).hexdigest()
        if not cached.exists():
            part = cached.with_name(f".{uuid.uuid4().hex}")
            self.fetch_tree(prefix, part)
            try:
                part.rename(cached)
            except OSError:  # RACE: another process was faster
                shutil.rmtree(part)
        return Path(cached)

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        for key in self.keys(prefix):
            self._download(self._key(key), destination / key[len(prefix) + 1 :])

    def keys(self, prefix: str) -> Iterator[str]:
        skip = len(self._key("x")) - 1
        for item in self.bucket.objects.filter(Prefix=self._key(prefix) + "/"):
            yield item.key[skip:]

    def delete_tree(self, prefix: str) -> None:
        if not prefix.strip("/"):
            raise ValueError("refusing to delete the whole workspace")
        self.bucket.objects.filter(Prefix=self._key(prefix) + "/").delete()

    def _key(self, name: str) -> str:
        return self._normalize_name(name)  # type: ignore[no-any-return]

    def _download(self, key: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid.uuid4().hex}")
        self.bucket.download_file(key, str(part))
        os.replace(part, target)
