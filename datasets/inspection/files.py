"""What a file is (image, table or text) and whether it is sound."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from datasets.inspection.columns import profile_table
from datasets.inspection.cpu_limit import cpu_limit
from datasets.inspection.images import ImageError, load_image, looks_like_text, orientation, signature_format
from datasets.inspection.looks import Glance, Look, glance_at, looks_of
from datasets.inspection.tables import TableError, text_encoding
from datasets.inspection.thumbnails import is_its_own, shrink, write_thumbnail
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".avifs",
        ".jp2",
        ".j2k",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".ico",
        ".qoi",
        ".pcx",
        ".sgi",
        ".rgb",
        ".rgba",
        ".bw",
        ".ras",
        ".psd",
        ".dds",
        ".icns",
        ".tga",
    ]
)
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})

_HEAD_BYTES = 4096
# Up to this size a file is read once, for its hash and its decoder; a larger one is streamed twice.
_IN_MEMORY_BYTES = 32 << 20


@dataclass(frozen=True)
class FileReport:
    """What inspection found. Width and height in pixels are those of the upright image (EXIF orientation applied)."""

    state: str  # "ok" or "rejected"
    error: str
    reason: str
    content: str  # "image", "table", "text", or "" where a rejected file is none of them
    sha256: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    mode: str = ""
    format: str = ""
    thumbnail: Path | None = None
    is_thumbnail: bool = False  # the file itself
    glance: Glance | None = None  # at an image
    look: Look | None = None  # of an image, once its glance was looked into (`with_looks`)
    table: dict[str, Any] | None = None  # the profile of a table's columns

    def as_row(self, *, run_folder: Path) -> dict[str, Any]:
        """The fields of an output manifest: the thumbnail's path relative to the run folder, the error as JSON."""
        fields = {name: value for name, value in self.__dict__.items() if name not in ("glance", "look", "table")}
        fields["thumbnail"] = self.thumbnail.relative_to(run_folder).as_posix() if self.thumbnail else None
        fields["fingerprint"] = self.look.fingerprint if self.look else ""
        return {**fields, "error": to_json(self.error)}


def inspect_file(
    path: Path, name: str, thumbnail: Path | None, *, thumbnail_px: int = 256, decode_seconds: float | None = None
) -> FileReport:
    """Tell what the file at `path`, known to the user as `name`, is; write its thumbnail if it is an image and no
    thumbnail already.

    An image is what has an image's suffix or signature and must decode to its last byte; a table is a .csv or .tsv and
    must parse; anything else must be UTF-8 text. Memory is bounded whatever the size of the file. An image that takes
    more than `decode_seconds` of CPU time ends this process.
    """
    size_bytes = path.stat().st_size
    suffix = PurePosixPath(name).suffix.lower()
    source: Path | bytes = path.read_bytes() if size_bytes <= _IN_MEMORY_BYTES else path
    found = FileReport("ok", "", "", "", _sha256(source), size_bytes)
    if size_bytes == 0:
        return _rejected(found, _("The file is empty."), "empty_file")
    head = source[:_HEAD_BYTES] if isinstance(source, bytes) else _read_head(source)
    try:
        if suffix in IMAGE_SUFFIXES or signature_format(head) is not None:
            found = replace(found, content="image")
            with cpu_limit(decode_seconds):
                return _inspect_image(found, source, thumbnail, thumbnail_px)
        if suffix in TABLE_SUFFIXES:
            found = replace(found, content="table")
            return _inspect_table(found, path)
    except ImageError as error:
        message = error.message
        if error.reason == "not_an_image" and looks_like_text(head):
            message = _("This is text, not an image, although its name ends in %(suffix)s.", suffix=suffix)
        return _rejected(found, message, error.reason)
    except TableError as error:
        return _rejected(found, error.message, error.reason)
    if looks_like_text(head) and text_encoding(path, candidates=("utf-8",)) is not None:
        return replace(found, content="text", format="TEXT")
    return _rejected(found, _("This is not an image, a table or text."), "unknown_content")


def with_looks(reports: Sequence[FileReport]) -> list[FileReport]:
    """The reports, with how their images look in place of the glances."""
    glances = [report.glance for report in reports if report.glance is not None]
    looks = iter(looks_of(glances))
    return [report if report.glance is None else replace(report, glance=None, look=next(looks)) for report in reports]


def _inspect_image(found: FileReport, source: Path | bytes, thumbnail: Path | None, thumbnail_px: int) -> FileReport:
    image = load_image(source)
    is_thumbnail = is_its_own(image, found.size_bytes, box_px=thumbnail_px)
    if is_thumbnail or thumbnail is None:
        thumbnail = None
        glance = glance_at(shrink(image, thumbnail_px), orientation(image))
    else:
        glance = write_thumbnail(image, thumbnail, box_px=thumbnail_px)
    width, height = image.size if orientation(image) < 5 else image.size[::-1]
    return replace(
        found,
        width=width,
        height=height,
        mode=image.mode,
        format=image.format or "",
        thumbnail=thumbnail,
        is_thumbnail=is_thumbnail,
        glance=glance,
    )


def _inspect_table(found: FileReport, path: Path) -> FileReport:
    table = profile_table(path)
    if not table["columns"]:
        return _rejected(found, _("The table is empty: it has no row."), "empty_file")
    return replace(found, format="CSV", table=table)


def _rejected(found: FileReport, message: str, reason: str) -> FileReport:
    return replace(found, state="rejected", error=message, reason=reason)


def _sha256(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
