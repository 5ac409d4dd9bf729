"""Rows of cells to the numbers that a network learns from, as one TensorFlow graph for training and serving alike.

Each column becomes *dense features* (numbers, calendars, categories of few values as one-hot) or a *bag*: a few places
for ids of a vocabulary (categories of many values: one place; texts: their words). What was never seen is "other" or
nothing, what is missing is the median or nothing, with a feature that tells so where that was seen in training.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.algorithms.tabular import parsing
from jobs.algorithms.tabular.kinds import Column

_ONE_HOT_VALUES = 32
_BAG_VALUES, _BAG_WORDS = 10_000, 5_000
_MOST_WORDS = 64  # of a text, those not in the vocabulary left aside
_LEAST_COUNT = 2  # a value seen once tells nothing and stands for those never seen
_TOO_COMMON = 0.95
_Z_LIMIT = 8.0
_CHUNK_ROWS = 8192
_SEPARATOR = "\x1f"  # between the column and the value in the vocabulary's keys
_PADDING = 0

Cells = NDArray[np.object_]


@dataclass(frozen=True)
class Bag:
    """Where a column's ids lie, and whether they are the words of a text, whose weights are made of length 1."""

    column: int
    start: int
    length: int
    is_text: bool


@dataclass(frozen=True)
class Features:
    """`dense` float32 (row, feature); `ids` int32 (row, place), 0 where a place is empty."""

    dense: NDArray[np.float32]
    ids: NDArray[np.int32]


class Encoder:
    """Fitted on rows of training cells: an object array of str (row, column), the columns those given.

    Attributes:
        width: number of dense features. places: number of places for ids. words: size of the vocabulary of ids.
        owners: int32 (width,), the column that each dense feature comes from.
        table: the vocabulary, which a module that is saved with the graph has to track.
    """

    def __init__(self, columns: Sequence[Column], cells: Cells) -> None:
        self._columns = tuple(columns)
        self._keys: dict[str, int] = {}
        self._token_weights = [0.0]
        self._blocks: list[Callable[[tf.Tensor], tf.Tensor]] = []
        self._id_blocks: list[Callable[[tf.Tensor], tf.Tensor]] = []
        self._bags: list[Bag] = []
        owners: list[int] = []
        cleaned = _clean(cells)
        for kind, mark in (("number", False), ("number", True)):
            owners += self._fit_numbers(self._of(kind, decimal_comma=mark), cleaned, decimal_comma=mark)
        for mark in (False, True):
            owners += self._fit_dates(self._of("date", day_first=mark), cleaned, day_first=mark)
        for place in self._of("category"):
            owners += self._fit_category(place, cleaned[:, place])
        for place in self._of("text"):
            owners += self._fit_text(place, cleaned[:, place])
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(self._keys) or [""]), tf.constant(list(self._keys.values()) or [0], tf.int32)
            ),
            default_value=-1,
        )
        signature = [tf.TensorSpec((None, len(columns)), tf.string)]
        self._all = tf.function(self._encode_all, input_signature=signature, autograph=False)
        self._kept = self._varying(cells)
        self.owners: NDArray[np.int32] = np.array(owners, np.int32)[self._kept]
        self.width = len(self.owners)
        self.places = sum(bag.length for bag in self._bags)
        self.words = len(self._token_weights)

    @property
    def bags(self) -> tuple[Bag, ...]:
        return tuple(self._bags)

    def encode(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """String (row, column), as in a csv, to dense float32 (row, width) and ids int32 (row, places)."""
        dense, ids = self._encode_all(rows)
        return tf.gather(dense, tf.constant(self._kept), axis=1), ids

    def _encode_all(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """With the dense features that tell nothing."""
        cells = parsing.clean(rows)
        count = tf.shape(cells)[0]
        blocks = [block(cells) for block in self._blocks]
        dense = tf.concat(blocks, axis=1) if blocks else tf.zeros((count, 0), tf.float32)
        ids = [block(cells) for block in self._id_blocks]
        return dense, tf.concat(ids, axis=1) if ids else tf.zeros((count, 0), tf.int32)

    def weigh(self, ids: tf.Tensor) -> tf.Tensor:
        """How much each id counts, float32 of the shape of `ids`: rare words more, the whole of a text alike."""
        weights = tf.gather(tf.constant(self._token_weights, tf.float32), ids)
        parts = []
        for bag in self._bags:
            part = weights[:, bag.start : bag.start + bag.length]
            if bag.is_text:
                part = tf.math.divide_no_nan(part, tf.norm(part, axis=1, keepdims=True))
            parts.append(part)
        return tf.concat(parts, axis=1) if parts else weights

    def transform(self, cells: Cells) -> Features:
        """The features of rows of cells, in pieces, so that only the answer takes memory that grows."""
        dense = np.empty((len(cells), self.width), np.float32)
        ids = np.empty((len(cells), self.places), np.int32)
        for start in range(0, len(cells), _CHUNK_ROWS):
            piece = slice(start, start + _CHUNK_ROWS)
            of_all, of_ids = self._all(tf.constant(cells[piece]))
            dense[piece], ids[piece] = of_all.numpy()[:, self._kept], of_ids.numpy()
        return Features(dense, ids)

    # -- fitting ------------------------------------------------------------------------------

    def _of(self, kind: str, **marks: bool) -> list[int]:
        return [
            place
            for place, column in enumerate(self._columns)
            if column.kind == kind and all(getattr(column, name) == value for name, value in marks.items())
        ]

    def _varying(self, cells: Cells) -> NDArray[np.int32]:
        """The dense features that differ between the rows; the others tell nothing."""
        least: NDArray[np.float32] | None = None
        greatest = least
        for start in range(0, len(cells), _CHUNK_ROWS):
            dense = self._all(tf.constant(cells[start : start + _CHUNK_ROWS]))[0].numpy()
            low, high = dense.min(axis=0), dense.max(axis=0)
            least = low if least is None else np.minimum(least, low)
            greatest = high if greatest is None else np.maximum(greatest, high)
        if least is None or greatest is None:
            raise ValueError("an encoder is fitted on at least one row")
        return np.flatnonzero(greatest > least).astype(np.int32)

    def _fit_numbers(self, places: list[int], cleaned: Cells, *, decimal_comma: bool) -> list[int]:
        if not places:
            return []
        values = _in_pieces(cleaned[:, places], lambda cells: parsing.numbers(cells, decimal_comma=decimal_comma))
        scale = _Scale.of(values)

        def block(cells: tf.Tensor) -> tf.Tensor:
            found = parsing.numbers(tf.gather(cells, places, axis=1), decimal_comma=decimal_comma)
            return tf.concat([scale.apply(found), _is_missing(found)], axis=1)

        self._blocks.append(block)
        return places + places

    def _fit_dates(self, places: list[int], cleaned: Cells, *, day_first: bool) -> list[int]:
        if not places:
            return []
        seconds = _in_pieces(cleaned[:, places], lambda cells: parsing.moments(cells, day_first=day_first))
        scale = _Scale.of(seconds)

        def block(cells: tf.Tensor) -> tf.Tensor:
            found = parsing.moments(tf.gather(cells, places, axis=1), day_first=day_first)
            of_calendar = parsing.calendar(found)
            parts = [scale.apply(found), _is_missing(found)]
            is_there = 1 - parts[1]
            for name, period in (("month", 12), ("day", 31), ("hour", 24)):
                angle = tf.cast(of_calendar[name] * (2 * math.pi / period), tf.float32)
                parts += [tf.sin(angle) * is_there, tf.cos(angle) * is_there]
            parts += [tf.cast(of_calendar["weekday"] == day, tf.float32) * is_there for day in range(7)]
            return tf.concat(parts, axis=1)

        self._blocks.append(block)
        return places * 15

    def _fit_category(self, place: int, cells: Cells) -> list[int]:
        is_boolean = self._columns[place].is_boolean
        counted = Counter(str(cell).lower() if is_boolean else str(cell) for cell in cells)
        has_missing = counted.pop("", 0) > 0
        values = [value for value, count in counted.most_common(_BAG_VALUES) if count >= _LEAST_COUNT]
        is_bag = len(values) > _ONE_HOT_VALUES
        first = len(self._token_weights) if is_bag else 0
        for code, value in enumerate(values, start=first):
            self._keys[f"{place}{_SEPARATOR}{value}"] = code
        other, missing = first + len(values), first + len(values) + 1

        def lookup(rows: tf.Tensor) -> tf.Tensor:
            column = rows[:, place]
            values = tf.strings.lower(column, encoding="utf-8") if is_boolean else column
            codes = self.table.lookup(tf.strings.join([f"{place}{_SEPARATOR}", values]))
            codes = tf.where(codes < 0, other, codes)
            return tf.where(tf.equal(column, ""), missing, codes)

        if not is_bag:
            self._blocks.append(lambda rows: tf.one_hot(lookup(rows), missing + 1))
            return [place] * (missing + 1)
        has_other = sum(counted.values()) > sum(counted[value] for value in values)
        self._token_weights += [1.0] * len(values) + [float(has_other), float(has_missing)]
        self._id_blocks.append(lambda rows: lookup(rows)[:, None])
        self._add_bag(place, length=1, is_text=False)
        return []

    def _fit_text(self, place: int, cells: Cells) -> list[int]:
        texts = [set(words) for words in _words(cells)]
        seen_in = Counter(word for words in texts for word in words)
        limit = _TOO_COMMON * len(texts)
        common = seen_in.most_common(_BAG_WORDS)
        kept = {word: count for word, count in common if _LEAST_COUNT <= count <= max(limit, _LEAST_COUNT)}
        first = len(self._token_weights)
        for code, (word, count) in enumerate(kept.items(), start=first):
            self._keys[f"{place}{_SEPARATOR}{word.decode(errors='replace')}"] = code
            self._token_weights.append(math.log((1 + len(texts)) / (1 + count)) + 1)
        lengths = np.array([sum(word in kept for word in words) for words in texts] or [0])
        length = int(min(max(np.quantile(lengths, 0.99), 1), _MOST_WORDS))
        scale = _Scale.of(np.log1p(np.array([len(words) for words in texts], np.float64))[:, None])

        def ids(rows: tf.Tensor) -> tf.Tensor:
            words = parsing.words(rows[:, place])
            codes = words.with_flat_values(
                self.table.lookup(tf.strings.join([f"{place}{_SEPARATOR}", words.flat_values]))
            )
            known = tf.ragged.boolean_mask(codes, codes >= 0)
            return known.to_tensor(default_value=_PADDING, shape=(None, length))

        def block(rows: tf.Tensor) -> tf.Tensor:
            count = tf.cast(parsing.words(rows[:, place]).row_lengths(), tf.float64)
            return scale.apply(tf.math.log1p(count)[:, None])

        self._id_blocks.append(ids)
        self._add_bag(place, length=length, is_text=True)
        self._blocks.append(block)
        return [place]

    def _add_bag(self, place: int, *, length: int, is_text: bool) -> None:
        start = sum(bag.length for bag in self._bags)
        self._bags.append(Bag(place, start, length, is_text))


@dataclass(frozen=True)
class _Scale:
    """Numbers (row, column) to about -1 to 1: what is missing at the median, outliers at twice the usual span."""

    median: NDArray[np.float64]
    least: NDArray[np.float64]
    greatest: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "_Scale":
        """Of float64 (row, column) with NaN where there is none; a column of NaN alone counts as zeros."""
        values = np.where(np.isnan(values).all(axis=0), 0.0, values)
        low, median, high = np.nanquantile(values, [0.01, 0.5, 0.99], axis=0)
        span = high - low
        least = np.where(span > 0, low - span, np.nanmin(values, axis=0))
        greatest = np.where(span > 0, high + span, np.nanmax(values, axis=0))
        clipped = np.clip(np.where(np.isnan(values), median, values), least, greatest)
        deviation = clipped.std(axis=0)
        return cls(median, least, greatest, clipped.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def apply(self, values: tf.Tensor) -> tf.Tensor:
        """float64 (row, column) with NaN to float32."""
        filled = tf.where(tf.math.is_nan(values), tf.constant(self.median), values)
        clipped = tf.clip_by_value(filled, tf.constant(self.least), tf.constant(self.greatest))
        scaled = (clipped - tf.constant(self.mean)) / tf.constant(self.deviation)
        return tf.cast(tf.clip_by_value(scaled, -_Z_LIMIT, _Z_LIMIT), tf.float32)


def _is_missing(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.math.is_nan(values), tf.float32)


def _pieces(cells: Cells) -> list[tf.Tensor]:
    return [tf.constant(cells[start : start + _CHUNK_ROWS]) for start in range(0, len(cells), _CHUNK_ROWS)]


def _in_pieces(cells: Cells, function: Callable[[tf.Tensor], tf.Tensor]) -> NDArray[Any]:
    return np.concatenate([function(piece).numpy() for piece in _pieces(cells)])


def _clean(cells: Cells) -> Cells:
    """As the graph cleans them, to str again."""
    flat = _in_pieces(cells, parsing.clean).reshape(-1)
    decoded = np.array([cell.decode() for cell in flat], dtype=object)
    return decoded.reshape(cells.shape)


def _words(cells: Cells) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    for piece in _pieces(cells):
        found += parsing.words(piece).to_list()
    return found
