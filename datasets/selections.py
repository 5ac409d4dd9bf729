"""What selection steps would do to the files of a data, told before anything is made."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import Count

from datasets.models import Data, File
from datasets.preprocessing import drop_duplicates, split
from datasets.preprocessing.operation import SelectionOperation, Step
from datasets.preprocessing.parameters import FileNames
from datasets.preprocessing.registry import OPERATIONS
from datasets.preprocessing.selecting import select
from datasets.preprocessing.selection import Effect, Files, SelectionError, unknown_names
from dlmodeler_site.errors import UserError

COMPARING = (drop_duplicates.OPERATION.name, split.OPERATION.name)  # what the files are like, not only their labels
_AT_ONCE = 500  # names in one query
_REMEMBERED_S = 3600
_COLUMNS = ("name", "label", "sha256", "fingerprint")


@dataclass(frozen=True)
class Selected:
    """How many files there are, how many are left, and the effect of each selection step (its place, what it did)."""

    count: int
    kept: int
    effects: tuple[tuple[int, Effect], ...]


def selected(data: Data, steps: Sequence[Step]) -> Selected:
    """Try the selection steps on the list of the data's files.

    Remembered for a while: a completed data never changes.

    Raises:
        UserError: a step names files or labels that there are not.
    """
    places = [place for place, step in enumerate(steps) if isinstance(OPERATIONS[step.op], SelectionOperation)]
    if not places:
        return Selected(data.file_count, data.file_count, ())
    asked = json.dumps([data.pk, *(steps[place].as_dict() for place in places)])
    key = f"selected-{hashlib.sha256(asked.encode()).hexdigest()}"
    found: Selected | None = cache.get(key)
    if found is None:
        chosen = [steps[place] for place in places]
        files = _all_files(data) if any(step.op in COMPARING for step in chosen) else _named_files(data, chosen)
        count = files.count
        effects = []
        for place in places:
            try:
                effects += [(place, effect) for effect in select(files, [steps[place]])]
            except SelectionError as error:
                raise _on_step(error, place, steps[place]) from error
        found = Selected(count, files.count, tuple(effects))
        cache.set(key, found, _REMEMBERED_S)
    return found


def _all_files(data: Data) -> Files:
    rows = data.files.filter(state=File.State.OK).order_by("pk").values(*_COLUMNS).iterator(chunk_size=5000)
    return Files.read(rows, rejected_count=data.rejected_count)


def _named_files(data: Data, steps: Sequence[Step]) -> Files:
    """Only the files that the steps name one by one; of the others, how many each label has."""
    names = sorted({name for step in steps for name in step.values.get("files", ())})
    sound = File.State.OK
    rows = (row for some in _in_turn(names) for row in data.files.named(some).filter(state=sound).values(*_COLUMNS))
    files = Files.read(rows, rejected_count=data.rejected_count)
    named = Counter(files.labels)
    for label, count in data.files.filter(state=sound).order_by().values_list("label").annotate(Count("pk")):
        if others := count - named[label]:
            files.add_several(label, others)
    return files


def _in_turn(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def check_names(data: Data, steps: Sequence[Step]) -> None:
    """Refuse steps that name files that the data does not have."""
    for place, step in enumerate(steps):
        for parameter in OPERATIONS[step.op].parameters:
            if isinstance(parameter, FileNames) and (unknown := _unknown(data, step.values[parameter.name])):
                raise _on_step(unknown_names(unknown, parameter=parameter.name), place, step)


def _unknown(data: Data, names: list[str]) -> list[str]:
    known: set[str] = set()
    for some in _in_turn(names):
        known.update(data.files.named(some).filter(state=File.State.OK).values_list("name", flat=True))
    return [name for name in names if name not in known]


def _on_step(error: SelectionError, place: int, step: Step) -> UserError:
    detail: dict[str, Any] = {"step": place, "op": step.op, "parameter": error.parameter, "message": error.message}
    return UserError(error.message, reason=error.reason, field="steps", details={"steps": [detail]})
