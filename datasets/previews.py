"""Shows what steps would do to one image, and the first rows of a table; nothing is stored."""

import threading
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.utils.translation import gettext as _

from datasets.inspection.tables import TableError, read_rows
from datasets.models import Data, File
from datasets.preprocessing.operation import Step
from datasets.samples import random_files
from datasets.selections import COMPARING, Selected, selected
from datasets.versions import checked_steps
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.sentences import joined
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status

MAX_PIXELS = 25_000_000
# Comparing each file with each takes seconds beyond this; it is left to the run.
MAX_COUNTED = 30_000
TABLE_ROWS = 20
TABLE_COLUMNS = 30
# Several large images decoded at once would fill the web process's memory.
_slots = threading.BoundedSemaphore(2)


def preview_image(data: Data, *, steps: Any, file_id: int | None = None) -> tuple[bytes, str]:
    """The result of the steps on one image of the data (a random one if none is named), and its MIME type.

    Where the steps make several images of one, it is the first that differs from the others.
    """
    from datasets.preprocessing.pipeline import PREVIEW_TYPE

    file = previewed_file(data, file_id)
    return preview_images(data, file, checked_steps(steps), most=2)[-1], PREVIEW_TYPE


def preview_images(data: Data, file: File, steps: Sequence[Step], *, most: int) -> list[bytes]:
    """At most this many results of the steps on one image: itself, then what else is made of it."""
    from datasets.inspection.images import ImageError
    from datasets.preprocessing.pipeline import previews

    for step in steps:
        if step.values.get("width", 1) * step.values.get("height", 1) > MAX_PIXELS:
            raise _too_large()
    if (file.width or 0) * (file.height or 0) > MAX_PIXELS:
        raise _too_large()
    try:
        with _slots:
            return previews(workspace().local_path(file.key_in(data), file.sha256), steps, name=file.name, most=most)
    except ImageError as error:
        raise UserError(joined(": ", (file.name, error.message)), reason=error.reason, field="file") from error


def preview_selection(data: Data, steps: Sequence[Step]) -> Selected:
    """How many files the steps would leave, and what each does."""
    _check_completed(data)
    if data.file_count > MAX_COUNTED and any(step.op in COMPARING for step in steps):
        raise UserError(
            _("What looks alike among more than %(most)s files is counted when the steps run.") % {"most": MAX_COUNTED},
            reason="too_many_to_count",
            field="steps",
        )
    with _slots:
        return selected(data, steps)


def previewed_file(data: Data, file_id: int | None = None) -> File:
    """The named image of the data, or a random one."""
    _check_completed(data)
    images = data.files.filter(state=File.State.OK, content=Data.Content.IMAGE)
    found = images.filter(pk=file_id)[:1] if file_id is not None else random_files(data, content=Data.Content.IMAGE)
    if not found:
        message = (
            _("“%(name)s” has no image; a preview is made of images only.")
            if file_id is None
            else _("“%(name)s” has no image with this id. List its files to see which it has.")
        )
        raise UserError(message % {"name": data.name}, reason="no_image", field="file")
    return found[0]


def first_rows(data: Data, file: File) -> list[list[str]]:
    """The first rows of a table, none where it cannot be read."""
    try:
        path = workspace().local_path(file.key_in(data), file.sha256)
        return [row[:TABLE_COLUMNS] for _line, row in islice(read_rows(path), TABLE_ROWS)]
    except (TableError, OSError):
        return []


def _check_completed(data: Data) -> None:
    if data.status != Status.COMPLETED:
        raise Conflict(
            _("“%(name)s” is %(status)s; a preview needs a completed data.")
            % {"name": data.name, "status": data.get_status_display().lower()},
            reason="not_completed",
        )


def _too_large() -> UserError:
    return UserError(
        _("The image is too large for a preview: at most %(limit)s million pixels, before and after the steps.")
        % {"limit": MAX_PIXELS // 1_000_000},
        reason="preview_too_large",
    )
