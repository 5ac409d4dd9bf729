"""The csv files of a data as one table, as the check needs it: headers, what the profile tells, and a few rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from datasets.inspection.columns import column_names, is_header
from datasets.inspection.tables import TableError, read_rows
from datasets.models import Data, File
from dlmodeler_site.storage import workspace

SCANNED_ROWS = 20_000  # of each table, for what no profile tells
_SCANNED_CELLS = 2_000_000


@dataclass(frozen=True)
class Column:
    """What the profiles of the files tell of one column.

    Attributes:
        values: the most frequent values -> rows; all of them where `is_counted`.
        distinct: how many different values there are; of several files, at least.
    """

    name: str
    type: str
    rows: int
    missing: int
    distinct: int
    values: Mapping[str, int]
    is_counted: bool

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def is_numeric(self) -> bool:
        return self.type in ("integer", "number")


@dataclass(frozen=True)
class TableFile:
    """One csv file. `names`: its columns; `error`: why it cannot be read as a table, then it has none."""

    name: str
    path: Path
    names: tuple[str, ...]
    has_header: bool
    error: str = ""


@dataclass(frozen=True)
class TableSet:
    """The sound csv files of a data, in the order of their names."""

    data: Data
    files: tuple[TableFile, ...]

    @classmethod
    def read(cls, data: Data) -> TableSet:
        rows = list(data.files.filter(state=File.State.OK, content=Data.Content.TABLE).order_by("name"))
        paths = workspace().local_paths([(file.key_in(data), file.sha256) for file in rows])
        return cls(data, tuple(_read(file.name, path) for file, path in zip(rows, paths, strict=True)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns that most of the files have."""
        headers = Counter(tuple(sorted(file.names)) for file in self.files if not file.error)
        if not headers:
            return ()
        most = headers.most_common(1)[0][0]
        return next(file.names for file in self.files if tuple(sorted(file.names)) == most)

    @cached_property
    def differing(self) -> list[TableFile]:
        """The files that have other columns."""
        wanted = sorted(self.names)
        return [file for file in self.files if not file.error and sorted(file.names) != wanted]

    @cached_property
    def rows(self) -> int:
        return sum(each["rows"] for each in self._profiles)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What is known of each column; none before the profile of the data is complete."""
        parts: dict[str, list[tuple[int, dict[str, Any]]]] = {name: [] for name in self.names}
        for profile in self._profiles:
            for name, each in zip(
                column_names([each["name"] for each in profile["columns"]]), profile["columns"], strict=True
            ):
                if name in parts:
                    parts[name].append((profile["rows"], each))
        return {name: _column(name, found) for name, found in parts.items() if found}

    @cached_property
    def sample(self) -> list[list[str]]:
        """The first rows of the files, stripped, in the order of `names`."""
        most = min(SCANNED_ROWS, max(1, _SCANNED_CELLS // max(len(self.names), 1)))
        sample: list[list[str]] = []
        for file in self.files:
            if file.error or file in self.differing or len(sample) >= most:
                continue
            places = [file.names.index(name) for name in self.names]
            try:
                for _line, row in islice(read_rows(file.path), int(file.has_header), most - len(sample)):
                    sample.append([row[place].strip() if place < len(row) else "" for place in places])
            except TableError:
                continue
        return sample

    def cells(self, name: str) -> list[str]:
        """A column of the sample."""
        place = self.names.index(name)
        return [row[place] for row in self.sample]

    @cached_property
    def _profiles(self) -> list[dict[str, Any]]:
        found = (self.data.profile or {}).get("tables") or []
        kept = {file.name for file in self.files if not file.error} - {file.name for file in self.differing}
        return [each for each in found if each["name"] in kept]


def _read(name: str, path: Path) -> TableFile:
    try:
        first = next(read_rows(path), None)
    except TableError as error:
        return TableFile(name, path, (), has_header=False, error=error.message)
    if first is None:
        return TableFile(name, path, (), has_header=False)
    has_header = is_header(first[1])
    return TableFile(name, path, tuple(column_names(first[1] if has_header else [""] * len(first[1]))), has_header)


def _column(name: str, parts: Sequence[tuple[int, dict[str, Any]]]) -> Column:
    types = {each["type"] for _rows, each in parts} - {"empty"}
    if types == {"integer", "number"}:
        types = {"number"}
    values: Counter[str] = Counter()
    for _rows, each in parts:
        values.update({value["value"]: value["count"] for value in each["values"]})
    exact = [each["distinct_is_exact"] and each["distinct"] <= len(each["values"]) for _rows, each in parts]
    is_counted = all(exact)
    return Column(
        name=name,
        type=types.pop() if len(types) == 1 else "text" if types else "empty",
        rows=sum(rows for rows, _each in parts),
        missing=sum(each["missing"] for _rows, each in parts),
        distinct=len(values) if is_counted else max(each["distinct"] for _rows, each in parts),
        values=values,
        is_counted=is_counted,
    )
