"""Rows of a table with what was predicted for them beside, as csv."""

import csv
import io
from collections.abc import Collection, Mapping
from typing import Any

from datasets.inspection.values import to_number

_CLASS = ("prediction", "class_name", "probability")
_VALUE = ("prediction",)


def added_columns(names: Collection[str], *, is_regression: bool, more: tuple[str, ...] = ()) -> list[str]:
    """The names of the columns of predictions, none of which is among the `names` of the table."""
    return [_free(name, names) for name in (*(_VALUE if is_regression else _CLASS), *more)]


def added_cells(prediction: Mapping[str, Any], *, is_regression: bool) -> list[Any]:
    """The cells of one row in the columns of predictions."""
    if is_regression:
        return [prediction["value"]]
    return [prediction["label"], prediction["class_name"], prediction["probability"]]


def guarded(value: Any) -> Any:
    """SECURITY: a text that a spreadsheet would run as a formula gets a mark before it; numbers stay as they are."""
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r") or len(value) < 2:
        return value
    return value if to_number(value) else f"'{value}"


def predicted_csv(answer: Mapping[str, Any]) -> str:
    """The answer of a model server to a request with `rows=1`: the columns that it received, and the predictions."""
    names, rows, predictions = answer["columns"], answer["rows"], answer["predictions"]
    is_regression = "value" in predictions[0]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(guarded, [*names, *added_columns(names, is_regression=is_regression)]))
    for row, prediction in zip(rows, predictions, strict=True):
        writer.writerow(map(guarded, [*row, *added_cells(prediction, is_regression=is_regression)]))
    return text.getvalue()


def _free(name: str, taken: Collection[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free
