"""Perceptual fingerprints: alike for images that look alike, whatever their encoding and size.

A fingerprint is 20 bytes in hex. 16 bytes: the signs of the 128 lowest frequencies (2-D cosine transform, without the
mean) of a small grey version. 3 bytes: mean red, green and blue. 1 byte: how many of the 128 signs may differ in an
image that looks alike. That is fewer for images with little in them, such as digits on an empty ground: there are
fewer such images that look different. 26 for photos, 10 for the plainest, 4 for those of one colour.

Frequencies and limits were chosen by what they found among 4,200 photos, digits, drawings, screenshots and scanned
pages, and copies of all of these; see docs/decisions/0007-look-alikes-by-signs-of-frequencies.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
SIZE_BYTES = 20
_BITS = 128
_FREQUENCIES = 20
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MOST, _PLAIN, _FLAT = 26, 10, 4  # signs that may differ
_FLAT_LEVELS = 4  # difference of the lightest and the darkest up to which an image is of one colour
_STILL_LEVELS = 8  # difference of neighbours up to which there is nothing to see between them
_NOISE = 16.0  # of a frequency: what rounding and compression leave of nothing
_COLOUR_LEVELS, _COLOUR_SHARE = 4, 0.14  # mean colours may differ by 4 levels, and if not of one colour 14 % more


def _cosines() -> NDArray[np.float64]:
    """(frequencies, pixels) float64: rows of the cosine transform, not normalised.

    Whole multiples of 2**-12, with which sums of 8-bit values are exact in any order: equal images have equal
    fingerprints, whatever is computed together.
    """
    pixels = np.arange(SIDE_PX) + 0.5
    cosines = np.cos(np.pi / SIDE_PX * np.arange(_FREQUENCIES)[:, None] * pixels)
    whole: NDArray[np.float64] = np.rint(cosines * 4096)
    return whole / 4096


def _lowest() -> NDArray[np.intp]:
    """Places of the 128 lowest frequencies in the flattened transform, the lowest first, the mean left out."""
    vertical, horizontal = np.divmod(np.arange(_FREQUENCIES**2), _FREQUENCIES)
    return np.lexsort((np.abs(vertical - horizontal), vertical + horizontal))[1 : _BITS + 1]


_COSINES = _cosines()
_LOWEST = _lowest()


def fingerprints(grey: NDArray[Any], means: NDArray[np.floating]) -> list[str]:
    """The fingerprints in hex of small versions, each the whole image squeezed into a square.

    Args:
        grey: luma in 0..255 (image, 32, 32).
        means: mean red, green and blue (image, 3).
    """
    frequencies = (_COSINES @ grey.astype(np.float64) @ _COSINES.T).reshape(len(grey), -1)[:, _LOWEST]
    signs = np.packbits(frequencies > _NOISE, axis=1)
    tolerances = _tolerances(grey.astype(np.float32), np.abs(frequencies))
    rows = np.hstack([signs, np.rint(means).astype(np.uint8), tolerances[:, None]])
    return [row.tobytes().hex() for row in rows]


def _tolerances(grey: NDArray[np.float32], strengths: NDArray[np.float64]) -> NDArray[np.uint8]:
    """How many signs may differ, by how much of each image is busy and how much of it is fine detail."""
    right = np.abs(grey[:, 1:, 1:] - grey[:, 1:, :-1])
    down = np.abs(grey[:, 1:, 1:] - grey[:, :-1, 1:])
    busy = np.count_nonzero(np.maximum(right, down) >= _STILL_LEVELS, axis=(1, 2)) / (SIDE_PX - 1) ** 2
    middle, high = _BITS // 2, _BITS * 9 // 10
    ordered = np.partition(strengths, (middle, high), axis=1)
    fine = ordered[:, middle] / (ordered[:, high] + 1e-6)
    share = np.clip(np.minimum((busy - 0.25) / 0.15, (fine - 0.12) / 0.08), 0.0, 1.0)
    is_flat = grey.max(axis=(1, 2)) - grey.min(axis=(1, 2)) <= _FLAT_LEVELS
    return np.where(is_flat, _FLAT, np.rint(_PLAIN + (_MOST - _PLAIN) * share)).astype(np.uint8)


@dataclass(frozen=True)
class Fingerprints:
    """Many fingerprints side by side."""

    signs: NDArray[np.uint64]  # (n, 2)
    colours: NDArray[np.int16]  # (n, 3) in 0..255
    tolerances: NDArray[np.int16]  # (n,)

    @classmethod
    def of(cls, rows: NDArray[np.uint8]) -> "Fingerprints":
        """Those of the bytes (n, 20)."""
        signs = np.ascontiguousarray(rows[:, :16]).view(np.uint64)
        return cls(signs, rows[:, 16:19].astype(np.int16), rows[:, 19].astype(np.int16))

    def alike(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of the pairs (some[i], others[i]) look alike."""
        differ = np.bitwise_count(self.signs[some, 0] ^ self.signs[others, 0]).astype(np.int16)
        differ += np.bitwise_count(self.signs[some, 1] ^ self.signs[others, 1])
        mine, theirs = self.tolerances[some], self.tolerances[others]
        is_flat = np.minimum(mine, theirs) <= _FLAT
        found: NDArray[np.bool_] = differ * 2 <= np.where(is_flat, 2 * _FLAT, mine + theirs)
        places = np.flatnonzero(found)
        mine, theirs = self.colours[some[places]], self.colours[others[places]]
        share = np.where(is_flat[places], 0, _COLOUR_SHARE)[:, None]
        allowed = _COLOUR_LEVELS + np.maximum(mine, theirs) * share
        found[places] = (np.abs(mine - theirs) <= allowed).all(axis=1)
        return found


def to_bytes(fingerprints: Sequence[str]) -> NDArray[np.uint8]:
    """(n, 20) of fingerprints in hex, none of them empty."""
    return np.frombuffer(bytes.fromhex("".join(fingerprints)), np.uint8).reshape(-1, SIZE_BYTES)
