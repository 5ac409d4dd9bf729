"""From the body of a request to the rows of a table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.inspection.tables import TableError, read_rows
from deployments.modelserver.errors import RequestError
from deployments.modelserver.protocol import CSV_TYPE, JSON_TYPE, MAX_ROWS
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.bundles.bundle import TableColumn, TableInput
from jobs.bundles.columns import ColumnMatch, ColumnsError, match_columns, read_header
from jobs.bundles.engine import Cells

ROWS_EXAMPLE = '{"rows": [{"%s": …}]}'
_YES, _NO = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")


@dataclass(frozen=True)
class Rows:
    """The rows of a request.

    Attributes:
        cells: texts (row, column) in the model's columns.
        names: the columns as they were received.
        received: the rows as they were received, in these columns.
        ignored: those of `names` that the model does not read.
    """

    cells: Cells
    names: tuple[str, ...]
    received: list[list[str]]
    ignored: tuple[str, ...]


def read_table(body: bytes, *, content_type: str, of: TableInput) -> Rows:
    """The rows of a request in csv or JSON.

    Raises:
        RequestError: 400, 413 or 415; `details["index"]` says which row it was, from 0 on.
    """
    match content_type.partition(";")[0].strip().lower():
        case kind if kind == JSON_TYPE:
            return _from_json(body, of)
        case kind if kind == CSV_TYPE:
            return _from_csv(body, of)
    raise RequestError(
        _(
            "This deployment takes rows of a table: JSON such as %(example)s, or a csv with a header; "
            "“%(received)s” was received.",
            example=_example(of),
            received=content_type[:100],
        ),
        status=415,
        reason="unsupported_media_type",
    )


def _from_csv(body: bytes, of: TableInput) -> Rows:
    try:
        rows = read_rows(body)
        first = next(rows, None)
        if first is None:
            raise _no_rows()
        header = read_header(first[1], of)
        received = [] if header.is_header else [first[1]]
        for line, row in rows:
            if any(cell.strip() for cell in row[len(header.names) :]):
                raise RequestError(
                    _(
                        "Line %(line)d has %(received)d fields, the header names %(expected)d columns.",
                        line=line,
                        received=len(row),
                        expected=len(header.names),
                    ),
                    status=400,
                    reason="malformed_row",
                    details={"index": len(received), "line": line},
                )
            received.append((row + [""] * len(header.names))[: len(header.names)])
            if len(received) > MAX_ROWS:
                raise _too_many_rows()
    except TableError as error:
        no_text = error.reason == "not_text"
        parts = [error.message, _("A csv with a header was expected.")] if no_text else [error.message]
        raise RequestError(joined(" ", parts), status=415 if no_text else 400, reason=error.reason) from None
    except ColumnsError as error:
        raise _other_columns(error) from None
    if not received:
        raise _no_rows()
    return Rows(_array(map(header.match.cells, received), of), header.names, received, header.match.ignored)


def _from_json(body: bytes, of: TableInput) -> Rows:
    instances = _parse_rows(body, of)
    if not instances:
        raise _no_rows()
    if len(instances) > MAX_ROWS:
        raise _too_many_rows()
    matches: dict[tuple[str, ...], ColumnMatch] = {}
    ignored: dict[str, None] = {}
    rows = []
    for index, instance in enumerate(instances):
        if isinstance(instance, dict):
            names = tuple(instance)
            if names not in matches:
                try:
                    matches[names] = match_columns(names, of)
                except ColumnsError as error:
                    raise _other_columns(error, index) from None
                ignored |= dict.fromkeys(matches[names].ignored)
            values = [*instance.values()]
            given = [None if place is None else values[place] for place in matches[names].places]
        elif isinstance(instance, list) and len(instance) == len(of.columns):
            given = instance
        else:
            raise _bad_row(index, instance, of)
        rows.append([_cell(value, column, index) for value, column in zip(given, of.columns, strict=True)])
    return Rows(_array(rows, of), tuple(column.name for column in of.columns), rows, tuple(ignored))


def _array(rows: Any, of: TableInput) -> Cells:
    cells: Cells = np.array(list(rows), object).reshape(-1, len(of.columns))
    return cells


class _Number(str):
    """A number as it was written: 1.0 is another class than 1 where a column holds names."""


def _parse_rows(body: bytes, of: TableInput) -> list[Any]:
    try:
        value = json.loads(body, parse_int=_Number, parse_float=_Number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            _("The body is not JSON: %(cause)s; %(example)s was expected.", cause=str(error), example=_example(of)),
            status=400,
            reason="malformed_body",
        ) from None
    if isinstance(value, dict):
        for name in ("rows", "instances"):
            if isinstance(value.get(name), list):
                rows: list[Any] = value[name]
                return rows
    received = _("an object with %(keys)s", keys=str(sorted(value)[:10])) if isinstance(value, dict) else _kind(value)
    raise RequestError(
        _(
            "The body has no list of rows: %(example)s was expected, %(received)s was received.",
            example=_example(of),
            received=received,
        ),
        status=400,
        reason="malformed_body",
    )


def _constant(name: str) -> str | None:
    """What other programs write for numbers that JSON does not know; NaN is how they say that a value is missing."""
    return None if name == "NaN" else name


def _cell(value: Any, column: TableColumn, index: int) -> str:
    """The value as a csv would have it."""
    match value:
        case None:
            return ""
        case bool():
            return _boolean(value, column)
        case str():
            return str(value)
    raise RequestError(
        _(
            "Row %(index)d: the value of “%(column)s” must be a text, a number, true, false or null; "
            "%(received)s was received.",
            index=index,
            column=column.name,
            received=_kind(value),
        ),
        status=400,
        reason="malformed_row",
        details={"index": index, "column": column.name},
    )


def _boolean(value: bool, column: TableColumn) -> str:
    """true and false in the words of the column."""
    words = _YES if value else _NO
    return next((example for example in column.examples if example.strip().lower() in words), words[0])


def _bad_row(index: int, instance: Any, of: TableInput) -> RequestError:
    is_list = isinstance(instance, list)
    received = _("a list of %(count)d values", count=len(instance)) if is_list else _kind(instance)
    return RequestError(
        _(
            "Row %(index)d must be an object {column: value}, or a list of %(count)d values in the order of the "
            "columns (%(columns)s); %(received)s was received.",
            index=index,
            count=len(of.columns),
            columns=", ".join(column.name for column in of.columns[:30]),
            received=received,
        ),
        status=400,
        reason="malformed_row",
        details={"index": index},
    )


def _other_columns(error: ColumnsError, index: int | None = None) -> RequestError:
    message, details = error.message, dict[str, Any](error.details)
    if index is not None:
        message = _("Row %(index)d: %(why)s", index=index, why=message)
        details["index"] = index
    return RequestError(message, status=400, reason="missing_columns", details=details)


def _no_rows() -> RequestError:
    return RequestError(
        _("The request holds no row. Send at least one; the first line of a csv is its header."),
        status=400,
        reason="no_rows",
        details={"received": 0},
    )


def _too_many_rows() -> RequestError:
    return RequestError(
        _(
            "At most %(maximum)d rows are taken in one request. Send them in several requests, "
            "or make a prediction job.",
            maximum=MAX_ROWS,
        ),
        status=413,
        reason="too_many_rows",
        details={"maximum": MAX_ROWS},
    )


def _example(of: TableInput) -> str:
    return ROWS_EXAMPLE % of.columns[0].name


def _kind(value: Any) -> str:
    names: Sequence[tuple[type, str]] = (
        (dict, _("an object")),
        (list, _("a list")),
        (bool, _("true or false")),
        (_Number, _("a number")),
        (str, _("a text")),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "null")
