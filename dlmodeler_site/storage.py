"""The workspace: every file of the platform, under the keys that users see as /mnt/project/....

One storage, `STORAGES["workspace"]`. Beside Django's storage API both implementations put whole files and
trees, give a local path to read from, and delete trees; nothing else in the project knows where files lie.
"""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

from django.core.files.storage import FileSystemStorage, storages
from django.utils import timezone

from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _

log = logging.getLogger(__name__)

BLOCK_BYTES = 256 << 10


class WorkspaceUnavailable(UserError):
    """The files cannot be reached now. `cause` tells the operator why and what to do; it is logged, not shown."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            _("The storage of files does not answer as it should. Try again later; if it goes on, tell your operator."),
            reason="workspace_unavailable",
            status=503,
        )
        self.cause = cause
        log.error("workspace: %s", cause)


@dataclass(frozen=True)
class Put:
    """A local file on its way to `key`. With its hash given, a remote storage keeps it in its cache as well."""

    key: str
    source: Path
    sha256: str = ""
    ahead_key: str = ""  # where its bytes are already (`ahead`)


class Workspace(Protocol):
    """The storage contract; `tests/contracts/test_storage.py` runs over every implementation.

    Every method may raise WorkspaceUnavailable. Those that take many files do so in parallel where that helps; when
    they raise, some of the files are done.
    """

    @property
    def is_remote(self) -> bool:
        """Whether files must be fetched before they can be read by their local path."""

    def check(self, *, writing: bool) -> None:
        """Raise WorkspaceUnavailable where files cannot be listed, and with `writing` put and deleted."""

    def open(self, name: str, mode: str = "rb") -> Any:
        """A readable file; FileNotFoundError when there is none."""

    def contents(self, files: Iterable[tuple[str, int]]) -> Iterator[Iterator[bytes]]:
        """What each file holds, in order, in blocks; each is a key and the size that it should have, in bytes.

        Small ones are fetched ahead where that helps, in bounded memory. Raises FileNotFoundError as `open` does.
        """

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """In bytes; FileNotFoundError when there is none."""

    def put_file(self, key: str, source: Path, sha256: str = "") -> None:
        """Move a local file to `key`, whole or not at all; an older one is replaced."""

    def put_files(self, files: Iterable[Put]) -> None:
        """The same for many files."""

    def ahead(self, files: Iterable[Put]) -> AbstractContextManager[list[Put]]:
        """Around a transaction that puts files: brings them near their keys, so that what is put inside takes no time.

        Answers what to give to `put_files`. What was not put is not kept.
        """

    def put_tree(self, prefix: str, source: Path) -> None:
        """Put every file below the local folder `source` under `prefix/`; the sources are used up."""

    def copy_files(self, files: Iterable[tuple[str, str]]) -> set[str]:
        """Put the same content that each first key has under the second one as well.

        Answers those of the second keys that take no space of their own, because they share that of the first.
        """

    def local_path(self, key: str, sha256: str) -> Path:
        """A local, read-only path with the file's content (fetched into the cache where it is remote)."""

    def local_paths(self, files: Sequence[tuple[str, str]]) -> list[Path]:
        """The same for many files, each a key and a hash, in order."""

    def local_tree(self, prefix: str) -> Path:
        """A local, read-only folder with every file under `prefix/`, which never changes once written."""

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        """Copy every file under `prefix/` into the local folder `destination`; FileNotFoundError when there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under `prefix/`."""

    def delete(self, name: str) -> None:
        """Nothing happens where there is none."""

    def delete_files(self, keys: Iterable[str]) -> None:
        """The same for many files."""

    def delete_tree(self, prefix: str) -> None:
        """Delete every file under `prefix/`; nothing happens where there is none."""

    def tidy(self, *, before: datetime) -> None:
        """Delete what puts that broke off before this time left behind where nobody sees it."""


def workspace() -> Workspace:
    return cast(Workspace, storages["workspace"])


def tidy_workspace() -> None:
    """Delete what was never finished, and can be no more."""
    workspace().tidy(before=timezone.now() - timedelta(days=2))


class LocalWorkspace(FileSystemStorage):
    """The workspace on a local disk."""

    is_remote = False

    def check(self, *, writing: bool) -> None:
        root = Path(self.path(""))
        probe = root / f".{uuid.uuid4().hex}"
        try:
            if writing:
                root.mkdir(parents=True, exist_ok=True, mode=0o700)
                probe.touch()
                probe.unlink()
            os.scandir(root).close()
        except OSError as error:
            raise WorkspaceUnavailable(
                f"The folder {root} cannot be used ({error.strerror}). Mount it, or give this user the right to "
                "read and write it, or set DLM_WORKSPACE_URL."
            ) from error

    def put_file(self, key: str, source: Path, sha256: str = "") -> None:
        target = self.path(key)
        try:
            _move(source, target)
        except FileNotFoundError:  # of a folder that mostly is there
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _move(source, target)

    def put_files(self, files: Iterable[Put]) -> None:
        for put in files:
            self.put_file(put.key, put.source)

    def ahead(self, files: Iterable[Put]) -> AbstractContextManager[list[Put]]:
        return nullcontext(list(files))

    def put_tree(self, prefix: str, source: Path) -> None:
        self.put_files(puts_of_tree(prefix, source))

    def copy_files(self, files: Iterable[tuple[str, str]]) -> set[str]:
        linked = set()
        for key, new_key in files:
            source, target = self.path(key), self.path(new_key)
            try:
                is_linked = _link(source, target)  # no file is ever changed in place
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                is_linked = _link(source, target)
            if is_linked:
                linked.add(new_key)
        return linked

    def contents(self, files: Iterable[tuple[str, int]]) -> Iterator[Iterator[bytes]]:
        for key, _size_bytes in files:
            yield blocks_of(self, key)

    def local_path(self, key: str, sha256: str) -> Path:
        return Path(self.path(key))

    def local_paths(self, files: Sequence[tuple[str, str]]) -> list[Path]:
        return [self.local_path(key, sha256) for key, sha256 in files]

    def local_tree(self, prefix: str) -> Path:
        return Path(self.path(prefix))

    def fetch_tree(self, prefix: str, destination: Path) -> None:
        shutil.copytree(self.path(prefix), destination, dirs_exist_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        root = Path(self.path(prefix))
        for path in files_below(root):
            yield f"{prefix}/{path.relative_to(root).as_posix()}"

    def delete_files(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def delete_tree(self, prefix: str) -> None:
        if not prefix.strip("/"):
            raise ValueError("refusing to delete the whole workspace")
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def tidy(self, *, before: datetime) -> None:
        """A put on a disk is a rename: it leaves nothing."""


def blocks_of(storage: Workspace, key: str) -> Iterator[bytes]:
    """A file's content, read as it is asked for."""
    with storage.open(key) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _move(source: Path, target: str) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the target, then rename.
        beside = os.path.join(os.path.dirname(target), f".{uuid.uuid4().hex}")
        shutil.copyfile(source, beside)
        os.replace(beside, target)
        source.unlink()


def _link(source: str, target: str) -> bool:
    """Whether it is the same file under both names, and no copy."""
    beside = os.path.join(os.path.dirname(target), f".{uuid.uuid4().hex}")
    try:
        os.link(source, target)
    except FileExistsError:
        _link(source, beside)
        os.replace(beside, target)
        Path(beside).unlink(missing_ok=True)  # the same file under both names: then `replace` does nothing
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV):
            raise
        shutil.copyfile(source, beside)
        os.replace(beside, target)
        return False
    return True


def files_below(root: Path) -> Iterator[Path]:
    """Every file in a local folder and its folders."""
    for folder, _folders, names in os.walk(root):
        for name in names:
            yield Path(folder) / name


def puts_of_tree(prefix: str, source: Path) -> Iterator[Put]:
    """Every file below a local folder, on its way to the same place below `prefix/`."""
    for path in files_below(source):
        yield Put(f"{prefix}/{path.relative_to(source).as_posix()}", path)
