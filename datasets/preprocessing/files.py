"""From file to file: the original is read once; result, hash and thumbnail are made from that."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from datasets.inspection.files import FileReport
from datasets.inspection.images import load_image, orientation, turn
from datasets.inspection.thumbnails import write_thumbnail
from datasets.preprocessing.operation import Step
from datasets.preprocessing.pipeline import apply_steps
from datasets.preprocessing.saving import save_like

# A result this small that fits the thumbnail's box is its own thumbnail.
_OWN_THUMBNAIL_BYTES = 64 << 10


def process_file(
    source: Path, destination: Path, steps: Sequence[Step], *, thumbnail: Path | None = None, thumbnail_px: int = 256
) -> FileReport:
    """Write the result of the steps in the original's format to `destination` (folders are made) and describe it.

    Raises:
        ImageError: the source is no sound image, or its format cannot be written.
    """
    original = load_image(source)
    result = apply_steps(turn(original, orientation(original)), steps)
    buffer = io.BytesIO()
    image_format = save_like(result, original, buffer)
    content = buffer.getbuffer()
    try:
        destination.write_bytes(content)
    except FileNotFoundError:
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(content)
    if thumbnail is not None:
        is_own = image_format == "JPEG" and max(result.size) <= thumbnail_px and len(content) <= _OWN_THUMBNAIL_BYTES
        if is_own and "exif" not in original.info:
            _link_or_write(thumbnail, destination, content)
        else:
            write_thumbnail(result, thumbnail, box_px=thumbnail_px)
    return FileReport(
        state="ok",
        error="",
        reason="",
        content="image",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        width=result.width,
        height=result.height,
        mode=result.mode,
        format=image_format,
        thumbnail=thumbnail,
    )


def _link_or_write(path: Path, same: Path, content: memoryview) -> None:
    """Creating a file costs as much as decoding a small image; another name for one costs a third."""
    try:
        os.link(same, path)
    except OSError:
        path.write_bytes(content)
