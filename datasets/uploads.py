"""Taking files into a data that is still being uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from datasets.incoming import ReceivedFile, request_folder, write_file
from datasets.inspection.archives import ArchiveRefused, Limits, archive_kind, survey
from datasets.inspection.names import MAX_NAME_BYTES, NameRefused, check_name, last_folder
from datasets.models import Data, File
from datasets.multipart import CHUNK_BYTES, Interrupted, MultipartError, Part, read_parts
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.storage import Put, workspace
from dlmodeler_site.work.models import Status

_BATCH_FILES = 100
_BATCH_BYTES = 64 << 20
_MAX_FIELD_BYTES = 8 << 10
_OVERHEAD_BYTES = 16 << 20  # of multipart headers and paths, beside the files' own bytes
_IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)
_OPTIONS = ("unzip", "labels_from_folders")


@dataclass(frozen=True)
class UploadedFile:
    """What became of one file of a request: taken ("ok", inspected after the commit) or refused with the reason."""

    name: str
    state: str
    error: str = ""


@dataclass
class _Form:
    """A request's fields, read in order."""

    files: list[tuple[str, ReceivedFile]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    options: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    name: str
    received: ReceivedFile
    label: str = ""
    error: str = ""
    is_archive: bool = False
    labelled_by_folder: bool = False


def receive_files(data: Data, request: HttpRequest) -> list[UploadedFile]:
    """Stream the files of a multipart request into the data; answers one entry for each, in order.

    A file whose name cannot be kept is refused, stays as a rejected row, and leaves the others unharmed; so is, with
    `unzip`, what is no archive that can be unpacked. The same name again replaces. Nothing of a request that breaks off
    or is refused as a whole is kept.

    Raises:
        Conflict: the data takes no more files.
        UserError: the request is no multipart upload, breaks off, or is beyond the limits.
    """
    check_open(data)
    _check_length(request)
    with request_folder() as folder:
        form = _read_form(request, folder)
        files = list(_named(form))
        latest = {file.name: file for file in files}
        errors: dict[str, str] = {}
        for batch in _batches(list(latest.values())):
            errors |= _keep(data, batch)
    return [_answer(file.name, file.error or errors.get(file.name, "")) for file in files]


def keep_file(data: Data, name: str, received: ReceivedFile, options: Mapping[str, bool]) -> UploadedFile:
    """Take one file that has arrived whole, by the same rules as the files of a request.

    Raises:
        Conflict: the data takes no more files.
    """
    (file,) = _named(_Form([(name, received)], options=dict(options)))
    errors = _keep(data, [file])
    return _answer(file.name, file.error or errors.get(file.name, ""))


def refuse_file(data: Data, name: str, size_bytes: int, error: str) -> UploadedFile:
    """Note a file that was refused before its bytes were sent."""
    name = _shown(name)
    _keep(data, [_File(name, ReceivedFile(Path(), size_bytes, ""), error=error)])
    return _answer(name, error)


def _answer(name: str, error: str) -> UploadedFile:
    return UploadedFile(name, "rejected" if error else "ok", error)


def skip_body(request: HttpRequest) -> None:
    """Read what is left of a refused request: who still sends would see a broken connection, not the answer."""
    if _length(request) > settings.DLM_UPLOAD_MAX_BYTES + _OVERHEAD_BYTES:
        return
    try:
        while request.read(CHUNK_BYTES):
            pass
    except UnreadablePostError:
        pass


def check_open(data: Data, status: str | None = None) -> None:
    """Raise Conflict when the data, or the status that was read later, takes no more files."""
    status = status or data.status
    if status != Status.UPLOADING:
        raise Conflict(
            _(
                "“%(name)s” takes no more files: it is %(status)s. Files can be added only before the commit; "
                "make a new data.",
                name=data.name,
                status=Status(status).label.lower(),
            ),
            reason="not_uploading",
        )


def _length(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdigit() else 0


def _check_length(request: HttpRequest) -> None:
    if _length(request) == 0:
        raise UserError(
            _("The request has no body, or no Content-Length header. Send the files as multipart/form-data."),
            reason="length_required",
        )
    if _length(request) > settings.DLM_UPLOAD_MAX_BYTES + _OVERHEAD_BYTES:
        raise _too_large()


def _too_large() -> UserError:
    gib = f"{settings.DLM_UPLOAD_MAX_BYTES / 2**30:g}"
    return UserError(
        _(
            "One call takes at most %(gib)s GiB. Send the files in several calls; any number of calls is taken.",
            gib=gib,
        ),
        reason="upload_too_large",
        status=413,
        field="files",
    )


# -- Reading -------------------------------------------------------------------------------------


def _read_form(request: HttpRequest, folder: Path) -> _Form:
    form = _Form()
    size = 0
    try:
        for part in read_parts(request, request.META.get("CONTENT_TYPE", "")):
            if part.field == "files":
                _check_count(len(form.files) + 1)
                received = write_file(folder / str(len(form.files)), part.chunks())
                size += received.size_bytes
                if size > settings.DLM_UPLOAD_MAX_BYTES:
                    raise _too_large()
                form.files.append((part.filename or "", received))
            else:
                _read_field(form, part)
    except MultipartError as error:
        raise UserError(
            _("The upload cannot be read: %(error)s", error=error.message), reason="invalid_multipart"
        ) from error
    except (Interrupted, UnreadablePostError) as error:
        raise UserError(
            _("The upload broke off before its end; nothing of it was kept. Send it again."), reason="interrupted"
        ) from error
    if not form.files:
        raise UserError(
            _("There is no file in this request. Send at least one in the multipart field “files”."),
            reason="no_files",
            field="files",
        )
    return form


def _read_field(form: _Form, part: Part) -> None:
    if part.filename is not None:
        raise UserError(
            _("Files belong into the field “files”; received one in “%(field)s”.", field=part.field),
            reason="unknown_field",
            field="files",
        )
    text = part.text(max_bytes=_MAX_FIELD_BYTES)
    if part.field == "paths":
        _check_count(len(form.paths) + 1)
        form.paths.append(text)
    elif part.field in _OPTIONS:
        if text.lower() not in ("true", "false", "1", "0", "on", "off", ""):
            raise UserError(
                _("%(field)s is true or false; received “%(text)s”.", field=part.field, text=text[:50]),
                reason="invalid",
                field=part.field,
            )
        form.options[part.field] = text.lower() in ("true", "1", "on")


def _check_count(number: int) -> None:
    if number > settings.DATA_UPLOAD_MAX_NUMBER_FILES:
        raise UserError(
            _(
                "One call takes at most %(limit)s files. Send them in several calls; any number of calls is taken.",
                limit=settings.DATA_UPLOAD_MAX_NUMBER_FILES,
            ),
            reason="too_many_files",
            status=413,
            field="files",
        )


def _named(form: _Form) -> Iterator[_File]:
    """Every file under the name that it will have, or with the reason why it cannot have it."""
    if form.paths and len(form.paths) != len(form.files):
        raise UserError(
            _(
                "Expected one “paths” beside each file, or none; received %(paths)s for %(files)s files.",
                paths=len(form.paths),
                files=len(form.files),
            ),
            reason="paths_mismatch",
            field="paths",
        )
    taken: set[str] = set()
    folders: set[str] = set()
    for number, (filename, received) in enumerate(form.files):
        given = (form.paths[number] if form.paths else "") or filename
        try:
            name = checked_name(given)
            parents = [str(parent) for parent in PurePosixPath(name).parents][:-1]
            if name in folders or not taken.isdisjoint(parents):
                raise NameRefused(_in_the_way())
        except NameRefused as error:
            yield _File(_shown(given), received, error=error.message)
            continue
        taken.add(name)
        folders.update(parents)
        is_labelled = bool(form.options.get("labels_from_folders"))
        if form.options.get("unzip"):
            refusal = _refused_archive(received.path)
            yield _File(name, received, error=refusal, is_archive=not refusal, labelled_by_folder=is_labelled)
        else:
            yield _File(name, received, label=last_folder(name) if is_labelled else "")


def _refused_archive(path: Path) -> str:
    """Why the file is not unpacked, as far as that can be told at once; "" where nothing is against it."""
    try:
        if archive_kind(path) != "tar":  # which would have to be read to its end: the inspection does that
            survey(path, Limits(entries=settings.DLM_ARCHIVE_MAX_ENTRIES))
    except ArchiveRefused as refused:
        return refused.message
    return ""


def checked_name(given: str) -> str:
    """The name that a file sent as `given` will have. Raises NameRefused."""
    name = check_name(given)
    if "\ufffd" in name:
        raise NameRefused(_("The file name is not valid UTF-8 text; rename the file."))
    return name


def _shown(name: str) -> str:
    """A name that was refused, as it can be stored and shown."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in name)
    return text.encode("utf-8", "replace")[:MAX_NAME_BYTES].decode("utf-8", "ignore")


def _in_the_way() -> str:
    return _("A file and a folder have the same name here; rename one of them.")


# -- Keeping -------------------------------------------------------------------------------------


def _batches(files: list[_File]) -> Iterator[list[_File]]:
    batch: list[_File] = []
    size = 0
    for file in files:
        if batch and (len(batch) == _BATCH_FILES or size + file.received.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.received.size_bytes
    if batch:
        yield batch


def _keep(data: Data, batch: list[_File]) -> dict[str, str]:
    """Put the bytes in place and write the rows; answers the errors of those that have no place."""
    puts = {file.name: Put(_key(data, file), file.received.path, file.received.sha256) for file in batch}
    with workspace().ahead(puts[file.name] for file in batch if not file.error) as ahead, transaction.atomic():
        # RACE: a commit must come before or after, never between the bytes and the rows.
        status = Data.objects.select_for_update().filter(pk=data.pk).values_list("status", flat=True).first()
        check_open(data, status or Status.CANCELLED)
        stored = data.files.named(file.name for file in batch).exclude(sha256="")
        stored_keys = {file.name: file.key_in(data) for file in stored}
        blocked = {puts[name].key for name in _blocked_by_files(data, batch)}
        blocked |= _put([put for put in ahead if put.key not in blocked])
        errors = {file.name: _in_the_way() for file in batch if not file.error and puts[file.name].key in blocked}
        File.objects.bulk_create(
            [_row(data, file, file.error or errors.get(file.name, "")) for file in batch],
            update_conflicts=True,
            unique_fields=["data", "name"],
            update_fields=["state", "error", "size_bytes", "sha256", "label", "source", "labelled_by_folder"],
        )
        replaced = [file for file in batch if file.error or puts[file.name].key != stored_keys.get(file.name)]
        workspace().delete_files(stored_keys[file.name] for file in replaced if file.name in stored_keys)
    return errors


def _key(data: Data, file: _File) -> str:
    return f"{data.archives_key if file.is_archive else data.files_key}/{file.name}"


def _blocked_by_files(data: Data, batch: list[_File]) -> set[str]:
    """The names whose folders are files of the data already."""
    parents = {file.name: [str(parent) for parent in PurePosixPath(file.name).parents][:-1] for file in batch}
    folders = {parent for each in parents.values() for parent in each}
    if not folders:
        return set()
    in_place = data.files.named(folders).exclude(sha256="").exclude(source=File.Source.ARCHIVE)
    files = set(in_place.values_list("name", flat=True))
    return {name for name, each in parents.items() if not files.isdisjoint(each)}


def _put(puts: list[Put]) -> set[str]:
    """Move the bytes to their places; answers the keys that a folder or file of that name is in the way of."""
    try:
        workspace().put_files(puts)
        return set()
    except _IN_THE_WAY:
        pass
    blocked = set()
    for put in puts:
        try:
            if put.source.exists():  # else it was put before the one that could not be
                workspace().put_files([put])
        except _IN_THE_WAY:
            blocked.add(put.key)
    return blocked


def _row(data: Data, file: _File, error: str) -> File:
    row = File(data=data, name=file.name, size_bytes=file.received.size_bytes)
    if error:
        row.state, row.error = File.State.REJECTED, error
    else:
        row.sha256, row.label = file.received.sha256, file.label
        if file.is_archive:
            row.source, row.labelled_by_folder = File.Source.ARCHIVE, file.labelled_by_folder
    return row
