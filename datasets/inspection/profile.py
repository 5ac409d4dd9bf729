"""The profile of a data, made while its files go by: what they are like and what is wrong with them."""

import json
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.duplicates import equal_groups, near_groups
from datasets.inspection.fingerprint import LUMA, SIDE_PX, SIZE_BYTES
from datasets.inspection.histograms import Histogram, Spread
from datasets.inspection.looks import LEVELS, Look
from dlmodeler_site.compute.run_folder import RunFolder, write_json

_INTERVAL_S = 3.0
_SHARE_OF_TIME = 1 / 50  # a run of hours tells it less often
_BUFFERED = 2000
_DIGEST_BYTES = 16
_LABELS, _LABELS_SIZE = 1000, 100_000
_GROUPS, _GROUP_FILES, _GROUPS_SIZE = 100, 20, 80_000
_TABLES, _TABLES_SIZE = 20, 300_000
_DARK, _BRIGHT = 32, 232  # mean luma of 255 up to which, and from which, there may be nothing to see
_NAMED, _NAMED_SIZE = 500, 30_000
_KINDS = 100  # different formats, modes and reasons told
_NO_FINGERPRINT = bytes(SIZE_BYTES)
# The numbers whose spread is told, and whether their histogram is logarithmic.
_SPREADS = {
    "size_bytes": True,
    "width": False,
    "height": False,
    "aspect": True,
    "brightness": False,
    "saturation": False,
}


class Profiler:
    """Takes in the rows of an output manifest one after the other, and tells at any time what is known of them.

    Of each sound file it keeps some 50 bytes and the name.
    """

    def __init__(self) -> None:
        self.files = self.rejected = self.unlabelled = self.total_bytes = self._looks = 0
        self._reasons: Counter[str] = Counter()
        self._contents: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._modes: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._buffers: dict[str, list[float]] = {name: [] for name in _SPREADS}
        self._spreads = {name: Spread(Histogram(is_log=is_log)) for name, is_log in _SPREADS.items()}
        self._colour = np.zeros(3 * LEVELS, np.int64)
        self._tables: list[dict[str, Any]] = []
        self._kept = _Kept()
        self._started = self._told = time.monotonic()

    def add(self, row: dict[str, Any], *, look: Look | None = None, table: dict[str, Any] | None = None) -> None:
        """Take in the row of one file, with how it looks (an image) and what its columns are like (a table)."""
        if row["state"] != "ok":
            self.rejected += 1
            self._reasons[row["reason"]] += 1
            return
        fingerprint = row["fingerprint"] or ""
        self.files += 1
        self.total_bytes += row["size_bytes"]
        self._contents[row["content"]] += 1
        self._formats[row["format"]] += 1
        if row["mode"]:
            self._modes[row["mode"]] += 1
        label = row.get("label") or ""
        if label:
            self._labels[label] += 1
        else:
            self.unlabelled += 1
        self._kept.add(row["name"], label, row["sha256"], fingerprint)
        self._measure("size_bytes", row["size_bytes"] or 1)
        if row["width"] and row["height"]:
            self._measure("width", row["width"])
            self._measure("height", row["height"])
            self._measure("aspect", row["width"] / row["height"])
        self._add_look(fingerprint, look)
        if table is not None and len(self._tables) < _TABLES:
            self._tables.append({"name": row["name"], **table})

    def offer(self, run: RunFolder) -> None:
        """Publish the profile so far, if that was not done in the last seconds."""
        now = time.monotonic()
        if now - self._told >= max(_INTERVAL_S, (now - self._started) * _SHARE_OF_TIME):
            self._told = now
            run.publish("profile", profile=self.profile())

    def finish(self, run: RunFolder, *, skipped: int = 0) -> None:
        """Write the whole profile to `output/profile.json`."""
        write_json(run.output / "profile.json", self.profile(skipped=skipped, complete=True))

    def profile(self, *, skipped: int = 0, complete: bool = False) -> dict[str, Any]:
        """The profile as in docs/contracts.md; equal files are looked for only when it is complete."""
        labels, other_labels = _told_labels(self._labels)
        colour = np.round(self._colour / SIDE_PX**2, 3).reshape(3, LEVELS)
        found: dict[str, Any] = {
            "files": self.files,
            "rejected": self.rejected,
            "skipped": skipped,
            "reasons": dict(self._reasons.most_common(_KINDS)),
            "contents": dict(self._contents.most_common()),
            "formats": dict(self._formats.most_common(_KINDS)),
            "modes": dict(self._modes.most_common(_KINDS)),
            "labels": labels,
            "other_labels": other_labels,
            "unlabelled": self.unlabelled,
            **{name: self._told_spread(name) for name in _SPREADS},
            "colour": dict(zip(("red", "green", "blue"), colour.tolist(), strict=True)) if self._looks else None,
            "duplicates": None,
            "near_duplicates": None,
            "dark": None,
            "bright": None,
            "tables": None,
            "complete": complete,
        }
        if found["size_bytes"]:
            found["size_bytes"]["total"] = self.total_bytes
        if complete:
            found["duplicates"], found["near_duplicates"] = self._kept.duplicates()
            found["dark"], found["bright"] = self._kept.extremes()
        found["tables"] = _fitting(self._tables) or None
        return found

    def _add_look(self, fingerprint: str, look: Look | None) -> None:
        if look is not None:
            self._looks += 1
            self._colour += np.frombuffer(look.colour, np.uint16)
            self._measure("brightness", look.brightness)
            self._measure("saturation", look.saturation)
        elif fingerprint:  # of a file that was carried over: its mean colour is all that is known
            colour = np.frombuffer(bytes.fromhex(fingerprint[32:38]), np.uint8)
            self._measure("brightness", float(colour @ LUMA))

    def _measure(self, name: str, number: float) -> None:
        buffer = self._buffers[name]
        buffer.append(number)
        if len(buffer) >= _BUFFERED:
            self._flush(name)

    def _flush(self, name: str) -> None:
        self._spreads[name].add(np.array(self._buffers[name], np.float64))
        self._buffers[name].clear()

    def _told_spread(self, name: str) -> dict[str, Any] | None:
        self._flush(name)
        spread = self._spreads[name]
        if not spread.count:
            return None
        is_whole = name in ("size_bytes", "width", "height")
        least, greatest = (int(spread.min), int(spread.max)) if is_whole else (spread.min, spread.max)
        histogram = spread.histogram.shown(is_whole=name in ("width", "height"))
        return {"min": least, "mean": spread.mean, "max": greatest, "histogram": histogram}


class _Kept:
    """What finding duplicates needs of each file, side by side in little memory."""

    def __init__(self) -> None:
        self._names = bytearray()
        self._ends = array("q", [0])
        self._digests = bytearray()
        self._prints = bytearray()
        self._labels = array("i")
        self._places: dict[str, int] = {"": 0}

    def add(self, name: str, label: str, sha256: str, fingerprint: str) -> None:
        self._names += name.encode()
        self._ends.append(len(self._names))
        self._digests += bytes.fromhex(sha256)[:_DIGEST_BYTES]
        self._prints += bytes.fromhex(fingerprint) or _NO_FINGERPRINT
        self._labels.append(self._places.setdefault(label, len(self._places)))

    def duplicates(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Equal files; and images that look alike, in groups that hold different ones."""
        count = len(self._labels)
        order = np.array(sorted(range(count), key=self._name), np.intp)  # workers are done in any order
        digests = np.frombuffer(self._digests, np.uint8).reshape(count, _DIGEST_BYTES)[order]
        texts = (bytes(self._prints[place * SIZE_BYTES : (place + 1) * SIZE_BYTES]) for place in order)
        near = near_groups([text.hex() if text != _NO_FINGERPRINT else "" for text in texts])
        near = [group for group in near if (digests[group] != digests[group[0]]).any()]
        return self._told(equal_groups(digests), order), self._told(near, order)

    def extremes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Very dark images, the darkest first, and very bright ones, the brightest first."""
        prints = np.frombuffer(self._prints, np.uint8).reshape(-1, SIZE_BYTES)
        places = np.flatnonzero(prints.any(axis=1))
        luma = prints[places, 16:19] @ LUMA
        return (
            self._told_names(places[np.flatnonzero(luma <= _DARK)], luma[luma <= _DARK]),
            self._told_names(places[np.flatnonzero(luma >= _BRIGHT)], -luma[luma >= _BRIGHT]),
        )

    def _told_names(self, places: NDArray[np.intp], keys: NDArray[np.float32]) -> dict[str, Any]:
        names: list[str] = []
        size = 0
        for place in sorted(range(len(places)), key=lambda each: (keys[each], self._name(int(places[each]))))[:_NAMED]:
            name = self._name(int(places[place])).decode()
            size += len(json.dumps(name))
            if size > _NAMED_SIZE:
                break
            names.append(name)
        return {"count": len(places), "names": names}

    def _name(self, place: int) -> bytes:
        return bytes(self._names[self._ends[place] : self._ends[place + 1]])

    def _told(self, groups: list[list[int]], order: NDArray[np.intp]) -> dict[str, Any]:
        labels = list(self._places)
        numbers = np.array(self._labels, np.int64)[order]
        several = [np.unique(numbers[group]) for group in groups]
        several = [found[found > 0] for found in several]
        largest: list[dict[str, Any]] = []
        size = 0
        for place in sorted(range(len(groups)), key=lambda place: -len(groups[place]))[:_GROUPS]:
            group = groups[place]
            told: dict[str, Any] = {
                "files": [
                    {"name": self._name(int(order[file])).decode(), "label": labels[numbers[file]]}
                    for file in group[:_GROUP_FILES]
                ],
                "count": len(group),
                "labels": [labels[number] for number in several[place][:_GROUP_FILES]],
            }
            size += len(json.dumps(told))
            if size > _GROUPS_SIZE and largest:
                break
            largest.append(told)
        return {
            "groups": len(groups),
            "files": sum(map(len, groups)) - len(groups),
            "across_labels": sum(len(found) > 1 for found in several),
            "largest": largest,
        }


def _told_labels(labels: Counter[str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The most frequent labels, and how many files and labels there are beside."""
    told: list[dict[str, Any]] = []
    size = 0
    for label, count in sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:_LABELS]:
        size += len(json.dumps(label))
        if size > _LABELS_SIZE:
            break
        told.append({"label": label, "count": count})
    others = labels.total() - sum(each["count"] for each in told)
    return told, {"count": others, "labels": len(labels) - len(told)}


def _fitting(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tables' profiles, with fewer and shorter values, and at last fewer columns, where they would be too large."""
    found = list(tables)
    for values, characters in ((20, 200), (10, 60), (3, 30), (1, 20)):
        found = [
            {**table, "columns": [_shortened(column, values, characters) for column in table["columns"]]}
            for table in tables
        ]
        if len(json.dumps(found)) <= _TABLES_SIZE:
            return found
    room = _TABLES_SIZE // max(len(found), 1)
    for table in found:
        size = 0
        for place, column in enumerate(table["columns"]):
            size += len(json.dumps(column))
            if size > room:
                table["more_columns"] += len(table["columns"]) - place
                table["columns"] = table["columns"][:place]
                break
    return found


def _shortened(column: dict[str, Any], values: int, characters: int) -> dict[str, Any]:
    return column | {
        "name": column["name"][: 2 * characters],
        "values": [{**each, "value": each["value"][:characters]} for each in column["values"][:values]],
        "examples": [example[:characters] for example in column["examples"][:values]],
        "mismatched_examples": [example[:characters] for example in column["mismatched_examples"][:values]],
        "histogram": column["histogram"] if values > 1 else None,
    }
