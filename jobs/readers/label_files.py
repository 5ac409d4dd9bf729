"""The rows of label csv files, and which image each of them belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

from datasets.inspection.labels import BadRow, LabelError, LabelRow, LabelTable, read_label_rows
from datasets.models import Data, File
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from dlmodeler_site.storage import workspace


@dataclass(frozen=True)
class LabelFiles:
    """The rows of all label csv files as one table, whose line numbers go on from file to file."""

    table: LabelTable
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the last line before each file

    @classmethod
    def read(cls, data: Data, image_names: Collection[str]) -> LabelFiles:
        """Raises LabelError naming the file, when one is no table of labels."""
        lines: list[int] = []
        image_of: list[str] = []
        labels: list[str] = []
        bad_rows: list[BadRow] = []
        names: list[str] = []
        starts: list[int] = []
        start = 0
        for file in data.files.filter(state=File.State.OK, content=Data.Content.TABLE).order_by("name"):
            try:
                table = read_label_rows(workspace().local_path(file.key_in(data), file.sha256), image_names=image_names)
            except LabelError as error:
                raise LabelError(joined(": ", [file.name, error.message]), reason=error.reason) from error
            names.append(file.name)
            starts.append(start)
            lines += [start + line for line in table.lines] if start else table.lines
            image_of += table.names
            labels += table.labels
            bad_rows += [BadRow(start + row.line, row.received, row.problem) for row in table.bad_rows]
            start += max((*table.lines[-1:], *(row.line for row in table.bad_rows)), default=0)
        if not names:
            raise LabelError(_("“%(data)s” has no sound csv file.", data=data.name), reason="no_labels")
        table = LabelTable(lines, image_of, labels, tuple(bad_rows), has_header=False)
        return cls(table, tuple(names), tuple(starts))

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it."""
        index = bisect_right(self.starts, line - 1) - 1
        return self.names[index], line - self.starts[index]

    def where(self, row: LabelRow) -> str:
        name, line = self.place(row.line)
        return _("%(file)s, line %(line)s: %(label)s", file=name, line=line, label=row.label)
