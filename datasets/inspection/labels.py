"""Labels: the rows of a label csv, their match with images, and which output of a network stands for which label."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
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
    rows: tuple[LabelRow, ...]
    bad_rows: tuple[BadRow, ...]
    has_header: bool


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
    known = frozenset(map(_base_name, image_names))
    try:
        lines = read_rows(path)
        first = next(lines, None)
        if first is None:
            raise LabelError(_("The label file is empty: expected rows such as 0.jpg,1."), reason="no_labels")
        columns = _find_columns(*first, known=known)
        rows: list[LabelRow] = []
        bad_rows: list[BadRow] = []
        if columns is None:
            _add_row(rows, bad_rows, first, (0, 1))
        for line in lines:
            _add_row(rows, bad_rows, line, columns or (0, 1))
    except TableError as error:
        raise LabelError(error.message, reason=error.reason) from error
    if columns is None and len(rows) > 1 and _is_unknown_header(rows, known):
        del rows[0]
        columns = (0, 1)
    distinct = {row.label for row in rows}
    if all(map(_INTEGER.fullmatch, distinct)):
        shortest = {label: _shortest(label) for label in distinct}
        if any(label != short for label, short in shortest.items()):
            rows = [LabelRow(row.line, row.name, shortest[row.label]) for row in rows]
    return LabelTable(tuple(rows), tuple(bad_rows), has_header=columns is not None)


def match_labels(table: LabelTable, image_names: Collection[str]) -> LabelMatch:
    """Match each row with an image: by its whole relative name, else by its base name where that is unique.

    A base name counts only when the folders do not contradict each other: `x/0.jpg` is not `y/0.jpg`.
    """
    images = set(image_names)
    by_base_name: dict[str, list[str]] = {}
    if any(row.name not in images for row in table.rows):
        for name in images:
            by_base_name.setdefault(_base_name(name), []).append(name)
    rows_of: dict[str, list[LabelRow]] = {}
    rows_without_image: list[LabelRow] = []
    bad_rows = list(table.bad_rows)
    for row in table.rows:
        if row.name in images:
            rows_of.setdefault(row.name, []).append(row)
            continue
        found = [name for name in by_base_name.get(_base_name(row.name), ()) if _same_tail(name, row.name)]
        if len(found) == 1:
            rows_of.setdefault(found[0], []).append(row)
        elif found:
            problem = _("several images have this name (%(names)s); write the path", names=", ".join(sorted(found)[:3]))
            bad_rows.append(BadRow(row.line, f"{row.name},{row.label}", problem))
        else:
            rows_without_image.append(row)
    assigned: dict[str, str] = {}
    contradictions: list[Contradiction] = []
    repeated: list[LabelRow] = []
    for name, rows in rows_of.items():
        if len(rows) > 1 and len({row.label for row in rows}) > 1:
            contradictions.append(Contradiction(name, tuple(rows)))
        else:
            assigned[name] = rows[0].label
            repeated.extend(rows[1:])
    return LabelMatch(
        assigned=assigned,
        rows_without_image=tuple(rows_without_image),
        images_without_row=tuple(sorted(images - rows_of.keys())),
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


def _find_columns(line: int, row: list[str], known: frozenset[str]) -> tuple[int, int] | None:
    """The columns (file, label) that a header row names; None when the first row is data."""
    cells = [cell.strip() for cell in row]
    words = [cell.casefold().replace(" ", "_") for cell in cells]
    is_data = any(_base_name(_clean_name(cell)) in known or _has_image_suffix(cell) for cell in cells)
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


def _add_row(
    rows: list[LabelRow], bad_rows: list[BadRow], line: tuple[int, list[str]], columns: tuple[int, int]
) -> None:
    number, fields = line
    file, label = columns
    problem: str = ""
    if len(fields) <= max(file, label):
        problem = _(
            "expected a file name in column %(file)d and a label in column %(label)d", file=file + 1, label=label + 1
        )
    elif not fields[file].strip():
        problem = _("the file name is empty")
    elif not fields[label].strip():
        problem = _("the label is empty")
    if problem:
        bad_rows.append(BadRow(number, ",".join(fields)[:200], problem))
    else:
        rows.append(LabelRow(number, _clean_name(fields[file]), _composed(fields[label].strip())))


def _is_unknown_header(rows: list[LabelRow], known: frozenset[str]) -> bool:
    """Whether only the first row lacks a file name with an image's suffix: a header in words that are not known."""
    if _base_name(rows[0].name) in known:
        return False
    return not _has_image_suffix(rows[0].name) and all(_has_image_suffix(row.name) for row in rows[1:20])


def _clean_name(text: str) -> str:
    return _composed(text.strip()).replace("\\", "/").removeprefix("./")


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _base_name(name: str) -> str:
    return name.rpartition("/")[2]


def _same_tail(one: str, other: str) -> bool:
    """Whether the longer path ends in the shorter one."""
    shorter, longer = sorted((one, other), key=len)
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
