"""The rows of csv files in a prediction job: one prediction for each, and all of them beside the files' columns."""

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from datasets.inspection.tables import TableError, read_rows
from datasets.inspection.values import MISSING
from deployments.modelserver.predicted_csv import added_cells, added_columns, guarded
from deployments.modelserver.protocol import DEFAULT_TOP_K
from deployments.modelserver.table_predictor import ROWS_AT_ONCE, TablePredictor
from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.compute.run_folder import read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import from_json, to_json
from jobs.algorithms.tabular.kinds import number_style, parse_number
from jobs.bundles.bundle import TableInput
from jobs.bundles.columns import ColumnsError, read_header

logger = logging.getLogger(__name__)

_CELLS_AT_ONCE = 100_000
_JUDGED_TRUTHS = 20_000


@dataclass(frozen=True)
class TableRow:
    """A row of a file; or, with an `error`, why there is none, and for the whole file as `number` 0.

    Attributes:
        number: of the row in its file, from 1 on; a header is not counted.
        received: its cells in the columns `names` of the file.
        cells: its cells in the columns of the model.
        truth: its cell in the column that the model predicts; "" where there is none.
    """

    file: Row
    number: int
    names: tuple[str, ...] = ()
    received: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    truth: str = ""
    error: str = ""


class TableRows:
    """All rows of the csv files in a manifest, in its order."""

    def __init__(self, predictor: TablePredictor, files: Path) -> None:
        self._predictor = predictor
        self._files = files
        self._is_regression = predictor.bundle.task == "regression"
        self.total = 0
        truths: Counter[str] = Counter()
        for row in self._rows():
            self.total += 1
            if self.total <= _JUDGED_TRUTHS:
                truths[row.truth] += 1
        self._decimal_comma, _numbers = number_style(truths)

    def chunks(self, *, start: int) -> Iterator[list[TableRow]]:
        rows = islice(self._rows(), start, None)
        size = max(1, min(ROWS_AT_ONCE, _CELLS_AT_ONCE // len(self._predictor.table.columns)))
        while chunk := list(islice(rows, size)):
            yield chunk

    def predict(self, chunk: list[TableRow]) -> list[Row]:
        """One row for each, in order; what cannot be predicted has its `error` and no prediction."""
        cells = np.array([row.cells for row in chunk if not row.error], object)
        answers = self._predictor.predict(cells, top_k=DEFAULT_TOP_K) if len(cells) else []
        predictions = iter([answer.as_json() for answer in answers])
        none: Row = {"value": None} if self._is_regression else _NO_CLASS
        rows = []
        for row in chunk:
            prediction = none if row.error else next(predictions)
            about = {"id": row.file["id"], "name": row.file["name"], "row": row.number}
            rows.append({**about, **prediction, "truth": self._truth(row), "error": to_json(row.error)})
        return rows

    def _truth(self, row: TableRow) -> str | float | None:
        if self._is_regression:
            return parse_number(row.truth, decimal_comma=self._decimal_comma)
        return None if row.truth in MISSING else row.truth

    def write_results(self, predictions: Path, table: Path) -> None:
        """Write the csv of all rows: file, row, the files' own columns, and what was predicted."""
        names = self._all_names()
        places = {name: place for place, name in enumerate(names)}
        added = added_columns({"file", "row", *names}, is_regression=self._is_regression, more=("error",))
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(map(guarded, ["file", "row", *names, *added]))
            for row, predicted in zip(self._rows(), read_jsonl(predictions), strict=True):
                cells = [""] * len(names)
                for name, cell in zip(row.names, row.received, strict=False):
                    cells[places[name]] = cell
                told = [*added_cells(predicted, is_regression=self._is_regression), from_json(predicted["error"])]
                writer.writerow(map(guarded, [row.file["name"], row.number or "", *cells, *told]))

    def _rows(self) -> Iterator[TableRow]:
        for file in read_jsonl(self._files):
            yield from read_file(file, self._predictor.table)

    def _all_names(self) -> list[str]:
        """The columns of all files, each once, in the order in which they are met."""
        names: dict[str, None] = {}
        for file in read_jsonl(self._files):
            for row in islice(read_file(file, self._predictor.table), 1):
                names |= dict.fromkeys(row.names)
        return list(names)


_NO_CLASS: Row = {"label": None, "class_name": None, "probability": None, "top": []}


def read_file(file: Row, of: TableInput) -> Iterator[TableRow]:
    """The rows of one csv file, and at its end why there are no more where it is not sound."""
    count = 0
    try:
        rows = read_rows(Path(file["path"]))
        first = next(rows, None)
        if first is None:
            yield TableRow(file, 0, error=_("The file has no rows."))
            return
        header = read_header(first[1], of)
        place = header.names.index(of.target) if of.target in header.names else -1
        for _line, row in rows if header.is_header else chain([first], rows):
            count += 1
            too_long = any(cell.strip() for cell in row[len(header.names) :])
            cells = () if too_long else tuple(header.match.cells(row))
            error = _too_long(len(row), len(header.names)) if too_long else ""
            truth = row[place].strip() if 0 <= place < len(row) else ""
            yield TableRow(file, count, header.names, tuple(row), cells, truth, error)
        if not count:
            yield TableRow(file, 0, header.names, error=_("The file has a header and no rows."))
    except (TableError, ColumnsError) as problem:
        yield TableRow(file, count + 1 if count else 0, error=problem.message)
    except OSError as problem:
        logger.warning("%s cannot be read: %s", file["path"], problem)
        why = _(
            "The file %(file)s cannot be read from storage: %(cause)s. Start the prediction again.",
            file=file["name"],
            cause=problem.strerror,
        )
        yield TableRow(file, count + 1 if count else 0, error=why)


def _too_long(received: int, expected: int) -> str:
    values: dict[str, Any] = {"received": received, "expected": expected}
    return _("The row has %(received)d fields, the header names %(expected)d columns.", **values)
