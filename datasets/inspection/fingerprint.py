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


def _cosines() -> NDArray[np.float32]:
    """(frequencies, pixels) float32: rows of the cosine transform, not normalised."""
    pixels = np.arange(SIDE_PX) + 0.5
    return np.cos(np.pi / SIDE_PX * np.arange(_FREQUENCIES)[:, None] * pixels).astype(np.float32)


def _lowest() -> NDArray[np.intp]:
    """Places of the 128 lowest frequencies in the flattened transform, the lowest first, the mean left out."""
    vertical, horizontal = np.divmod(np.arange(_FREQUENCIES**2), _FREQUENCIES)
    return np.lexsort((np.abs(vertical - horizontal), vertical + horizontal))[1 : _BITS + 1]


_MEAN = np.full(SIDE_PX**2, 1 / SIDE_PX**2, np.float32)
_COSINES = _cosines()
_LOWEST = _lowest()


def fingerprint(pixels: NDArray[np.uint8]) -> str:
    """The fingerprint in hex of a small version: uint8 (32, 32, 3), the whole image squeezed into a square."""
    return _fingerprint(pixels @ LUMA, mean_colour(pixels))


def grey_fingerprint(pixels: NDArray[np.uint8]) -> str:
    """That of a grey one, uint8 (32, 32), in half the time."""
    grey = pixels.astype(np.float32)
    return _fingerprint(grey, np.full(3, _MEAN @ grey.ravel(), np.float32))


def _fingerprint(grey: NDArray[np.float32], mean: NDArray[np.float32]) -> str:
    frequencies = (_COSINES @ grey @ _COSINES.T).ravel()[_LOWEST]
    signs = np.packbits(frequencies > _NOISE)
    colour = np.rint(mean).astype(np.uint8)
    return f"{signs.tobytes().hex()}{colour.tobytes().hex()}{_tolerance(grey, frequencies):02x}"


def mean_colour(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean red, green and blue of (32, 32, 3); as a product, which is ten times as fast as `mean`."""
    colour: NDArray[np.float32] = _MEAN @ pixels.reshape(-1, 3).astype(np.float32)
    return colour


def _tolerance(grey: NDArray[np.float32], frequencies: NDArray[np.floating]) -> int:
    """How many signs may differ, by how much of the image is busy and how much of it is fine detail."""
    if grey.max() - grey.min() <= _FLAT_LEVELS:
        return _FLAT
    right = np.abs(grey[1:, 1:] - grey[1:, :-1])
    down = np.abs(grey[1:, 1:] - grey[:-1, 1:])
    busy = np.count_nonzero(np.maximum(right, down) >= _STILL_LEVELS) / right.size
    strengths = np.sort(np.abs(frequencies))
    fine = float(strengths[_BITS // 2] / (strengths[_BITS * 9 // 10] + 1e-6))
    share: float = min((busy - 0.25) / 0.15, (fine - 0.12) / 0.08, 1.0)
    distance: int = round(_PLAIN + (_MOST - _PLAIN) * max(share, 0.0))
    return distance


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
