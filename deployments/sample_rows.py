"""A row of a csv file to try a deployment with."""

import json
import random
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.translation import gettext as _

from datasets.inspection.tables import TableError, read_rows
from datasets.inspection.values import to_number
from datasets.models import File
from deployments.models import Deployment
from dlmodeler_site.errors import UserError
from dlmodeler_site.storage import workspace
from jobs.bundles.bundle import TableInput, read_input
from jobs.bundles.columns import ColumnsError, read_header

FIRST_ROWS = 10_000


@dataclass(frozen=True)
class SampleRow:
    """A row of a file, `number` from 1 on: the value of each column of the model, as it is written there."""

    file: File
    number: int
    values: dict[str, str]


@dataclass(frozen=True)
class Column:
    """A column of the model with a value to show: the sample's, or none."""

    name: str
    type: str
    examples: tuple[str, ...]
    optional: bool
    value: str

    @property
    def title(self) -> str:
        """The type in words."""
        return {"number": _("number"), "category": _("category"), "text": _("text"), "date": _("date")}[self.type]


def table_input(deployment: Deployment) -> TableInput:
    """The columns that the deployment's model reads."""
    given = read_input(deployment.version.bundle_info["input"])
    if not isinstance(given, TableInput):
        raise TypeError(f"deployment {deployment.pk} takes {given.kind}, not tables")
    return given


def random_row(deployment: Deployment, file: File) -> SampleRow:
    """One of the first rows of a csv file. Raises UserError where it has not the columns that the model reads."""
    of = table_input(deployment)
    try:
        rows = read_rows(workspace().local_path(file.key, file.sha256))
        first = next(rows, None)
        if first is None:
            raise _no_row(file)
        header = read_header(first[1], of)
        chosen = [row for _line, row in islice(rows, FIRST_ROWS)]
    except (TableError, ColumnsError) as error:
        raise UserError(
            _("“%(file)s” does not fit this model. %(why)s") % {"file": file.name, "why": error.message},
            reason="unfitting_table",
            field="file",
        ) from None
    if not header.is_header:
        chosen.insert(0, first[1])
    if not chosen:
        raise _no_row(file)
    number = random.randrange(len(chosen))
    cells = header.match.cells(chosen[number])
    return SampleRow(file, number + 1, {column.name: cell for column, cell in zip(of.columns, cells, strict=True)})


def filled_columns(deployment: Deployment, values: dict[str, Any]) -> list[Column]:
    """The model's columns as a form shows them."""
    return [
        Column(column.name, column.type, column.examples, column.optional, str(values.get(column.name, "")))
        for column in table_input(deployment).columns
    ]


def example_columns(deployment: Deployment) -> list[Column]:
    """The model's columns, each with the first of its examples as value."""
    columns = table_input(deployment).columns
    return filled_columns(deployment, {column.name: column.examples[0] for column in columns if column.examples})


def example_row(columns: list[Column]) -> str:
    """The JSON object of a row with the columns' values, as it can stand in single quotes of a shell and in Python."""
    row = {column.name: _example_value(column) for column in columns}
    return json.dumps(row, ensure_ascii=False).replace("'", "\\u0027")


def _example_value(column: Column) -> str | float | None:
    if not column.value:
        return None
    found = to_number(column.value) if column.type == "number" else None
    if found is None:
        return column.value
    number, is_integer = found
    return int(number) if is_integer else number


def _no_row(file: File) -> UserError:
    return UserError(
        _("“%(file)s” has no rows. Choose another file.") % {"file": file.name}, reason="no_rows", field="file"
    )
