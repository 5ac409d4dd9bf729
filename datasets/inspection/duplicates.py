"""Groups of equal files and of images that look alike, for hundreds of thousands of files in seconds."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.fingerprint import Fingerprints, to_bytes

# Up to so many different fingerprints each is compared with each.
_FEW = 2048
# Beyond that those are compared that agree in all signs of a band. Copies differ least in the lowest frequencies, so
# bands are drawn from these.
_BANDS, _BAND_BITS, _LOW_BITS = 40, 16, 64
# In a band full of images that differ little, each is compared with so many that are next to it by colour.
_REACH = 16
_COLOUR_BITS = np.uint64(27)
_SEED = 20


def near_groups(fingerprints: Sequence[str]) -> list[list[int]]:
    """The rows whose images look alike, in groups of two and more; "" looks like nothing.

    One row of a group looks like every other one of it: a chain of images that change little by little falls into
    several groups. Groups and their rows are in the order of the rows.
    """
    rows = np.array([place for place, text in enumerate(fingerprints) if text], np.intp)
    if len(rows) < 2:
        return []
    content = to_bytes([text for text in fingerprints if text])
    first, different = _distinct(content)
    # By chance and not in the order of the rows, in which each would wait for the one before it to lead or to follow.
    order = np.random.default_rng(_SEED).permutation(len(first))
    leaders = np.empty(len(first), np.intp)
    leaders[order] = _leaders(Fingerprints.of(content[first[order]]))
    return [rows[group].tolist() for group in _groups(leaders[different])]


def equal_groups(digests: NDArray[np.uint8]) -> list[list[int]]:
    """The rows with the same bytes (n, k), in groups of two and more, in the order of the rows."""
    if len(digests) < 2:
        return []
    return [group.tolist() for group in _groups(_distinct(digests)[1])]


def _distinct(content: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row of each different content, in the order of the rows, and of each row its place among these."""
    whole = np.ascontiguousarray(content).view(np.dtype((np.void, content.shape[1]))).ravel()
    _contents, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse.ravel()]


def _groups(keys: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The rows that share a key, where there are several."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order])) + 1
    groups = [group for group in np.split(order, starts) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def _leaders(prints: Fingerprints) -> NDArray[np.intp]:
    """Of each fingerprint the leader of its group, which it looks like; of what looks like nothing, itself.

    Band after band joins what is found there to leaders; what has joined need not be compared again, so that masses
    of images that look alike cost no more than others.
    """
    count = len(prints.tolerances)
    leaders = np.arange(count)
    bands = _bands(prints) if count > _FEW else iter([np.zeros(count, np.uint64)])
    reach = _REACH if count > _FEW else count
    for keys in bands:
        lone = np.flatnonzero(leaders == np.arange(count))
        lone = lone[np.argsort(keys[lone])]
        _join(leaders, *_links(prints, lone, keys[lone] >> _COLOUR_BITS, reach))
        # Who followed one that has joined another: follow that one too, or be on one's own again.
        left = np.flatnonzero(leaders[leaders] != leaders)
        now = leaders[leaders[left]]
        leaders[left] = np.where(prints.alike(left, now), now, left)
    return leaders


def _bands(prints: Fingerprints) -> Iterator[NDArray[np.uint64]]:
    """For each band a key of each fingerprint: some of its signs, and below these its colour."""
    random = np.random.default_rng(_SEED)
    signs = np.unpackbits(prints.signs.view(np.uint8), axis=1, count=_LOW_BITS)
    for _band in range(_BANDS):
        bits = random.choice(_LOW_BITS, _BAND_BITS, replace=False)
        high, low = np.packbits(signs[:, bits], axis=1).astype(np.uint64).T
        colours = _interleaved(prints.colours + random.integers(0, 64, 3, np.int16))
        yield (high << np.uint64(8) | low) << _COLOUR_BITS | colours


def _links(
    prints: Fingerprints, rows: NDArray[np.intp], bands: NDArray[np.uint64], reach: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (lower row, higher row) that look alike, of those in the same band and at most `reach` places apart."""
    lower, higher = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for distance in range(1, min(reach + 1, len(rows))):
        same = np.flatnonzero(bands[distance:] == bands[:-distance])
        if not len(same):
            break
        some, others = rows[same], rows[same + distance]
        alike = prints.alike(some, others)
        some, others = some[alike], others[alike]
        lower.append(np.minimum(some, others))
        higher.append(np.maximum(some, others))
    return np.concatenate(lower), np.concatenate(higher)


def _join(leaders: NDArray[np.intp], lower: NDArray[np.intp], higher: NDArray[np.intp]) -> None:
    """Have each row that is linked to a lower one follow the lowest of these that leads; who follows leads no one."""
    while len(lower):
        lowest = np.arange(len(leaders))
        np.minimum.at(lowest, higher, lower)
        follows = lowest[higher] != higher
        follows &= lowest[lowest[higher]] == lowest[higher]
        joined = higher[follows]
        leaders[joined] = lowest[joined]
        has_joined = np.zeros(len(leaders), bool)
        has_joined[joined] = True
        rest = ~(has_joined[lower] | has_joined[higher])
        lower, higher = lower[rest], higher[rest]


def _interleaved(colours: NDArray[np.int16]) -> NDArray[np.uint64]:
    """The bits of red, green and blue (n, 3), in 0..511, in turn: near in this order is mostly near in colour."""
    wide = np.zeros(len(colours), np.uint64)
    for bit in range(9):
        for channel in range(3):
            wide |= (colours[:, channel].astype(np.uint64) >> np.uint64(bit) & np.uint64(1)) << np.uint64(
                3 * bit + channel
            )
    return wide
