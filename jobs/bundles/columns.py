"""From the columns of a table that is to be predicted to those that the model reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datasets.inspection.columns import column_names, is_header
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.bundles.bundle import TableInput

_NAMED = 30


class ColumnsError(Exception):
    """A table lacks columns of the model; `details` has `expected`, `received`, `missing` and `unknown`, all names."""

    def __init__(self, message: str, details: dict[str, list[str]]) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


@dataclass(frozen=True)
class ColumnMatch:
    """`places[i]`: where the model's column i lies in a row, None where all its values are missing."""

    places: tuple[int | None, ...]
    ignored: tuple[str, ...]

    def cells(self, row: Sequence[str]) -> list[str]:
        """The cells of a row as the model takes them; what the row is too short for is missing."""
        return [row[place] if place is not None and place < len(row) else "" for place in self.places]


@dataclass(frozen=True)
class Header:
    """What a first row says: the names of the columns, and whether it is a header and no row of values."""

    names: tuple[str, ...]
    is_header: bool
    match: ColumnMatch


def match_columns(received: Sequence[str], of: TableInput) -> ColumnMatch:
    """Find the model's columns among the `received` names.

    Columns that the model does not know are ignored, and an optional one may be absent. Both at once are refused, as
    a name that is written wrong looks like that; but not beside columns that the training had and left out.

    Raises:
        ColumnsError: columns are missing.
    """
    places = {name.strip(): place for place, name in enumerate(received)}
    known = {column.name for column in of.columns}
    ignored = tuple(name for name in places if name not in known)
    unknown = [name for name in ignored if name != of.target and name not in of.left_out]
    absent = [column for column in of.columns if column.name not in places]
    may_lack = not unknown and len(absent) < len(of.columns)
    if missing := [column.name for column in absent if not (may_lack and column.optional)]:
        expected = [column.name for column in of.columns]
        parts = [
            _(
                "Columns are missing: %(missing)s. Expected: %(expected)s; received: %(received)s.",
                missing=_listed(missing),
                expected=_listed(expected),
                received=_listed(received),
            ),
            _("Write null, or leave the field empty, where a value is missing."),
        ]
        raise ColumnsError(
            joined(" ", parts),
            {
                "expected": expected,
                "received": list(received)[:_NAMED],
                "missing": missing,
                "unknown": unknown[:_NAMED],
            },
        )
    return ColumnMatch(tuple(places.get(column.name) for column in of.columns), ignored)


def read_header(first: Sequence[str], of: TableInput) -> Header:
    """What the first row of a csv says; where it is no header, columns are named by their places, as in training.

    Raises:
        ColumnsError: columns are missing.
    """
    names = tuple(column_names(first))
    try:
        return Header(names, is_header=True, match=match_columns(names, of))
    except ColumnsError:
        if is_header(first):
            raise
        by_place = tuple(column_names([""] * len(first)))
        if {column.name for column in of.columns}.isdisjoint(by_place):
            raise
    return Header(by_place, is_header=False, match=match_columns(by_place, of))


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_NAMED]) + (", …" if len(every) > _NAMED else "")
