"""The list of files that preprocessing is given: what the site knows of each, and where it can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from datasets.preprocessing.operation import SelectionOperation
from datasets.preprocessing.plan import Plan
from datasets.preprocessing.registry import OPERATIONS, StepError, validate_steps
from datasets.preprocessing.selecting import select
from datasets.preprocessing.selection import Files, SelectionError
from dlmodeler_site.storage import workspace

if TYPE_CHECKING:
    from datasets.models import Data

_BATCH = 2000
_COLUMNS = (
    *("id", "name", "label", "sha256", "fingerprint", "content", "size_bytes"),
    *("width", "height", "mode", "format", "has_thumbnail"),
)


def files_to_preprocess(source: Data, steps: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each sound file; its local `path` only where the steps read it."""
    rows = _sound_files(source, *_COLUMNS)
    if not are_files_read(steps):
        yield from rows
        return
    are_read = _are_kept(source, steps) if workspace().is_remote else repeat(object=True)
    while batch := list(islice(rows, _BATCH)):
        to_read = [row for row, is_read in zip(batch, are_read, strict=False) if is_read]
        keys = [(f"{source.files_key}/{row['name']}", row["sha256"]) for row in to_read]
        for row, path in zip(to_read, workspace().local_paths(keys), strict=True):
            row["path"] = str(path)
        yield from batch


def _are_kept(source: Data, steps: Sequence[dict[str, Any]]) -> Iterator[bool]:
    """For each sound file whether the selections leave it: what they drop need not be fetched."""
    try:
        selections = Plan.of(validate_steps(list(steps))).selections
        if not selections:
            return repeat(object=True)
        files = Files.read(
            _sound_files(source, "name", "label", "sha256", "fingerprint"), rejected_count=source.rejected_count
        )
        select(files, selections)
    except (SelectionError, StepError):  # the run says why, before it reads any file
        return repeat(object=False)
    return map(bool, files.kept)


def _sound_files(source: Data, *columns: str) -> Iterator[dict[str, Any]]:
    from datasets.models import File

    return source.files.filter(state=File.State.OK).order_by("pk").values(*columns).iterator(chunk_size=_BATCH)


def are_files_read(steps: Sequence[dict[str, Any]]) -> bool:
    """Whether any step looks into files; selections go by what the site knows of them."""
    return any(not isinstance(OPERATIONS.get(step["op"]), SelectionOperation) for step in steps)
