"""What the explore page draws of a profile: charts, classes, groups of duplicates, columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.utils.translation import gettext as _

from datasets.content import browsers_show
from datasets.models import Data, File

BARS = 10
CLASSES = 20
GROUPS = 3
EXTREMES = 16
COLUMNS = 25
_SPARK_HEIGHT = 24
_VALUES = 4


@dataclass(frozen=True)
class Chart:
    """`data` is what the kind of chart in charts.js takes."""

    name: str
    title: str
    kind: str
    data: dict[str, Any]
    note: str = ""

    @property
    def source(self) -> str:
        """The id of the element that holds the data."""
        return f"chart-{self.name}"


def charts(profile: dict[str, Any]) -> list[Chart]:
    """Those of which there is something to show."""
    return [*_balance(profile), *_histograms(profile), *_colour(profile)]


def _balance(profile: dict[str, Any]) -> Iterator[Chart]:
    labels = profile["labels"]
    if labels:
        shown = labels[:BARS]
        hidden = len(labels) - len(shown) + profile["other_labels"]["labels"]
        bars = {"labels": [each["label"] for each in shown], "values": [each["count"] for each in shown]}
        note = _("The largest %(shown)d of %(all)d classes") % {"shown": BARS, "all": BARS + hidden} if hidden else ""
        yield Chart("classes", _("Class balance"), "bars", bars, note)


def _histograms(profile: dict[str, Any]) -> Iterator[Chart]:
    titles = {
        "width": (_("Width"), _("Pixels")),
        "height": (_("Height"), _("Pixels")),
        "aspect": (_("Width to height"), _("1 is square, more is wide")),
        "size_bytes": (_("File size"), ""),
        "brightness": (_("Brightness"), _("0 is black, 255 is white")),
        "saturation": (_("Saturation"), _("0 is grey, 255 is vivid")),
    }
    for name, (title, note) in titles.items():
        spread = profile[name]
        if spread and spread["histogram"]["counts"] and profile["files"] > 1:
            unit = "bytes" if name == "size_bytes" else ""
            yield Chart(name, title, "histogram", {**spread["histogram"], "unit": unit}, note)


def _colour(profile: dict[str, Any]) -> Iterator[Chart]:
    if profile["colour"]:
        yield Chart("colour", _("Colour"), "colour", profile["colour"], _("Share of pixels from dark to light"))


def classes(profile: dict[str, Any], page: int | None) -> Page[dict[str, Any]]:
    """A page of the labels, each with its share of the largest."""
    labels = profile["labels"]
    most = labels[0]["count"] if labels else 1
    found: Page[dict[str, Any]] = Paginator(labels, CLASSES).get_page(page or 1)
    found.object_list = [each | {"share": each["count"] / most} for each in found.object_list]
    return found


@dataclass(frozen=True)
class Group:
    """Files that are equal or look alike; `is_whole`: all of them are here."""

    files: list[File]
    count: int
    labels: list[str]

    @property
    def is_whole(self) -> bool:
        return len(self.files) == self.count

    @property
    def other_names(self) -> str:
        """All but the first, as JSON."""
        return json.dumps([file.name for file in self.files[1:]])


def groups(data: Data, told: dict[str, Any] | None, page: int | None) -> Page[Group]:
    """A page of the largest groups, those with several labels first; one query."""
    largest = sorted((told or {}).get("largest", ()), key=lambda group: len(group["labels"]) < 2)
    found: Page[Any] = Paginator(largest, GROUPS).get_page(page or 1)
    names = [file["name"] for group in found.object_list for file in group["files"]]
    by_name = {file.name: file for file in data.files.named(names)} if names else {}
    for file in by_name.values():
        file.is_shown = browsers_show(file)
    found.object_list = [
        Group(
            [by_name[file["name"]] for file in group["files"] if file["name"] in by_name],
            group["count"],
            group["labels"],
        )
        for group in found.object_list
    ]
    return found


@dataclass(frozen=True)
class Extremes:
    """A page of the very dark or very bright images; `count` are there, the names of `names` of them are told."""

    page: Page[File]
    count: int
    names: list[str]

    @property
    def is_whole(self) -> bool:
        return len(self.names) == self.count

    @property
    def names_json(self) -> str:
        return json.dumps(self.names)


def extremes(data: Data, told: dict[str, Any] | None, page: int | None) -> Extremes:
    """Those that the profile tells; one query."""
    names: list[str] = (told or {}).get("names", [])
    found: Page[Any] = Paginator(names, EXTREMES).get_page(page or 1)
    files = {file.name: file for file in data.files.named(found.object_list)} if names else {}
    for file in files.values():
        file.is_shown = browsers_show(file)
    found.object_list = [files[name] for name in found.object_list if name in files]
    return Extremes(found, (told or {}).get("count", 0), names)


def columns(table: dict[str, Any], page: int | None) -> Page[dict[str, Any]]:
    """A page of a table's columns, with what is drawn of them."""
    found: Page[dict[str, Any]] = Paginator(table["columns"], COLUMNS).get_page(page or 1)
    found.object_list = [_column(each, table["rows"]) for each in found.object_list]
    return found


def _column(column: dict[str, Any], rows: int) -> dict[str, Any]:
    types = {
        "integer": _("integer"),
        "number": _("number"),
        "boolean": _("yes or no"),
        "date": _("date"),
        "text": _("text"),
        "empty": _("empty"),
    }
    histogram = column["histogram"]
    counts = histogram["counts"] if histogram else []
    return column | {
        "type_title": types.get(column["type"], column["type"]),
        "min": _number(column["min"]),
        "max": _number(column["max"]),
        "mean_text": _number(column["mean"]),
        "missing_percent": 100 * column["missing"] / rows if rows else 0,
        "bars": _bars(counts),
        "most_frequent": column["values"][:_VALUES],
    }


def _bars(counts: list[int]) -> list[dict[str, float]]:
    """Of a small histogram, in units of its drawing."""
    most = max(counts, default=0) or 1
    heights = [round(max(_SPARK_HEIGHT * count / most, 0.5 if count else 0), 2) for count in counts]
    return [{"x": place, "y": _SPARK_HEIGHT - height, "height": height} for place, height in enumerate(heights)]


def _number(value: Any) -> Any:
    """A number as people write it: 4 significant digits at least, no exponent where it can be helped."""
    if not isinstance(value, float):
        return value
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"
