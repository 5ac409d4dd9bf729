"""What the check of a job's data can find."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

LISTED = 100  # names in one finding; their number is always told

_INTEGER = re.compile(r"[+-]?[0-9]+")

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Place:
    """What a finding is about: the name of a file, and what is to be said of it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Something about the data that stands in the way of a training (error) or that one should know (warning).

    `hyperparameter`: the one that does not fit the data, where that is what was found.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    places: tuple[Place, ...] = ()
    count: int = 0  # of all places; only the first `LISTED` are kept
    hyperparameter: str = ""

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(place.name for place in self.places))

    @property
    def more(self) -> int:
        """How many places are not listed."""
        return self.count - len(self.places)

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "files": self.files,
            "file_count": self.count,
            "places": [{"name": place.name, "note": place.note} for place in self.places],
            "fix": self.fix,
        }


def finding(
    severity: Severity,
    code: str,
    message: str,
    fix: str,
    places: Iterable[Place] = (),
    *,
    hyperparameter: str = "",
) -> Finding:
    """A finding of which the first places are kept and all are counted."""
    every = list(places)
    return Finding(code, severity, message, fix, tuple(every[:LISTED]), len(every), hyperparameter)


def listed(texts: Iterable[str], *, most: int = 10) -> str:
    """The texts in one line, cut short when they are many."""
    every = list(texts)
    return ", ".join(every[:most]) + (", …" if len(every) > most else "")


def label_order(label: str) -> tuple[bool, int, str]:
    """A sort key: integers by value before names."""
    return (False, int(label), "") if _INTEGER.fullmatch(label) and len(label) < 20 else (True, 0, label)
