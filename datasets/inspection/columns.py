"""Profiles of a table's columns, made while its rows go by: bounded memory whatever there are of them."""

import heapq
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.histograms import Spread
from datasets.inspection.tables import read_rows
from datasets.inspection.values import MISSING, all_numbers, is_boolean, shown_moments, to_moments, to_number

MAX_COLUMNS = 1000
_TEXT_CHARACTERS = 200
_DISTINCT = 10_000  # counted exactly, in each column of a table that is not wide
_DISTINCT_IN_ALL = 500_000
_SKETCH = 2048  # least hashes kept to estimate more: within 2.2 % two times out of three
_BATCH_VALUES = 200_000
_BATCH_CHARACTERS = 16_000_000
_MOST_FREQUENT, _EXAMPLES = 20, 5
# A column has the type that at least this share of its values has; the others are told as not fitting.
_FITTING, _ENOUGH = 0.95, 20
_FILE_NAME = re.compile(r".+\.(?:jpe?g|png|gif|bmp|tiff?|webp|avif|csv|txt)", re.IGNORECASE)


def profile_table(path: Path) -> dict[str, Any]:
    """`{"rows", "columns": [profile of each], "more_columns"}` of a csv file; the first row is a header if it looks so.

    Raises:
        TableError: as `read_rows`.
    """
    rows = (row for _line, row in read_rows(path))
    columns: list[_Column] = []
    count = more_columns = 0
    is_first = True
    for batch in _batches(rows):
        widest = max(map(len, batch))
        if widest > MAX_COLUMNS:
            more_columns = max(more_columns, widest - MAX_COLUMNS)
            batch = [row[:MAX_COLUMNS] for row in batch]
        names: list[str] = []
        if is_first and is_header(batch[0]):
            names = column_names(batch.pop(0))
            widest = max(map(len, [names, *batch]))
        is_first = False
        for place in range(len(columns), min(widest, MAX_COLUMNS)):
            columns.append(_Column(names[place] if place < len(names) else f"column {place + 1}", missing=count))
        limit = min(_DISTINCT, _DISTINCT_IN_ALL // max(len(columns), 1))
        filled = list(zip_longest(*batch, fillvalue=""))
        for column, values in zip(columns, filled, strict=False):
            column.add(values, limit)
        for column in columns[len(filled) :]:
            column.missing += len(batch)
        count += len(batch)
    return {"rows": count, "columns": [column.profile() for column in columns], "more_columns": more_columns}


def _batches(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    values = characters = 0
    for row in rows:
        batch.append(row)
        values += len(row)
        characters += sum(map(len, row))
        if values >= _BATCH_VALUES or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, values, characters = [], 0, 0
    if batch:
        yield batch


def is_header(row: Sequence[str]) -> bool:
    """Whether a first row can only be names: no number, date or file among its fields, and few of them empty."""
    fields = [field.strip() for field in row]
    names = [field for field in fields if field not in MISSING]
    return len(names) * 2 > len(fields) and not any(
        to_number(name) or to_moments(name) or _FILE_NAME.fullmatch(name) for name in names
    )


def column_names(header: Sequence[str]) -> list[str]:
    """The names that a header gives to columns, each once: "size", "size (2)", and "column 3" where it says nothing."""
    names: dict[str, None] = {}
    for place, field in enumerate(header, start=1):
        name = field.strip()[:_TEXT_CHARACTERS] or f"column {place}"
        number, numbered = 1, name
        while numbered in names:
            number += 1
            numbered = f"{name} ({number})"
        names[numbered] = None
    return list(names)


class _Column:
    """What is known of one column so far."""

    def __init__(self, name: str, *, missing: int) -> None:
        self.name = name
        self.missing = missing
        self.integers = self.numbers = self.booleans = self.texts = 0
        self.dates = 0  # without doubt, or either way
        self.days_first = self.months_first = 0  # dates only if the day, or the month, comes first
        self.spread = Spread()
        self.moments = (Spread(), Spread())  # as if the day came before the month, and after it
        self.counts: dict[str, int] = {}
        self.examples: dict[str, None] = {}
        self.odd: dict[str, dict[str, None]] = {"number": {}, "boolean": {}, "date": {}}
        self.sketch: NDArray[np.uint32] | None = None

    def add(self, values: tuple[str, ...], limit: int) -> None:
        """Take in the values of some rows; at most `limit` different ones are counted exactly."""
        counted = Counter(map(str.strip, values))
        for word in MISSING:
            self.missing += counted.pop(word, 0)
        if not counted:
            return
        self._classify(list(counted), np.fromiter(counted.values(), np.int64, len(counted)))
        self._count(counted, limit)

    def _classify(self, values: list[str], weights: NDArray[np.int64]) -> None:
        if found := all_numbers(values):
            numbers, is_integer = found
            self.spread.add(numbers, weights)
            if is_integer:
                self.integers += int(weights.sum())
            else:
                self.numbers += int(weights.sum())
            self._note(values, "number")
            return
        kinds: dict[str, list[str]] = {"number": [], "boolean": [], "date": [], "text": []}
        numbers_found: list[tuple[float, int]] = []
        moments: list[tuple[float | None, float | None, int]] = []
        for value, weight in zip(values, weights.tolist(), strict=True):
            if number := to_number(value):
                numbers_found.append((number[0], weight))
                if number[1]:
                    self.integers += weight
                else:
                    self.numbers += weight
                kinds["number"].append(value)
            elif is_boolean(value):
                self.booleans += weight
                kinds["boolean"].append(value)
            elif moment := to_moments(value):
                moments.append((*moment, weight))
                kinds["date"].append(value)
            else:
                self.texts += weight
                kinds["text"].append(value)
        for kind, found_values in kinds.items():
            self._note(found_values, kind)
        _add_pairs(self.spread, numbers_found)
        self._add_moments(moments)

    def _note(self, values: Iterable[str], kind: str) -> None:
        """Keep a few values as examples, and as examples of what does not fit to the other types."""
        for examples in (self.examples, *(odd for other, odd in self.odd.items() if other != kind)):
            if len(examples) < _EXAMPLES:
                for value in values:
                    examples[_cut(value)] = None
                    if len(examples) == _EXAMPLES:
                        break

    def _add_moments(self, moments: list[tuple[float | None, float | None, int]]) -> None:
        for day_first, month_first, weight in moments:
            if month_first is None:
                self.days_first += weight
            elif day_first is None:
                self.months_first += weight
            else:
                self.dates += weight
        _add_pairs(self.moments[0], [(day, weight) for day, _month, weight in moments if day is not None])
        _add_pairs(self.moments[1], [(month, weight) for _day, month, weight in moments if month is not None])

    def _count(self, counted: Counter[str], limit: int) -> None:
        counts = self.counts
        for value, weight in counted.items():
            key = value if len(value) <= _TEXT_CHARACTERS else _key(value)
            counts[key] = counts.get(key, 0) + weight
        if self.sketch is not None:
            self._sketch(counted)
        elif len(counts) > limit:
            self._sketch(counts)
        if len(counts) > 2 * limit:
            # What was left out and comes again is counted anew: from now on counts may be too low.
            several = {value: count for value, count in counts.items() if count > 1}
            if len(several) > limit:
                several = dict(heapq.nlargest(limit // 2, several.items(), key=lambda item: item[1]))
            self.counts = several

    def _sketch(self, values: Iterable[str]) -> None:
        """Keep the least hashes of all values: the closer together, the more different values there are."""
        keys = (value if len(value) <= _TEXT_CHARACTERS else _key(value) for value in values)
        hashes = np.fromiter((zlib.crc32(key.encode()) for key in keys), np.uint32)
        kept = self.sketch if self.sketch is not None else hashes[:0]
        if len(kept) == _SKETCH:
            hashes = hashes[hashes < kept[-1]]
        self.sketch = np.unique(np.concatenate([kept, hashes]))[:_SKETCH]

    @property
    def distinct(self) -> int:
        if self.sketch is None:
            return len(self.counts)
        if len(self.sketch) < _SKETCH:
            return len(self.sketch)
        return round((_SKETCH - 1) / ((float(self.sketch[-1]) + 1) / 2**32))

    def _type(self) -> tuple[str, int]:
        """The type, and how many values do not fit to it."""
        numbers = self.integers + self.numbers
        dates = self.dates + max(self.days_first, self.months_first)
        total = numbers + self.booleans + self.dates + self.days_first + self.months_first + self.texts
        if not total:
            return "empty", 0
        kind, fitting = max(
            (("number", numbers), ("boolean", self.booleans), ("date", dates)), key=lambda pair: pair[1]
        )
        if fitting < total and (total < _ENOUGH or fitting < _FITTING * total):
            return "text", 0
        if kind == "number" and not self.numbers:
            kind = "integer"
        return kind, total - fitting

    def profile(self) -> dict[str, Any]:
        """The profile as in docs/contracts.md."""
        kind, mismatched = self._type()
        found: dict[str, Any] = {
            "name": self.name,
            "type": kind,
            "missing": self.missing,
            "mismatched": mismatched,
            "distinct": self.distinct,
            "distinct_is_exact": self.sketch is None,
            "min": None,
            "max": None,
            "mean": None,
            "std": None,
            "histogram": None,
            "values": [{"value": _cut(value), "count": count} for value, count in self._most_frequent()],
            "examples": list(self.examples),
            "mismatched_examples": [],
        }
        if mismatched:
            found["mismatched_examples"] = list(self.odd["number" if kind == "integer" else kind])
        if kind in ("integer", "number"):
            is_integer = kind == "integer"
            least, greatest = self.spread.min, self.spread.max
            found |= {"min": int(least), "max": int(greatest)} if is_integer else {"min": least, "max": greatest}
            found |= {"mean": self.spread.mean, "std": self.spread.std}
            found["histogram"] = self.spread.histogram.shown(is_whole=is_integer)
        elif kind == "date":
            moments = self.moments[self.months_first > self.days_first]
            found["min"], found["max"] = shown_moments((moments.min, moments.max))
            histogram = moments.histogram.shown()
            found["histogram"] = histogram | {"edges": shown_moments(histogram["edges"])}
        return found

    def _most_frequent(self) -> list[tuple[str, int]]:
        return heapq.nsmallest(_MOST_FREQUENT, self.counts.items(), key=lambda item: (-item[1], item[0]))


def _add_pairs(spread: Spread, pairs: list[tuple[float, int]]) -> None:
    if pairs:
        numbers, weights = zip(*pairs, strict=True)
        spread.add(np.array(numbers, np.float64), np.array(weights, np.int64))


def _key(value: str) -> str:
    """A long value, cut, with what tells it from others that begin like it."""
    return f"{value[:_TEXT_CHARACTERS]}\0{len(value)} {zlib.crc32(value.encode()):08x}"


def _cut(value: str) -> str:
    text = value.partition("\0")[0]
    return text if len(value) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"
