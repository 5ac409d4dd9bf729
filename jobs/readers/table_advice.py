"""What can be learned from some tables: which column is the target, and whether it is told as a class or a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.inspection.files import IMAGE_SUFFIXES
from datasets.inspection.labels import LABEL_HEADERS
from datasets.models import Data, File
from jobs.algorithms.base import Manifest, validate_hyperparameters
from jobs.checking.findings import listed
from jobs.readers.base import Advice, Recommendation
from jobs.readers.table_set import Column, TableSet

if TYPE_CHECKING:
    from jobs.readers.table import TableExamination

    Examine = Callable[[Data], TableExamination]

_TARGETS = (*LABEL_HEADERS, "y", "outcome", "result", "response", "species", "price", "정답", "결과", "가격")
_ID_NAME = re.compile(r"(?:.*[^a-z])?(?:id|uid|uuid|guid|index|idx|key|no|nr|row)|.*(?:번호|순번|아이디)")
# A target of whole numbers is taken for classes where it has at most so many values, each of several rows.
_WHOLE_CLASSES, _ROWS_PER_CLASS = 20, 5


def advise(manifest: Manifest, ready: Sequence[Data], *, examine: Examine) -> Advice:
    """The data among these that hold a table which is more than the labels of images."""
    with_tables = [
        data for data in ready if data.files.filter(state=File.State.OK, content=Data.Content.TABLE).exists()
    ]
    values = {"names": listed(f"“{data.name}”" for data in ready), "algorithm": _(manifest.title)}
    if not with_tables:
        return Advice([], _("%(names)s: there is no table. %(algorithm)s needs csv files.") % values)
    found = [(data, examine(data)) for data in with_tables]
    usable = [each for each in found if each[1].suggested and not _names_images(each[1].table)]
    if not usable:
        reasons = [f"{each.errors[0].message} {each.errors[0].fix}" for _data, each in found if each.errors]
        return Advice([], listed(dict.fromkeys(reasons), most=3))
    usable.sort(key=lambda each: -each[1].samples)
    return Advice([_recommendation(manifest, data, examination) for data, examination in usable])


def likely_target(table: TableSet | None) -> str:
    """The column that is called as targets are, else the last one that could be told; "" where there is none."""
    if table is None or len(table.names) < 2:
        return ""
    columns = [table.columns[name] for name in table.names if name in table.columns]
    could_be = [column for column in columns if column.distinct > 1 and not is_id_like(column) and column.present >= 10]
    for word in _TARGETS:
        for column in could_be:
            if column.name.strip().casefold().replace(" ", "_") == word:
                return column.name
    return could_be[-1].name if could_be else ""


def is_id_like(column: Column) -> bool:
    """Whether every row has another value that only names it."""
    if column.missing or column.rows < 20 or column.distinct < 0.98 * column.rows:
        return False
    if column.type == "integer":
        return _ID_NAME.fullmatch(column.name.strip().lower()) is not None
    return column.type == "text" and not _has_words(column)


def _has_words(column: Column) -> bool:
    return any(len(value.split()) > 1 for value in column.values)


def is_measured(column: Column) -> bool:
    """Whether numbers are more likely an amount than the names of classes."""
    if not column.is_numeric or column.distinct <= 2:
        return False
    return (
        column.type == "number"
        or column.distinct > _WHOLE_CLASSES
        or column.present < _ROWS_PER_CLASS * column.distinct
    )


def _names_images(table: TableSet | None) -> bool:
    """Whether the table says which image has which label."""
    if table is None or len(table.names) > 3:
        return False
    rows = table.sample[:20]
    return bool(rows) and all(any(PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES for cell in row) for row in rows)


def _recommendation(manifest: Manifest, data: Data, found: TableExamination) -> Recommendation:
    target = found.suggested["target"]
    return Recommendation(
        algorithm=manifest.name,
        title=_(manifest.title),
        reason=" ".join(_reasons(data, found, target)),
        inputs={"table": data.pk},
        hyperparameters=validate_hyperparameters(manifest, {**found.follows, "target": target}),
        reasons={
            "target": _(
                "It is called as targets are, or the last column that can be told. Choose another if it is not."
            )
        },
    )


def _reasons(data: Data, found: TableExamination, target: str) -> Iterator[str]:
    table = found.table
    if table is None:
        return
    kinds = Counter(column.type for name, column in table.columns.items() if name != target)
    words = {
        "number": _("%(count)s of numbers") % {"count": kinds["integer"] + kinds["number"]},
        "text": _("%(count)s of texts") % {"count": kinds["text"] + kinds["boolean"]},
        "date": _("%(count)s of dates") % {"count": kinds["date"]},
    }
    counts = {
        "number": kinds["integer"] + kinds["number"],
        "text": kinds["text"] + kinds["boolean"],
        "date": kinds["date"],
    }
    yield _("“%(data)s” is a table of %(rows)s rows; beside “%(target)s” it has %(count)s columns: %(kinds)s.") % {
        "data": data.name,
        "rows": table.rows,
        "target": target,
        "count": len(table.names) - 1,
        "kinds": ", ".join(words[kind] for kind, count in counts.items() if count) or "–",
    }
    column = table.columns[target]
    if is_measured(column):
        yield _("“%(target)s” is a number with %(distinct)s different values: a regression estimates it.") % {
            "target": target,
            "distinct": column.distinct,
        }
    else:
        yield _("“%(target)s” has %(distinct)s different values: a classification tells them apart.") % {
            "target": target,
            "distinct": column.distinct,
        }
    if found.errors:
        yield ngettext(
            "The check found %(count)s problem to mend before training.",
            "The check found %(count)s problems to mend before training.",
            len(found.errors),
        ) % {"count": len(found.errors)}
