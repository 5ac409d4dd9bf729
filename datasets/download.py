"""A data as one zip, made while it is sent: its files as they are, and their labels as a csv.

Nothing is compressed (images are already), so the length is known before the first byte, and a browser can tell how
long it will take. What cannot be sent whole breaks off: a zip without its end opens nowhere.
"""

import csv
import io
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import NamedTuple

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from zipstream import ZipStream

from datasets.incoming import limit_silence
from datasets.models import Data, File
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import BLOCK_BYTES, workspace
from dlmodeler_site.work.models import Status

BATCH = 1000
MOST_AT_ONCE = 3  # in each process of the site: all but a few of its threads stay free for pages
MOST_FILES_AT_ONCE = 300_000  # of all downloads together: the list of files at a zip's end takes 0.5 kB for each
LABELS_NAME = "labels.csv"

_ZIP64_LIMIT = (1 << 31) - 1
_ZIP64_COUNT = (1 << 16) - 1


class _Places:
    """The downloads under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: list[int] = []

    def take(self, files: int) -> bool:
        """Whether a download of so many files may begin; `give_back` ends it."""
        with self._lock:
            full = len(self._files) >= MOST_AT_ONCE or sum(self._files, files) > MOST_FILES_AT_ONCE
            if full and self._files:
                return False
            self._files.append(files)
            return True

    def give_back(self, files: int) -> None:
        with self._lock:
            self._files.remove(files)

    @property
    def taken(self) -> int:
        return len(self._files)


places = _Places()


class _Entry(NamedTuple):
    pk: int
    name: str
    size_bytes: int
    label: str


@dataclass(frozen=True)
class _Plan:
    """What the zip holds beside the files, and how long it is."""

    length_bytes: int
    labels_name: str  # "" where no file has a label
    labels_bytes: int


def download_answer(data: Data, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The answer that sends the data's sound files as a zip.

    Raises:
        Conflict: the data is not completed.
        UserError: as many downloads as there may be are under way (503).
    """
    if data.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” is %(status)s; only a completed data can be downloaded.")
            % {"name": data.name, "status": data.get_status_display().lower()},
            reason="not_completed",
        )
    plan = _plan(data)
    headers = {
        "Content-Disposition": content_disposition_header(
            as_attachment=True, filename=f"{data.dataset.slug}-{data.slug}.zip"
        ),
        "Content-Length": str(plan.length_bytes),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip", headers=headers)
    if not places.take(data.file_count):
        raise UserError(
            _("As many downloads as there can be are under way. Try again in a few minutes."), reason="busy", status=503
        )
    limit_silence(request)
    sending = _Sending(_blocks(_zip(data, plan)), data.file_count)
    return StreamingHttpResponse(sending, content_type="application/zip", headers=headers)


class _Sending:
    """Blocks on their way; gives its place back when the answer is closed, begun or not."""

    def __init__(self, blocks: Iterator[bytes], files: int) -> None:
        self._blocks = blocks
        self._files = files
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            places.give_back(self._files)


# -- What is sent --------------------------------------------------------------------------------


def _plan(data: Data) -> _Plan:
    labels_name = _labels_name(data)
    length, labels_bytes = ZipLength(), 0
    for entry in _entries(data):
        length.add(entry.name, entry.size_bytes)
        labels_bytes += len(_label_row(entry)) if labels_name else 0
    if labels_name:
        labels_bytes += len(_LABELS_HEAD)
        length.add(labels_name, labels_bytes)
    return _Plan(length.total_bytes, labels_name, labels_bytes)


def _zip(data: Data, plan: _Plan) -> Iterator[bytes]:
    stream = ZipStream()
    count = 0
    entries, ahead = tee(_entries(data))
    contents = workspace().contents((f"{data.files_key}/{entry.name}", entry.size_bytes) for entry in ahead)
    for entry, blocks in zip(entries, contents, strict=True):
        stream.add(_content(data, entry, blocks), entry.name, size=entry.size_bytes)
        yield from stream.all_files()
        count += 1
    if count != data.file_count:
        raise OSError(f"data {data.pk} has {count} files, not {data.file_count}: it was deleted while it was sent")
    if plan.labels_name:
        rows = (_label_row(entry) for entry in _entries(data))
        stream.add(_joined(_LABELS_HEAD, rows), plan.labels_name, size=plan.labels_bytes)
    yield from stream.finalize()


def _entries(data: Data) -> Iterator[_Entry]:
    """The sound files, read in short queries: one that lasts as long as a slow client would hold up the database."""
    last = 0
    sound = File.objects.filter(data=data.pk, state=File.State.OK).order_by("pk")
    while batch := list(sound.filter(pk__gt=last).values_list("pk", "name", "size_bytes", "label")[:BATCH]):
        yield from map(_Entry._make, batch)
        last = batch[-1][0]


def _content(data: Data, entry: _Entry, blocks: Iterator[bytes]) -> Iterator[bytes]:
    left = entry.size_bytes
    for block in blocks:
        left -= len(block)
        yield block
    if left:
        raise OSError(f"“{entry.name}” of data {data.pk} is not as long as it was: {left} bytes are missing")


# -- Labels --------------------------------------------------------------------------------------

_LABELS_HEAD = b"file,label\r\n"


def _labels_name(data: Data) -> str:
    """A name for the csv of labels that no file or folder of the data has; "" where no file has a label."""
    files = File.objects.filter(data=data.pk, state=File.State.OK)
    if not files.exclude(label="").exists():
        return ""
    name, number = LABELS_NAME, 1
    while files.filter(Q(name__iexact=name) | Q(name__istartswith=f"{name}/")).exists():
        number += 1
        name = LABELS_NAME.replace(".", f"-{number}.")
    return name


def _label_row(entry: _Entry) -> bytes:
    if not entry.label:
        return b""
    line = io.StringIO()
    csv.writer(line).writerow((entry.name, entry.label))
    return line.getvalue().encode()


def _joined(first: bytes, others: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: many small files would be many small packets."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= BLOCK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


# -- Length --------------------------------------------------------------------------------------


class ZipLength:
    """How long a zip of stored files is that zipstream writes, without holding its list of files.

    zipstream's own count of it needs that list, and is wrong for 65,535 files. See APPNOTE.TXT 4.3 for the parts:
    a header and a descriptor around each file, a line of the directory for each, the directory's end.
    """

    def __init__(self) -> None:
        self._count = self._files = self._directory = 0

    def add(self, name: str, size_bytes: int) -> None:
        """One more file, after those that were added before."""
        name_bytes = len(name.encode())
        numbers = 2 * (size_bytes > _ZIP64_LIMIT) + (self._files > _ZIP64_LIMIT)
        self._directory += 46 + name_bytes + (4 + 8 * numbers if numbers else 0)
        is_large = size_bytes * 1.05 > _ZIP64_LIMIT
        self._files += 30 + name_bytes + size_bytes + (20 + 24 if is_large else 16)
        self._count += 1

    @property
    def total_bytes(self) -> int:
        is_large = self._count >= _ZIP64_COUNT or max(self._files, self._directory) > _ZIP64_LIMIT
        return self._files + self._directory + 22 + (56 + 20 if is_large else 0)
