"""What the check of a job's data can find."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

LISTED = 100  # names in one finding; their number is always told
TOLD_NAMES = 1000  # a fix that names more files is told without its steps

_INTEGER = re.compile(r"[+-]?[0-9]+")

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
FIX_KINDS = [("new_data", "new_data"), ("hyperparameter", "hyperparameter")]


@dataclass(frozen=True)
class Place:
    """What a finding is about: the name of a file, and what is to be said of it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class NewData:
    """Mends a finding by a new data, made by steps from the job's data for an input, that the job then reads.

    Attributes:
        title: what is made, for a button.
        input: name of the input whose data it is made from and takes the place of.
        make_steps: the steps; called only when they are needed, for they may name every file.
        names: the number of files that the steps name.
        drops: inputs that the job does not need any more.
    """

    title: str
    input: str
    make_steps: Callable[[], list[dict[str, Any]]]
    names: int = 0
    drops: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        steps = self.make_steps() if self.names <= TOLD_NAMES else None
        return {"kind": "new_data", "title": self.title, "input": self.input, "steps": steps, "values": None}


@dataclass(frozen=True)
class Adjustment:
    """Mends a finding by other hyperparameters."""

    title: str
    values: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "hyperparameter", "title": self.title, "input": None, "steps": None, "values": self.values}


FixAction = NewData | Adjustment


@dataclass(frozen=True)
class Finding:
    """Something about the data that stands in the way of a training (error), that one should see to (warning), or that
    the training sees to by itself (info).

    `hyperparameter`: the one that does not fit the data, where that is what was found.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    places: tuple[Place, ...] = ()
    count: int = 0  # of all places; only the first `LISTED` are kept
    hyperparameter: str = ""
    fix_action: FixAction | None = None

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
            "fix_action": self.fix_action.as_dict() if self.fix_action else None,
        }


def finding(
    severity: Severity,
    code: str,
    message: str,
    fix: str,
    places: Iterable[Place] = (),
    *,
    count: int | None = None,
    hyperparameter: str = "",
    fix_action: FixAction | None = None,
) -> Finding:
    """A finding of which the first places are kept and all are counted, unless `count` says how many there are."""
    each = iter(places)
    kept = tuple(islice(each, LISTED))
    total = len(kept) + sum(1 for _more in each) if count is None else count
    return Finding(code, severity, message, fix, kept, total, hyperparameter, fix_action)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings before what one only should know, each in the order given."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def listed(texts: Iterable[str], *, most: int = 10) -> str:
    """The texts in one line, cut short when they are many."""
    every = list(texts)
    return ", ".join(every[:most]) + (", …" if len(every) > most else "")


def label_order(label: str) -> tuple[bool, int, str]:
    """A sort key: integers by value before names."""
    return (False, int(label), "") if _INTEGER.fullmatch(label) and len(label) < 20 else (True, 0, label)
