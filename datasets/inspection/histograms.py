"""Histograms of numbers that come one after the other, whose range nobody knows before."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 512
_SHOWN = 32
# Bins are not narrower than this share of the greatest number, so that their places fit into 64 bits.
_FINEST = 2.0**-40


@dataclass
class Histogram:
    """Exact counts in at most 512 bins of one width, a power of two that doubles when numbers lie further apart.

    With `is_log`, bins are of one width in the logarithm: for sizes that differ by orders of magnitude.
    """

    is_log: bool = False
    _exponent: int | None = None  # a bin is 2**exponent wide
    _first: int = 0  # the place of the first bin: it begins at first * 2**exponent
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, numbers: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Count finite numbers, in a logarithmic histogram positive ones."""
        if not len(numbers):
            return
        if self.is_log:
            numbers = np.log2(numbers)
        least, greatest = float(numbers.min()), float(numbers.max())
        self._make_room(least, greatest)
        places = np.floor(np.ldexp(numbers, -self._width_exponent)).astype(np.int64) - self._first
        counted = np.bincount(places, weights=weights, minlength=len(self._counts))
        self._counts += counted.astype(np.int64)

    def shown(self, *, is_whole: bool = False) -> dict[str, Any]:
        """`{"edges": [n + 1 numbers], "counts": [n]}` with n of at most 32, without empty bins at the ends.

        With `is_whole` (of integers) the edges are whole numbers.
        """
        filled = np.flatnonzero(self._counts)
        if not len(filled):
            return {"edges": [], "counts": []}
        first, last = self._first + int(filled[0]), self._first + int(filled[-1])
        exponent = self._width_exponent
        times = step = 1 << -exponent if is_whole and exponent < 0 else 1
        while last // times - first // times >= _SHOWN:
            times += step
        start = first // times
        places = (np.arange(first, last + 1) // times) - start
        counts = np.bincount(places, weights=self._counts[filled[0] : filled[-1] + 1]).astype(int)
        edges = [math.ldexp(float((start + place) * times), exponent) for place in range(len(counts) + 1)]
        return {"edges": [2.0**edge if self.is_log else edge for edge in edges], "counts": counts.tolist()}

    @property
    def _width_exponent(self) -> int:
        return self._exponent or 0

    def _make_room(self, least: float, greatest: float) -> None:
        """Widen the bins until all counted and the new numbers fit."""
        magnitude = max(abs(least), abs(greatest))
        finest = math.frexp(magnitude * _FINEST)[1] if magnitude else -1000
        if self._exponent is None:
            spread = math.frexp((greatest - least) / (_BINS / 2))[1] if greatest > least else -1000
            self._exponent = max(finest, spread, -1000) if magnitude else -20
        exponent = max(self._exponent, finest)
        while True:
            first = math.floor(math.ldexp(least, -exponent))
            last = math.floor(math.ldexp(greatest, -exponent))
            if len(self._counts):
                shift = exponent - self._exponent
                first = min(first, self._first >> shift)
                last = max(last, (self._first + len(self._counts) - 1) >> shift)
            if last - first < _BINS:
                break
            exponent += 1
        self._move(exponent, first, last)

    def _move(self, exponent: int, first: int, last: int) -> None:
        counts = np.zeros(last - first + 1, np.int64)
        if len(self._counts):
            shift = exponent - self._width_exponent
            places = (np.arange(self._first, self._first + len(self._counts)) >> min(shift, 62)) - first
            np.add.at(counts, places, self._counts)
        self._exponent, self._first, self._counts = exponent, first, counts


@dataclass
class Spread:
    """Least, mean and greatest of numbers, their standard deviation and their histogram."""

    histogram: Histogram = field(default_factory=Histogram)
    count: int = 0
    min: float = math.inf
    max: float = -math.inf
    mean: float = 0.0
    _squares: float = 0.0  # sum of squared differences from the mean

    def add(self, numbers: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Take in numbers within ±1e150 (their squares are finite), each as often as `weights` says."""
        if not len(numbers):
            return
        count = int(weights.sum()) if weights is not None else len(numbers)
        mean = float(np.average(numbers, weights=weights))
        squares = (numbers - mean) ** 2
        squares_sum = float(squares @ weights if weights is not None else squares.sum())
        total, difference = self.count + count, mean - self.mean
        self._squares += squares_sum + difference**2 * self.count * count / total
        self.mean += difference * count / total
        self.count = total
        self.min = min(self.min, float(numbers.min()))
        self.max = max(self.max, float(numbers.max()))
        self.histogram.add(numbers, weights)

    @property
    def std(self) -> float | None:
        """Of the population; None without numbers."""
        return math.sqrt(self._squares / self.count) if self.count else None
