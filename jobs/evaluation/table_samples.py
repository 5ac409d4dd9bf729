"""Rows of csv files that a model is measured on: their cells as they are served, their target column as label."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from datasets.inspection.tables import TableError, read_rows
from datasets.inspection.values import MISSING
from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.compute.run_folder import read_jsonl
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.tabular.kinds import number_style, parse_number
from jobs.bundles.bundle import TableInput
from jobs.bundles.columns import ColumnsError, read_header
from jobs.evaluation.rows import classification_rows, regression_rows, unreadable_row
from jobs.evaluation.samples import LabelMap, Sample
from jobs.evaluation.served import ServedModel

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE, _CELLS_AT_ONCE = 1000, 100_000
_JUDGED_TARGETS = 20_000
_NAMED = 20


@dataclass(frozen=True)
class TableSample:
    """One row, its `cells` in the model's columns; or, with an `error`, why there is none."""

    id: int | None
    name: str
    target: str = ""
    cells: tuple[str, ...] = ()
    error: str = ""


class TableSamples:
    """All rows of the csv files in a manifest with `name` and `path` each, in its order."""

    def __init__(self, served: ServedModel, manifest: Path) -> None:
        self._served = served
        self._manifest = manifest
        self._table = served.bundle.table
        self._labels = LabelMap(served.bundle.labels)
        self.total = 0
        targets: Counter[str] = Counter()
        for row in self._rows():
            self.total += 1
            if self.total <= _JUDGED_TARGETS:
                targets[row.target] += 1
        self._decimal_comma, _numbers = number_style(targets)

    def chunks(self, *, start: int) -> Iterator[list[TableSample]]:
        rows = islice(self._rows(), start, None)
        size = max(1, min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // len(self._table.columns)))
        while chunk := list(islice(rows, size)):
            yield chunk

    def answer(self, chunk: list[TableSample]) -> list[Row]:
        """One row for each, in order."""
        sound = [row for row in chunk if not row.error]
        answered = iter(self._answered(sound) if sound else [])
        return [
            unreadable_row(Sample(row.id, row.name, row.target, None), row.error) if row.error else next(answered)
            for row in chunk
        ]

    def paths(self, places: Sequence[int]) -> dict[int, Path]:
        """Of none: a row is no file."""
        return {}

    def _answered(self, rows: list[TableSample]) -> list[Row]:
        bundle = self._served.bundle
        answers = self._served.answer_rows(np.array([row.cells for row in rows], object))
        if bundle.task == "regression":
            values = [parse_number(row.target, decimal_comma=self._decimal_comma) for row in rows]
            return regression_rows([Sample(row.id, row.name, row.target, None) for row in rows], values, answers)
        samples = [
            Sample(row.id, row.name, row.target, None if row.target in MISSING else self._labels.index(row.target))
            for row in rows
        ]
        return classification_rows(samples, answers, bundle.labels)

    def _rows(self) -> Iterator[TableSample]:
        for file in read_jsonl(self._manifest):
            yield from read_file(file, self._table)


def read_file(file: Row, of: TableInput) -> Iterator[TableSample]:
    """The rows of a csv file as "<file>, row <number>", and at its end why there are no more where it is not sound."""
    number, name = 0, str(file["name"])
    file_id: int | None = file.get("id")
    try:
        rows = read_rows(Path(file["path"]))
        first = next(rows, None)
        if first is None:
            yield TableSample(file_id, name, error=_("The file has no rows."))
            return
        header = read_header(first[1], of)
        if of.target not in header.names:
            yield TableSample(file_id, name, error=_no_target(header.names, of.target))
            return
        place, width = header.names.index(of.target), len(header.names)
        for _line, row in rows if header.is_header else chain([first], rows):
            number += 1
            row_name = f"{name}, row {number}"
            target = row[place].strip() if place < len(row) else ""
            if any(cell.strip() for cell in row[width:]):
                yield TableSample(file_id, row_name, target, error=_too_long(len(row), width))
            else:
                yield TableSample(file_id, row_name, target, tuple(header.match.cells(row)))
        if not number:
            yield TableSample(file_id, name, error=_("The file has a header and no rows."))
    except (TableError, ColumnsError) as problem:
        yield TableSample(file_id, name, error=problem.message)
    except OSError as problem:
        logger.warning("%s cannot be read: %s", file["path"], problem)
        why = _("The file cannot be read from storage (%(cause)s).", cause=problem.strerror)
        yield TableSample(file_id, name, error=why)


def _no_target(names: Sequence[str], target: str) -> str:
    return _(
        "The model is measured on the column %(target)s, which the file lacks. Its columns: %(columns)s.",
        target=repr(target),
        columns=", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else ""),
    )


def _too_long(received: int, expected: int) -> str:
    return _(
        "The row has %(received)d fields, the header names %(expected)d columns.", received=received, expected=expected
    )
