"""Tables (csv, tsv): encoding, delimiter and rows, read as a stream."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dlmodeler_site.sentences import Sentence as _

_CHUNK_BYTES = 1 << 20
_SNIFFED_LINES = 20


Source = Path | bytes  # a file, or what one holds


class TableError(Exception):
    """A file is not a table that can be read; the message says why in words for the user."""

    def __init__(self, message: str, *, reason: str = "not_a_table") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


def text_encoding(source: Source, *, candidates: tuple[str, ...] = ("utf-8", "cp949")) -> str | None:
    """The encoding as which the whole of it decodes, or None: by its BOM (UTF-8, UTF-16), else one of the candidates.

    Text holds no NUL. The file is read in pieces, once per candidate.
    """
    with _open(source) as file:
        head = file.read(4)
    if head.startswith(codecs.BOM_UTF8):
        candidates = ("utf-8-sig",)
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ("utf-16",)
    return next((encoding for encoding in candidates if _decodes(source, encoding)), None)


def read_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """(line number where the row ends, fields) of each row that is not blank.

    Accepted: UTF-8 with or without BOM, UTF-16 with BOM, CP949; comma, semicolon or tab; fields quoted by `"`.

    Raises:
        TableError: the file is no text in these encodings, or its quoting is broken.
    """
    encoding = text_encoding(source)
    if encoding is None:
        raise TableError(
            _(
                "This is not a table: expected text in UTF-8, UTF-16 with a byte order mark, or CP949. "
                "Save it as UTF-8 csv."
            ),
            reason="not_text",
        )
    with io.TextIOWrapper(_open(source), encoding=encoding, newline="") as file:
        # Strict: a quote that never closes would otherwise swallow the rest of the file as one field.
        rows = csv.reader(file, delimiter=find_delimiter(source, encoding), strict=True)
        try:
            for row in rows:
                if any(map(str.strip, row)):
                    yield rows.line_num, row
        except csv.Error as error:
            raise TableError(
                _("Line %(line)d does not parse as csv: %(error)s.", line=rows.line_num, error=str(error)),
                reason="not_csv",
            ) from error


def find_delimiter(source: Source, encoding: str) -> str:
    """The delimiter that splits most of the first lines; a tie goes to tab (no file name holds one), then comma."""
    with io.TextIOWrapper(_open(source), encoding=encoding, newline="") as file:
        lines = [line for line in (file.readline(_CHUNK_BYTES) for _line in range(_SNIFFED_LINES)) if line.strip()]
    return max("\t,;", key=lambda delimiter: sum(_splits(line, delimiter) for line in lines))


def _splits(line: str, delimiter: str) -> bool:
    try:
        return any(len(row) > 1 for row in csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return False


def _open(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _decodes(source: Source, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with _open(source) as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                if "\0" in decoder.decode(chunk):
                    return False
            return "\0" not in decoder.decode(b"", final=True)
        except UnicodeError:
            return False
