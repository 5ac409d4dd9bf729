"""The workspace: every file of the platform, under the keys that users see as /mnt/project/....

One storage, `STORAGES["workspace"]`. Beside Django's storage API both implementations put whole files and
trees, give a local path to read from, and delete trees; nothing else in the project knows where files lie.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

from django.core.files.storage import FileSystemStorage, storages


class Workspace(Protocol):
    """The storage contract; `tests/contracts/test_storage.py` runs over every implementation."""

    def open(self, name: str, mode: str = "rb") -> Any:
        """A readable file; FileNotFoundError when there is none."""

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int: ...

    def put_file(self, key: str, source: Path) -> None:
        """Move a local file to `key`, whole or not at all; an older one is replaced."""

    def put_tree(self, prefix: str, source: Path) -> None:
        """Put every file below the local folder `source` under `prefix/`; the sources are used up."""

    def local_path(self, key: str, sha256: str) -> Path:
        """A local, read-only path with the file's content (fetched into the cache where it is remote)."""

    def local_tree(self, prefix: str) -> Path:
        """A local, read-only folder with every file under `prefix/`, which never changes once written."""

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        """Copy every file under `prefix/` into the local folder `destination`."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under `prefix/`."""

    def delete(self, name: str) -> None: ...

    def delete_tree(self, prefix: str) -> None:
        """Delete every file under `prefix/`; nothing happens where there is none."""


def workspace() -> Workspace:
    return cast(Workspace, storages["workspace"])


class LocalWorkspace(FileSystemStorage):
    """The workspace on a local disk."""

    def put_file(self, key: str, source: Path) -> None:
        target = Path(self.path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Another file system: copy beside the target, then rename.
            beside = target.with_name(f".{uuid.uuid4().hex}")
            shutil.copyfile(source, beside)
            os.replace(beside, target)
            source.unlink()

    def put_tree(self, prefix: str, source: Path) -> None:
        for path in files_below(source):
            self.put_file(f"{prefix}/{path.relative_to(source).as_posix()}", path)

    def local_path(self, key: str, sha256: str) -> Path:
        return Path(self.path(key))

    def local_tree(self, prefix: str) -> Path:
        return Path(self.path(prefix))

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        shutil.copytree(self.path(prefix), destination, dirs_exist_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        root = Path(self.path(prefix))
        for path in files_below(root):
            yield f"{prefix}/{path.relative_to(root).as_posix()}"

    def delete_tree(self, prefix: str) -> None:
        if not prefix.strip("/"):
            raise ValueError("refusing to delete the whole workspace")
        shutil.rmtree(self.path(prefix), ignore_errors=True)


def files_below(root: Path) -> Iterator[Path]:
    """Every file in a local folder and its folders."""
    for folder, _folders, names in os.walk(root):
        for name in names:
            yield Path(folder) / name
