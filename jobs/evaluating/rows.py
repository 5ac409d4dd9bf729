"""The answers to each sample of an evaluation: a database in one file, made once, that any page of them comes out of.

A list of 200,000 samples must show any cell of the confusion matrix, worst first, at once. `evaluation.jsonl` would
have to be read as a whole for that; rows of the site's own database would be 200,000 for each evaluation.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.run_folder import read_jsonl
from dlmodeler_site.sentences import from_json
from dlmodeler_site.storage import workspace

if TYPE_CHECKING:
    from jobs.models import Evaluation

INDEX = "index"  # a folder of its own, which alone is fetched from a bucket
_NAME = "samples.sqlite"
COLUMNS = ("name", "true", "predicted", "probability", "loss", "right", "error")

Value = int | float | str

# No type on what labels may be: an integer stays one, a text too.
_SCHEMA = """
create table samples (
    row integer primary key, name text not null, label, target, predicted, probability real, loss real,
    top text not null, error text not null, wrong integer not null, severity real
);
"""
_INDEXES = """
create index cells on samples (target, predicted, severity desc, row);
create index rows_of_truth on samples (target, severity desc, row);
create index rows_of_answer on samples (predicted, severity desc, row);
create index severities on samples (severity desc, row);
create index mistakes on samples (severity desc, row) where wrong;
create index failures on samples (row) where error <> '';
"""
_SELECT = "select row, name, label, target, predicted, probability, loss, top, error, wrong from samples"


@dataclass(frozen=True)
class AskedSample:
    """One sample: `target` is the truth, null where the model does not know its label or it could not be read."""

    row: int
    name: str
    label: Any
    target: Value | None
    predicted: Value | None
    probability: float | None
    loss: float | None
    top: list[dict[str, Any]]
    error: str
    is_wrong: bool


@dataclass(frozen=True)
class Cell:
    """Which samples: of one cell of the confusion matrix, or of a row or a column of it, or those that went wrong."""

    true: Value | None = None
    predicted: Value | None = None
    only_mistakes: bool = False
    only_failures: bool = False

    def where(self) -> tuple[str, list[Value]]:
        parts, values = [], []
        for column, value in (("target", self.true), ("predicted", self.predicted)):
            if value is not None:
                parts.append(f"{column} = ?")
                values.append(value)
        if self.only_mistakes:
            parts.append("wrong")
        if self.only_failures:
            parts.append("error <> ''")
        # Words of this module alone: what was asked for goes in as values.
        return (" where " + " and ".join(parts) if parts else ""), values


def build(results: Path, *, is_regression: bool) -> None:
    """Make the index of `results`/evaluation.jsonl beside it; memory does not grow with the rows."""
    folder = results / INDEX
    folder.mkdir(exist_ok=True)
    path = folder / _NAME
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode = off")
        database.execute("pragma synchronous = off")
        database.executescript(_SCHEMA)
        rows = enumerate(read_jsonl(results / "evaluation.jsonl"))
        database.executemany(
            "insert into samples values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (_values(place, row, is_regression=is_regression) for place, row in rows),
        )
        database.executescript(_INDEXES)
        database.commit()


def _values(place: int, row: dict[str, Any], *, is_regression: bool) -> tuple[Any, ...]:
    target, predicted = row["target"], row["predicted"]
    is_measured = target is not None and predicted is not None
    if not is_measured:
        severity = None
    elif is_regression:
        severity = abs(target - predicted)
    else:
        severity = row["loss"]
    return (
        place,
        row["name"],
        row.get("label"),
        target,
        predicted,
        row.get("probability"),
        row.get("loss"),
        json.dumps(row.get("top") or [], ensure_ascii=False),
        json.dumps(row["error"], ensure_ascii=False) if row["error"] else "",
        is_measured and not is_regression and target != predicted,
        severity,
    )


@dataclass
class Samples(Sequence[AskedSample]):
    """The samples of a cell, worst first: a sequence that reads what is asked for, as paginators do."""

    evaluation: Evaluation
    cell: Cell = field(default_factory=Cell)
    _count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            where, values = self.cell.where()
            (row,) = self._read(f"select count(*) from samples{where}", values)  # noqa: S608
            self._count = row[0]
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            start, stop, _step = place.indices(len(self))
            return self._page(start, max(stop - start, 0))
        return self._page(place, 1)[0]

    def _page(self, offset: int, count: int) -> list[AskedSample]:
        where, values = self.cell.where()
        order = "row" if self.cell.only_failures else "severity desc, row"
        rows = self._read(f"{_SELECT}{where} order by {order} limit ? offset ?", [*values, count, offset])
        return [_sample(*row) for row in rows]

    def _read(self, query: str, values: list[Value]) -> list[tuple[Any, ...]]:
        path = workspace().local_tree(f"{self.evaluation.results_key}/{INDEX}") / _NAME
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            return database.execute(query, values).fetchall()


def _sample(*values: Any) -> AskedSample:
    row, name, label, target, predicted, probability, loss, top, error, wrong = values
    sentence = from_json(json.loads(error)) if error else ""
    return AskedSample(
        row, name, label, target, predicted, probability, loss, json.loads(top), sentence, is_wrong=bool(wrong)
    )


def as_csv(evaluation: Evaluation) -> Iterator[bytes]:
    """Every sample in the order of the data, as a csv that is made while it is sent."""
    is_regression = evaluation.summary.get("task") == "regression"
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    with workspace().open(f"{evaluation.results_key}/evaluation.jsonl", "rb") as file:
        for text in file:
            row = json.loads(text)
            error = from_json(row["error"]) if row["error"] else ""
            right = "" if row["target"] is None or is_regression else row["target"] == row["predicted"]
            true = row.get("label") if row["target"] is None else row["target"]
            values = [row["name"], true, row["predicted"], row.get("probability"), row.get("loss"), right, error]
            writer.writerow([_inert(value) for value in values])
            if line.tell() > 64 * 1024:
                yield line.getvalue().encode()
                line.seek(0)
                line.truncate()
    yield line.getvalue().encode()


def _inert(value: Any) -> Any:
    """SECURITY: a text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
