"""What the files of a data are like, in numbers."""

from typing import Any

from django.db.models import Avg, Count, Max, Min, Sum

from datasets.models import Data
from datasets.samples import sound_files

_DUPLICATES = 50
_LABELS = 1000


def profile(data: Data) -> dict[str, Any]:
    """Class balance, sizes in bytes and pixels, formats, colour modes and equal files, over the sound files."""
    files = sound_files(data).order_by()
    numbers = files.aggregate(
        count=Count("pk"),
        **{
            f"{column}_{word}": function(column)
            for column in ("size_bytes", "width", "height")
            for word, function in (("min", Min), ("mean", Avg), ("max", Max))
        },
        size_bytes_total=Sum("size_bytes"),
    )
    equal = files.values("sha256").annotate(count=Count("pk")).filter(count__gt=1).order_by("-count", "sha256")
    groups = list(equal[:_DUPLICATES])
    names: dict[str, list[str]] = {group["sha256"]: [] for group in groups}
    for sha256, name in files.filter(sha256__in=names).order_by("pk").values_list("sha256", "name")[:1000]:
        names[sha256].append(name)
    return {
        "file_count": numbers["count"],
        "rejected_count": data.rejected_count,
        "labels": _balance(files, "label", limit=_LABELS),
        "contents": _balance(files, "content"),
        "formats": _balance(files, "format"),
        "modes": _balance(files, "mode"),
        "size_bytes": {**_spread(numbers, "size_bytes"), "total": numbers["size_bytes_total"] or 0},
        "width": _spread(numbers, "width"),
        "height": _spread(numbers, "height"),
        "duplicates": [
            {"sha256": group["sha256"], "count": group["count"], "files": names[group["sha256"]]} for group in groups
        ],
    }


def _balance(files: Any, column: str, *, limit: int = 100) -> list[dict[str, Any]]:
    counted = files.exclude(**{column: ""}).values(column).annotate(count=Count("pk")).order_by("-count", column)
    return list(counted[:limit])


def _spread(numbers: dict[str, Any], column: str) -> dict[str, Any]:
    return {word: numbers[f"{column}_{word}"] for word in ("min", "mean", "max")}
