"""The list of files that a run reads: selections are made on it before any file is opened."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.inspection.names import NameRefused, check_name
from datasets.preprocessing.files import copy_name
from datasets.preprocessing.plan import Plan
from datasets.preprocessing.selecting import select
from datasets.preprocessing.selection import LISTED, Effect, Files, SelectionError
from dlmodeler_site.compute.run_folder import RunError, read_jsonl
from dlmodeler_site.sentences import Sentence as _

_COPY = re.compile(r"(?P<before>.*)~(?P<copy>\d+)(?P<after>(\.[^./]*)?)", re.DOTALL)
# A name this short stays one that is allowed when a copy's number is put into it.
_SHORT = 60


@dataclass
class Manifest:
    """The rows of a JSON lines file that are left after the selections of a plan."""

    path: Path
    count: int
    effects: list[Effect] = field(default_factory=list)
    _files: Files | None = None

    @classmethod
    def selected(cls, path: Path, plan: Plan, *, rejected_count: int) -> "Manifest":
        """Make the selections, and see that the names of variants are free.

        Raises:
            RunError: no file is left, or the plan and the files do not fit together.
        """
        if not plan.selections and not plan.copies:
            with path.open("rb") as lines:
                return cls(path, sum(1 for _line in lines))
        files = Files.read(read_jsonl(path), rejected_count=rejected_count)
        try:
            effects = select(files, plan.selections)
        except SelectionError as error:
            raise RunError(error.message, reason=error.reason) from error
        if files.count == 0:
            raise RunError(
                _("No file is left: the steps leave out all %(count)d files.", count=len(files.names)),
                reason="no_files_left",
            )
        if plan.copies:
            _check_copies(files, plan.copies)
        return cls(path, files.count, effects, files)

    def lines(self) -> Iterator[str]:
        """The rows as JSON, one at a time, in their order, with their new labels."""
        with self.path.open(encoding="utf-8") as lines:
            if self._files is None:
                yield from lines
                return
            for kept, label, line in zip(self._files.kept, self._files.labels, lines, strict=True):
                if kept:
                    yield json.dumps({**json.loads(line), "label": label}, ensure_ascii=False)

    def rows(self) -> Iterator[dict[str, Any]]:
        for line in self.lines():
            yield json.loads(line)


def _check_copies(files: Files, copies: int) -> None:
    """Variants get names of their own: no file may have one of these, and none may become too long."""
    names = {files.names[place] for place in files.indices()}
    taken = []
    for name in sorted(names):
        found = _COPY.fullmatch(name)
        if found and 1 <= int(found["copy"]) <= copies and found["before"] + found["after"] in names:
            taken.append(name)
        if len(name) > _SHORT:
            try:
                check_name(copy_name(name, copies))
            except NameRefused as error:
                raise RunError(error.message, reason="copy_name_refused") from error
    if taken:
        listed = ", ".join(f"“{name}”" for name in taken[:LISTED]) + (", …" if len(taken) > LISTED else "")
        raise RunError(
            _(
                "Copies are named like “a~1.jpg”, and files of such names are there already: %(names)s. "
                "Exclude these files.",
                names=listed,
            ),
            reason="copy_name_taken",
        )
