"""Labels: the rows of a label csv, their match with images, and which output of a network stands for which label."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datasets.inspection.files import IMAGE_SUFFIXES
from datasets.inspection.tables import TableError, read_rows
from dlmodeler_site.sentences import Sentence as _

FILE_HEADERS = (
    "filename", "file_name", "file", "filepath", "file_path", "image", "image_name", "image_path", "image_file",
    "imagename", "name", "path", "파일", "파일명", "이미지", "이름", "경로",
)  # fmt: skip
LABEL_HEADERS = (
    "label", "labels", "class", "classes", "class_name", "category", "target", "라벨", "레이블", "클래스", "분류",
)  # fmt: skip

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_INTEGER = re.compile(_WHOLE.pattern + r"(\.0*)?")
_LISTED = 20


class LabelError(Exception):
    """The labels cannot be used as they are; the message says why in words for the user."""

    def __init__(self, message: str, *, reason: str = "bad_labels") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class LabelRow(NamedTuple):
    """One row: its line in the file (from 1), the image it names and the label as text."""

    line: int
    name: str
    label: str


@dataclass(frozen=True)
class BadRow:
    line: int
    received: str
    problem: str


@dataclass(frozen=True)
class LabelTable:
    """Rows side by side: row i has line `lines[i]`, names the image `names[i]` and gives it the label `labels[i]`."""

    lines: list[int]
    names: list[str]
    labels: list[str]
    bad_rows: tuple[BadRow, ...]
    has_header: bool

    @classmethod
    def of(cls, rows: Sequence[LabelRow]) -> "LabelTable":
        """A table of these rows."""
        lines, names, labels = [row.line for row in rows], [row.name for row in rows], [row.label for row in rows]
        return cls(lines, names, labels, (), has_header=False)

    @property
    def rows(self) -> tuple[LabelRow, ...]:
        return tuple(map(LabelRow, self.lines, self.names, self.labels))

    def row(self, index: int) -> LabelRow:
        return LabelRow(self.lines[index], self.names[index], self.labels[index])


@dataclass(frozen=True)
class Contradiction:
    """One image with different labels."""

    name: str
    rows: tuple[LabelRow, ...]


@dataclass(frozen=True)
class LabelMatch:
    """How rows and images fit together; usable as it is when `is_complete`."""

    assigned: dict[str, str]  # image name -> label text
    rows_without_image: tuple[LabelRow, ...]
    images_without_row: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    repeated_rows: tuple[LabelRow, ...]  # the same image with the same label again: harmless
    bad_rows: tuple[BadRow, ...]

    @property
    def is_complete(self) -> bool:
        return not (self.rows_without_image or self.images_without_row or self.contradictions or self.bad_rows)


@dataclass(frozen=True)
class ClassLabel:
    label: int
    class_name: str

    def as_dict(self) -> dict[str, int | str]:
        return {"label": self.label, "class_name": self.class_name}


@dataclass(frozen=True)
class LabelMap:
    """`labels`: index = output of the network. `targets`: label text -> that index."""

    labels: tuple[ClassLabel, ...]
    targets: dict[str, int]


def read_label_rows(path: Path, *, image_names: Collection[str] = ()) -> LabelTable:
    """The rows of a label csv, with or without header.

    With a header the columns are found by their names, without one they are the first two. The first row is data when
    it names one of `image_names` or holds a file name with an image's suffix. When all labels are integers (1, 01 and
    1.0 are) they are written the shortest way.

    Raises:
        LabelError: the file is no table, is empty, or has no column of file names or of labels.
    """
    try:
        lines = read_rows(path)
        first = next(lines, None)
        if first is None:
            raise LabelError(_("The label file is empty: expected rows such as 0.jpg,1."), reason="no_labels")
        columns = _find_columns(*first, image_names=image_names)
        table = _table(chain([first], lines) if columns is None else lines, columns or (0, 1))
    except TableError as error:
        raise LabelError(error.message, reason=error.reason) from error
    has_header = columns is not None
    if not has_header and len(table.names) > 1 and _is_unknown_header(table.names, image_names):
        for column in (table.lines, table.names, table.labels):
            del column[0]
        has_header = True
    distinct = set(table.labels)
    if all(map(_INTEGER.fullmatch, distinct)):
        shortest = {label: _shortest(label) for label in distinct}
        if any(label != short for label, short in shortest.items()):
            table.labels[:] = map(shortest.__getitem__, table.labels)
    return replace(table, has_header=has_header)


def match_labels(table: LabelTable, image_names: Collection[str]) -> LabelMatch:
    """Match each row with an image: by its whole relative name, else by its base name where that is unique.

    A base name counts only when the folders do not contradict each other: `x/0.jpg` is not `y/0.jpg`.
    """
    images = image_names if isinstance(image_names, (Set, Mapping)) else set(image_names)
    by_base_name: dict[str, list[str] | str] = {}
    assigned: dict[str, str] = {}
    first: dict[str, int] = {}  # image -> its first row
    several: dict[str, list[int]] = {}  # image -> all of its rows, where there are more
    rows_without_image: list[LabelRow] = []
    bad_rows = list(table.bad_rows)
    for index, (name, label) in enumerate(zip(table.names, table.labels, strict=True)):
        if name not in images:
            by_base_name = by_base_name or _by_base_name(images)
            found = _of_base_name(by_base_name, name)
            if not found:
                rows_without_image.append(table.row(index))
                continue
            if len(found) > 1:
                listed = ", ".join(sorted(found)[:3])
                problem = _("several images have this name (%(names)s); write the path", names=listed)
                bad_rows.append(BadRow(table.lines[index], f"{name},{label}", problem))
                continue
            name = found[0]
        if name in assigned:
            several.setdefault(name, [first[name]]).append(index)
        else:
            assigned[name] = label
            first[name] = index
    contradictions: list[Contradiction] = []
    repeated: list[LabelRow] = []
    for name, indexes in sorted(several.items(), key=lambda each: first[each[0]]):
        rows = tuple(map(table.row, indexes))
        if len({row.label for row in rows}) > 1:
            contradictions.append(Contradiction(name, rows))
            del assigned[name]
        else:
            repeated.extend(rows[1:])
    return LabelMatch(
        assigned=assigned,
        rows_without_image=tuple(rows_without_image),
        images_without_row=tuple(sorted(name for name in images if name not in first)),
        contradictions=tuple(contradictions),
        repeated_rows=tuple(repeated),
        bad_rows=tuple(sorted(bad_rows, key=lambda row: row.line)),
    )


def make_label_map(labels: Iterable[str], num_types: int, class_names: Mapping[str, str] | None = None) -> LabelMap:
    """Order the distinct label texts as the outputs of a network with `num_types` outputs.

    Integers that all lie in 0..num_types-1 are their own index. Other integers are sorted and keep their value;
    names are sorted and numbered from 0. Outputs that no label uses get the integers that follow the greatest label.
    `class_names` gives the display name of a label text; without one it is the text itself.

    Raises:
        LabelError: there is no label, or more distinct labels than outputs.
    """
    names = dict(class_names or {})
    distinct = set(labels)
    if not distinct:
        raise LabelError(_("There are no labels."), reason="no_labels")
    integers = _as_integers(distinct)
    texts = sorted(distinct) if integers is None else sorted(distinct, key=integers.__getitem__)
    if len(texts) > num_types:
        listed = ", ".join(texts[:_LISTED]) + (", …" if len(texts) > _LISTED else "")
        raise LabelError(
            _(
                "num_types is %(num_types)d, but the labels have %(count)d distinct classes (%(listed)s). "
                "Set num_types to at least %(count)d.",
                num_types=num_types,
                count=len(texts),
                listed=listed,
            ),
            reason="num_types_too_small",
        )
    if integers is not None and all(0 <= value < num_types for value in integers.values()):
        values = list(range(num_types))
        targets = {text: integers[text] for text in texts}
    else:
        values = list(range(len(texts))) if integers is None else [integers[text] for text in texts]
        values.extend(range(values[-1] + 1, values[-1] + 1 + num_types - len(texts)))
        targets = {text: index for index, text in enumerate(texts)}
    text_of = dict(zip(targets.values(), targets.keys(), strict=True))
    shown = [text_of.get(index, str(value)) for index, value in enumerate(values)]
    return LabelMap(
        labels=tuple(ClassLabel(value, names.get(text, text)) for value, text in zip(values, shown, strict=True)),
        targets=targets,
    )


def _find_columns(line: int, row: list[str], image_names: Collection[str]) -> tuple[int, int] | None:
    """The columns (file, label) that a header row names; None when the first row is data."""
    cells = [cell.strip() for cell in row]
    words = [cell.casefold().replace(" ", "_") for cell in cells]
    is_data = any(map(_has_image_suffix, cells)) or _name_image(map(_clean_name, cells), image_names)
    file = _first_index(words, FILE_HEADERS)
    label = _first_index(words, LABEL_HEADERS)
    if is_data or (file is None and label is None):
        if len(row) < 2:
            raise LabelError(
                _(
                    "Line %(line)d has one column: expected a file name and a label, such as 0.jpg,1; "
                    "received “%(received)s”.",
                    line=line,
                    received=row[0][:80],
                ),
                reason="missing_column",
            )
        return None
    if len(cells) == 2:  # One name is known, so the other column is the other one.
        file, label = (1 - label if file is None and label is not None else file), label
        label = 1 - file if label is None and file is not None else label
    if file is None or label is None:
        received = ", ".join(cells)[:200]
        if file is None:
            message = _(
                "Line %(line)d has no column of file names: expected one named %(expected)s; received %(received)s.",
                line=line,
                expected=", ".join(FILE_HEADERS[:6]),
                received=received,
            )
        else:
            message = _(
                "Line %(line)d has no column of labels: expected one named %(expected)s; received %(received)s.",
                line=line,
                expected=", ".join(LABEL_HEADERS[:6]),
                received=received,
            )
        raise LabelError(message, reason="missing_column")
    return file, label


def _table(lines: Iterable[tuple[int, list[str]]], columns: tuple[int, int]) -> LabelTable:
    """The rows that have a file name and a label in these columns; the others are bad."""
    file, label = columns
    most = max(columns)
    numbers: list[int] = []
    names: list[str] = []
    labels: list[str] = []
    bad_rows: list[BadRow] = []
    composed: dict[str, str] = {}  # each label once, not once for each row
    for number, fields in lines:
        if len(fields) > most and (name := fields[file].strip()) and (text := fields[label].strip()):
            numbers.append(number)
            names.append(name)
            labels.append(composed.get(text) or composed.setdefault(text, _composed(text)))
        else:
            bad_rows.append(BadRow(number, ",".join(fields)[:200], _problem(fields, file, label)))
    # Looked at together: for 200,000 names, that takes a tenth of the time.
    every = "\n".join(names)
    if "\\" in every or "./" in every or not every.isascii():
        names = list(map(_clean_name, names))
    return LabelTable(numbers, names, labels, tuple(bad_rows), has_header=False)


def _problem(fields: list[str], file: int, label: int) -> str:
    if len(fields) <= max(file, label):
        return _(
            "expected a file name in column %(file)d and a label in column %(label)d", file=file + 1, label=label + 1
        )
    return _("the label is empty") if fields[file].strip() else _("the file name is empty")


def _is_unknown_header(names: list[str], image_names: Collection[str]) -> bool:
    """Whether only the first row lacks a file name with an image's suffix: a header in words that are not known."""
    if _has_image_suffix(names[0]) or not all(map(_has_image_suffix, names[1:20])):
        return False
    return not _name_image(names[:1], image_names)


def _name_image(names: Iterable[str], image_names: Collection[str]) -> bool:
    """Whether one of the names has the base name of an image."""
    wanted = {_base_name(name) for name in names}
    endings = tuple(f"/{name}" for name in wanted)
    return any(image in wanted or image.endswith(endings) for image in image_names)


def _by_base_name(images: Iterable[str]) -> dict[str, list[str] | str]:
    """Base name -> the image that has it, or all where they are several: few lists take less time than many."""
    found: dict[str, list[str] | str] = {}
    for name in images:
        other = found.setdefault(name.rpartition("/")[2], name)
        if isinstance(other, list):
            other.append(name)
        elif other is not name:
            found[name.rpartition("/")[2]] = [other, name]
    return found


def _of_base_name(by_base_name: Mapping[str, list[str] | str], name: str) -> list[str]:
    """The images with the base name of a row's, whose folders do not contradict its."""
    found = by_base_name.get(name.rpartition("/")[2], ())
    every = [found] if isinstance(found, str) else found
    return [each for each in every if _same_tail(each, name)]


def _clean_name(text: str) -> str:
    return _composed(text.strip()).replace("\\", "/").removeprefix("./")


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _base_name(name: str) -> str:
    return name.rpartition("/")[2]


def _same_tail(one: str, other: str) -> bool:
    """Whether the longer path ends in the shorter one."""
    shorter, longer = (one, other) if len(one) < len(other) else (other, one)
    return longer.endswith("/" + shorter.lstrip("/")) or longer == shorter


def _has_image_suffix(text: str) -> bool:
    return PurePosixPath(text.strip()).suffix.lower() in IMAGE_SUFFIXES


def _first_index(words: list[str], wanted: Iterable[str]) -> int | None:
    return next((words.index(word) for word in wanted if word in words), None)


def _shortest(integer: str) -> str:
    return str(int(integer.partition(".")[0]))


def _as_integers(texts: set[str]) -> dict[str, int] | None:
    """Label text -> integer when all are, and no two texts mean the same integer."""
    if not all(_WHOLE.fullmatch(text) for text in texts):
        return None
    integers = {text: int(text) for text in texts}
    return integers if len(set(integers.values())) == len(integers) else None
