"""From file to files: the original is read once; results, hashes and thumbnails are made from that."""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datasets.inspection.cpu_limit import cpu_limit
from datasets.inspection.looks import Glance, Look, glance_at, looks_of
from datasets.inspection.thumbnails import write_thumbnail
from datasets.preprocessing.decoding import read_original
from datasets.preprocessing.pipeline import results
from datasets.preprocessing.plan import Plan

# Up to this size a file is read at once for its decoder.
_IN_MEMORY_BYTES = 32 << 20
# A result this small that fits the thumbnail's box is its own thumbnail.
_OWN_THUMBNAIL_BYTES = 64 << 10


@dataclass(frozen=True)
class Places:
    """Where results go: `output/files/<name>` and `output/thumbnails/<stem>.jpg` in the run folder.

    Paths are texts here: for a small photo, making a `Path` costs a tenth of what encoding it does.
    """

    run: str
    thumbnail_px: int = 256

    def __post_init__(self) -> None:
        for name in ("files", "thumbnails"):
            os.makedirs(f"{self.run}/output/{name}", exist_ok=True)


class Made(NamedTuple):
    """The row of a file for the output manifest, and, where its pixels were seen, a glance or already its look."""

    row: dict[str, Any]
    glance: Glance | None = None
    look: Look | None = None


def with_looks(made: Sequence[Made]) -> Iterator[Made]:
    """The same, with looks and fingerprints in place of the glances."""
    looks = iter(looks_of([each.glance for each in made if each.glance is not None]))
    for each in made:
        if each.glance is None:
            yield each
        else:
            look = next(looks)
            yield Made({**each.row, "fingerprint": look.fingerprint}, look=look)


def process_file(
    source: str, name: str, plan: Plan, places: Places, *, stem: str, decode_seconds: float | None = None
) -> Iterator[Made]:
    """Write what the plan makes of the image at `source`, known as `name`, in its format; yield the row of each,
    still without fingerprint.

    The image itself is left out where the plan keeps originals. A thumbnail is called after `stem` and its copy, or is
    the result itself, where that is small enough. An image that takes more than `decode_seconds` of CPU time to be
    decoded ends this process.

    Raises:
        ImageError: the source is no sound image, or its format cannot be written.
    """
    with cpu_limit(decode_seconds):
        original = read_original(_content(source))
    for copy, image in enumerate(results(original.upright, plan, name)):
        if copy == 0 and plan.keeps_originals:
            continue
        buffer = io.BytesIO()
        image_format = original.saver.save(image, buffer)
        content = buffer.getbuffer()
        result_name = copy_name(name, copy)
        file, thumbnail = f"output/files/{result_name}", None
        _write(f"{places.run}/{file}", content)
        is_small = max(image.size) <= places.thumbnail_px and len(content) <= _OWN_THUMBNAIL_BYTES
        is_plain = image_format == "JPEG" and image.mode in ("L", "RGB") and not original.saver.has_exif
        is_thumbnail = is_small and is_plain
        if is_thumbnail:
            glance = glance_at(image)
        else:
            thumbnail = f"output/thumbnails/{copy_name(stem, copy)}.jpg"
            glance = write_thumbnail(image, Path(places.run, thumbnail), box_px=places.thumbnail_px)
        row = {
            "name": result_name,
            "state": "ok",
            "error": "",
            "reason": "",
            "content": "image",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "format": image_format,
            "file": file,
            "thumbnail": thumbnail,
            "is_thumbnail": is_thumbnail,
        }
        yield Made(row, glance)


def copy_name(name: str, copy: int) -> str:
    """The name of a variant: `a/b~2.jpg` is the second of `a/b.jpg`."""
    if copy == 0:
        return name
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}~{copy}{path.suffix}"))


def _content(source: str) -> bytes | Path:
    with open(source, "rb") as file:
        return file.read() if os.fstat(file.fileno()).st_size <= _IN_MEMORY_BYTES else Path(source)


def _write(path: str, content: memoryview) -> None:
    try:
        file = open(path, "wb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = open(path, "wb")
    with file:
        file.write(content)
