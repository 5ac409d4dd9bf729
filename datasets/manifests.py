"""The list of files that preprocessing is given: what the site knows of each, and where it can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from datasets.preprocessing.operation import SelectionOperation
from datasets.preprocessing.registry import OPERATIONS
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
    from datasets.models import File

    rows = source.files.filter(state=File.State.OK).order_by("pk").values(*_COLUMNS).iterator(chunk_size=_BATCH)
    if not are_files_read(steps):
        yield from rows
        return
    while batch := list(islice(rows, _BATCH)):
        keys = [(f"{source.files_key}/{row['name']}", row["sha256"]) for row in batch]
        for row, path in zip(batch, workspace().local_paths(keys), strict=True):
            yield {**row, "path": str(path)}


def are_files_read(steps: Sequence[dict[str, Any]]) -> bool:
    """Whether any step looks into files; selections go by what the site knows of them."""
    return any(not isinstance(OPERATIONS.get(step["op"]), SelectionOperation) for step in steps)
