"""Uploads of one file each that go on where they broke off, by tus 1.0 (https://tus.io/protocols/resumable-upload).

An upload is two files in a folder of its data, where the uploads of requests are: `<id>.part`, the bytes that have
arrived, and `<id>.json`, what was said of them. The part's size is the offset; there is no second place that a killed
process could leave behind it. When all bytes are there the file is kept like those of a request, the part is deleted,
and the `.json` stays for a while to answer who did not hear that.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from datasets.incoming import ReceivedFile
from datasets.inspection.names import NameRefused
from datasets.models import Data
from datasets.uploads import check_open, checked_name, keep_file, refuse_file
from dlmodeler_site import sentences
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.work.models import Status

OPEN = "open"
LIFE_S = 7 * 86400  # since its last byte
MAX_OPEN = 100  # for each data
_BLOCK_BYTES = 128 << 10
_RESERVE_BYTES = 256 << 20
_YOUNG_S = 60
_PREFIX = "uploads-"
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Upload:
    """What is known of an upload. `state`: open, then what became of the file, ok or rejected with the error."""

    id: str
    name: str
    size_bytes: int
    modified: str  # when the sender says that its file was changed last: tells one version from another
    options: Mapping[str, bool]
    state: str = OPEN
    error: str = ""
    offset_bytes: int = 0
    touched_at: float = 0.0

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.touched_at + LIFE_S, UTC)


# -- Beginning and finding -----------------------------------------------------------------------


def start_upload(data: Data, *, name: str, size_bytes: int, modified: str, options: Mapping[str, bool]) -> Upload:
    """Begin an upload; a name that cannot be kept is refused before any byte is sent, and stays as a rejected row.

    Raises:
        Conflict: the data takes no more files, or has too many uploads that are not finished.
        UserError: the name or the size cannot be taken.
    """
    check_open(data)
    _check_size(size_bytes)
    try:
        name = checked_name(name)
    except NameRefused as error:
        refuse_file(data, name, size_bytes, error.message)
        raise UserError(error.message, reason="invalid_name", field="name") from error
    folder = _folder(data.pk)
    folder.mkdir(mode=0o700, exist_ok=True)
    if len(list(folder.glob("*.part"))) >= MAX_OPEN:
        raise Conflict(
            _(
                "“%(name)s” has %(most)d uploads that are not finished, the most there can be. "
                "Finish or discard some of them first.",
                name=data.name,
                most=MAX_OPEN,
            ),
            reason="too_many_uploads",
        )
    upload = Upload(str(uuid.uuid4()), name, size_bytes, modified, dict(options))
    _part(data, upload.id).touch(mode=0o600, exist_ok=False)
    _write_record(data, upload)
    return find_upload(data, upload.id)


def find_upload(data: Data, upload_id: str) -> Upload:
    """The upload as it stands. One whose bytes are all there is finished by this, if a process died over that."""
    upload = _read(data, upload_id)
    return finish(data, upload) if upload.state == OPEN and upload.offset_bytes == upload.size_bytes else upload


def unfinished(data: Data) -> list[Upload]:
    """The uploads that wait for bytes, oldest first."""
    found = []
    for part in _folder(data.pk).glob("*.part"):
        with suppress(UserError):  # one that was just discarded, or not begun before its process died
            found.append(find_upload(data, part.stem))
    return sorted((upload for upload in found if upload.state == OPEN), key=lambda upload: upload.touched_at)


def refuse_unfinished(data: Data) -> None:
    """Raise Conflict when an upload still waits for bytes, naming it."""
    if not (waiting := unfinished(data)):
        return
    names = [f"{upload.name} ({upload.offset_bytes * 100 // upload.size_bytes} %)" for upload in waiting]
    shown = ", ".join(names[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")
    raise Conflict(
        _(
            "Not every file has arrived whole: %(names)s. Go on with these uploads or discard them, then commit.",
            names=shown,
        ),
        reason="unfinished_uploads",
        details={"uploads": [{"id": upload.id, "name": upload.name} for upload in waiting]},
    )


# -- Bytes ---------------------------------------------------------------------------------------


def append(data: Data, upload: Upload, request: HttpRequest, *, offset_bytes: int, length_bytes: int) -> Upload:
    """Take the body of a request as the bytes after `offset_bytes`. What has arrived stays when the body breaks off.

    Each block is written under a lock and only where the part ends, so two who send the same upload do it no harm: one
    of them hears that the offset has moved on.

    Raises:
        Conflict: the data takes no more files, or the offset is not where the part ends.
        UserError: the body is longer than the file, breaks off, or there is no room for it.
    """
    check_open(data)
    if upload.offset_bytes != offset_bytes:
        raise _moved_on(upload.offset_bytes, offset_bytes)
    if offset_bytes + length_bytes > upload.size_bytes:
        raise UserError(
            _(
                "The file has %(size)d bytes; received %(length)d after the first %(offset)d.",
                size=upload.size_bytes,
                length=length_bytes,
                offset=offset_bytes,
            ),
            reason="beyond_the_length",
        )
    end = offset_bytes
    with _opened(data, upload.id) as part:
        if part is None:
            raise _gone()
        for block in _blocks(request, length_bytes):
            with _locked(part):
                _write(part, block, end)
            end += len(block)
    if end < offset_bytes + length_bytes:
        raise UserError(
            _("The upload broke off after %(offset)d bytes, which are kept. Go on from there.", offset=end),
            reason="interrupted",
            details={"offset_bytes": end},
        )
    return finish(data, upload) if end == upload.size_bytes else _read(data, upload.id)


def _blocks(request: HttpRequest, length_bytes: int) -> Iterator[bytes]:
    """The body in blocks; ends early where the sender does."""
    left = length_bytes
    try:
        while left and (block := request.read(min(_BLOCK_BYTES, left))):
            left -= len(block)
            yield block
    except UnreadablePostError:
        return


def _write(part: int, block: bytes, at: int) -> None:
    status = os.fstat(part)
    if status.st_nlink == 0:
        raise _gone()
    if status.st_size != at:
        raise _moved_on(status.st_size, at)
    view = memoryview(block)
    try:
        while view:
            written = os.pwrite(part, view, at)
            view, at = view[written:], at + written
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_room() from error


def finish(data: Data, upload: Upload) -> Upload:
    """Keep the file whose bytes are all there. May be called again after a kill at any moment, and by several at once.

    Raises:
        Conflict: the data takes no more files.
    """
    with _opened(data, upload.id) as part:
        if part is not None:  # else another has just finished it
            with _locked(part):
                _keep_whole(data, _read(data, upload.id), part)
    return _read(data, upload.id)


def _keep_whole(data: Data, upload: Upload, part: int) -> None:
    if upload.state != OPEN:
        return
    with open(part, "rb", closefd=False) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # The workspace takes a second name of the bytes: the part stays until their row is written.
    whole = _part(data, upload.id).with_suffix(".whole")
    whole.unlink(missing_ok=True)
    os.link(_part(data, upload.id), whole)
    kept = keep_file(data, upload.name, ReceivedFile(whole, upload.size_bytes, sha256), upload.options)
    _write_record(data, replace(upload, name=kept.name, state=kept.state, error=kept.error))
    whole.unlink(missing_ok=True)
    _part(data, upload.id).unlink(missing_ok=True)


# -- Ending --------------------------------------------------------------------------------------


def discard(data: Data, upload: Upload) -> None:
    """Forget an upload and its bytes; a file that was kept stays."""
    _part(data, upload.id).unlink(missing_ok=True)
    _record(data, upload.id).unlink(missing_ok=True)


def forget(data_pk: int) -> None:
    """Delete all uploads of a data."""
    shutil.rmtree(_folder(data_pk), ignore_errors=True)


def sweep() -> None:
    """Delete the uploads that nobody went on with for a week, and those of data that take no more files."""
    now = time.time()
    folders = {int(folder.name.removeprefix(_PREFIX)): folder for folder in _incoming().glob(f"{_PREFIX}*")}
    uploading = Data.everything.filter(pk__in=folders, status=Status.UPLOADING).values_list("pk", flat=True)
    for data_pk in set(folders) - set(uploading):
        forget(data_pk)
    for folder in folders.values():
        if not folder.exists() or now - folder.stat().st_mtime < _YOUNG_S:  # RACE: one may be beginning there
            continue
        touched: dict[str, float] = {}
        for path in folder.iterdir():
            touched[path.stem] = max(touched.get(path.stem, 0.0), path.stat().st_mtime)
        for stem in [stem for stem, at in touched.items() if now - at > LIFE_S]:
            for path in folder.glob(f"{stem}.*"):
                path.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


# -- Files ---------------------------------------------------------------------------------------


def _incoming() -> Path:
    return Path(settings.DLM_INCOMING)


def _folder(data_pk: int) -> Path:
    return _incoming() / f"{_PREFIX}{data_pk}"


def _part(data: Data, upload_id: str) -> Path:
    return _folder(data.pk) / f"{upload_id}.part"


def _record(data: Data, upload_id: str) -> Path:
    return _folder(data.pk) / f"{upload_id}.json"


def _write_record(data: Data, upload: Upload) -> None:
    values = asdict(upload) | {"error": sentences.to_json(upload.error)}
    beside = _record(data, upload.id).with_suffix(".new")
    beside.write_text(json.dumps(values))
    os.replace(beside, _record(data, upload.id))


def _read(data: Data, upload_id: str) -> Upload:
    """The upload as it is now."""
    for _attempt in range(2):  # RACE: the part goes after its record was written; then the record is read again
        try:
            values = json.loads(_record(data, upload_id).read_text())
            is_open = values["state"] == OPEN
            status = (_part if is_open else _record)(data, upload_id).stat()
        except FileNotFoundError:
            continue
        values["error"] = sentences.from_json(values["error"])
        values["offset_bytes"] = status.st_size if is_open else values["size_bytes"]
        return Upload(**values | {"touched_at": status.st_mtime})
    raise _gone()


@contextmanager
def _opened(data: Data, upload_id: str) -> Iterator[int | None]:
    """The part's descriptor; None where there is none any more."""
    try:
        part = os.open(_part(data, upload_id), os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        yield part
    finally:
        os.close(part)


@contextmanager
def _locked(part: int) -> Iterator[None]:
    fcntl.flock(part, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(part, fcntl.LOCK_UN)


# -- Refusals ------------------------------------------------------------------------------------


def _check_size(size_bytes: int) -> None:
    if size_bytes > settings.DLM_UPLOAD_MAX_BYTES:
        raise UserError(
            _(
                "A file has at most %(gib)s GiB here; this one has %(size)s GiB. "
                "Split it, or unpack it if it is an archive.",
                gib=f"{settings.DLM_UPLOAD_MAX_BYTES / 2**30:g}",
                size=f"{size_bytes / 2**30:.1f}",
            ),
            reason="upload_too_large",
            status=413,
        )
    if shutil.disk_usage(_incoming()).free < size_bytes + _RESERVE_BYTES:
        raise _no_room()


def _no_room() -> UserError:
    return UserError(
        _("The server's disk has no room for this file. Delete what is not needed any more, or ask the operator."),
        reason="disk_full",
        status=507,
    )


def _gone() -> UserError:
    return UserError(
        _("There is no such upload: it was discarded or has expired. Begin a new one."), reason="not_found", status=404
    )


def _moved_on(is_at: int, received: int) -> Conflict:
    return Conflict(
        _("The upload is at byte %(offset)d; received bytes from %(received)d.", offset=is_at, received=received),
        reason="offset_mismatch",
        details={"offset_bytes": is_at},
    )
