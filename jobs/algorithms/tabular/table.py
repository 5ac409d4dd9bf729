"""The csv files of a training, read as one table: a stream of rows, whatever there are of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.inspection.columns import MAX_COLUMNS, column_names, is_header
from datasets.inspection.tables import TableError, read_rows
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

# Longer cells are cut before they are learned from: what follows is no sign of anything that a table tells.
CELL_CHARACTERS = 10_000
_NAMED_IN_ERRORS = 20
_ROWS_BETWEEN_STOPS = 10_000


@dataclass(frozen=True)
class TableFile:
    """One csv file: the name that the user knows it by, and where it lies."""

    name: str
    path: Path


@dataclass(frozen=True)
class _Shape:
    """How the rows of a file become rows of the table: `order[i]` is the place of the table's column i."""

    file: TableFile
    has_header: bool
    order: tuple[int, ...]


class Table:
    """Several csv files with the same columns. A file may have them in another order than the first one.

    Raises:
        RunError: there is no file, one is no table, or they have different columns; says which.
    """

    def __init__(self, files: Sequence[TableFile]) -> None:
        if not files:
            raise RunError(_("There is no table to train on. Choose data with a csv file."), reason="no_table")
        headers = [_header(file) for file in files]
        names, _has_header = headers[0]
        self.names = names
        places = {name: place for place, name in enumerate(names)}
        self._shapes = []
        for file, (others, has_header) in zip(files, headers, strict=True):
            if sorted(others) != sorted(names):
                raise _other_columns(files[0], names, file, others)
            of_file = {name: place for place, name in enumerate(others)}
            self._shapes.append(_Shape(file, has_header, tuple(of_file[name] for name in places)))

    def place(self, column: str) -> int:
        """Where the column lies.

        Raises:
            RunError: there is none of that name, or several.
        """
        if column in self.names:
            return self.names.index(column)
        shown = ", ".join(self.names[:_NAMED_IN_ERRORS])
        if len(self.names) > _NAMED_IN_ERRORS:
            shown += ", …"
        raise RunError(
            _(
                "The table has no column %(column)s, which was given as target. "
                "Choose one of its columns: %(columns)s.",
                column=repr(column),
                columns=shown,
            ),
            reason="no_such_column",
        )

    def rows(self, run: RunFolder) -> Iterator[list[str]]:
        """The cells of each row in the order of `names`; what a short row lacks is "", what a long one adds is dropped.

        Raises:
            RunError: a file does not parse; names it and the line.
            StopRequested: the site asked the process to stop.
        """
        count = 0
        for shape in self._shapes:
            needed = max(shape.order) + 1
            is_straight = shape.order == tuple(range(needed))
            for index, row in enumerate(_rows(shape.file)):
                if index == 0 and shape.has_header:
                    continue
                if count % _ROWS_BETWEEN_STOPS == 0:
                    run.check_stop()
                count += 1
                if len(row) < needed:
                    row += [""] * (needed - len(row))
                cells = row[:needed] if is_straight else [row[place] for place in shape.order]
                yield [cell if len(cell) <= CELL_CHARACTERS else cell[:CELL_CHARACTERS] for cell in cells]


def read_files(manifest: Path) -> list[TableFile]:
    """The files that the manifest of a run folder names."""
    return [TableFile(row["name"], Path(row["path"])) for row in read_jsonl(manifest)]


def content_key(files: Sequence[TableFile]) -> str:
    """sha256 in hexadecimal over the contents of the files, in order."""
    digest = hashlib.sha256()
    for file in files:
        with file.path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _rows(file: TableFile) -> Iterator[list[str]]:
    try:
        for _line, row in read_rows(file.path):
            yield row
    except TableError as error:
        raise RunError(joined(": ", [file.name, error.message]), reason=error.reason) from error
    except OSError as error:
        why = _("The file cannot be read from storage (%(cause)s).", cause=error.strerror)
        raise RunError(joined(": ", [file.name, why]), reason="unreadable") from error


def _header(file: TableFile) -> tuple[tuple[str, ...], bool]:
    """The names of a file's columns, each once, and whether its first row gave them."""
    first = next(_rows(file), None)
    if first is None:
        raise RunError(
            joined(": ", [file.name, _("The file has no rows. Leave it out, or fill it.")]), reason="empty_table"
        )
    if len(first) > MAX_COLUMNS:
        why = _(
            "It has %(columns)d columns, at most %(most)d can be trained on. Leave columns out.",
            columns=len(first),
            most=MAX_COLUMNS,
        )
        raise RunError(joined(": ", [file.name, why]), reason="too_many_columns")
    has_header = is_header(first)
    return tuple(column_names(first if has_header else [""] * len(first))), has_header


def _other_columns(first: TableFile, names: Sequence[str], file: TableFile, others: Sequence[str]) -> RunError:
    missing = [name for name in names if name not in others]
    more = [name for name in others if name not in names]
    parts = []
    if missing:
        parts.append(_("it lacks %(columns)s", columns=", ".join(missing[:_NAMED_IN_ERRORS])))
    if more:
        parts.append(_("it adds %(columns)s", columns=", ".join(more[:_NAMED_IN_ERRORS])))
    return RunError(
        _(
            "%(file)s has other columns than %(first)s: %(difference)s. "
            "Files of one table have the same columns; leave one of them out.",
            file=file.name,
            first=first.name,
            difference=joined("; ", parts),
        ),
        reason="different_columns",
    )
