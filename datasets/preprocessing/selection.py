"""The list of files that steps are run on, and what selection steps do to it before any pixel is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dlmodeler_site.sentences import Sentence as _

LISTED = 20


class SelectionError(Exception):
    """A selection that these files do not allow; the message says why in words for the user."""

    def __init__(self, message: str, *, parameter: str, reason: str = "invalid_steps") -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter
        self.reason = reason


@dataclass(frozen=True)
class Effect:
    """What a step did: how many files it dropped, how many got another label, and how many went into each part."""

    dropped: int = 0
    relabelled: int = 0
    parts: tuple[tuple[str, int], ...] = ()


@dataclass
class Files:
    """The files in their order, column by column: under 400 bytes each, so that 200,000 fit into 80 MB.

    `kept` tells which are still there. `several`: places that stand for so many nameless files of a label.
    `rejected_count`: files that were refused and so are not listed.
    """

    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sha256s: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    several: dict[int, int] = field(default_factory=dict)
    rejected_count: int = 0

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]], *, rejected_count: int = 0) -> "Files":
        """From the rows of a manifest: name, label, sha256, fingerprint."""
        files = cls(rejected_count=rejected_count)
        labels: dict[str, str] = {}  # each label once, not once for each file
        for row in rows:
            files.names.append(row["name"])
            files.labels.append(labels.setdefault(row["label"], row["label"]))
            files.sha256s.append(row["sha256"])
            files.fingerprints.append(row["fingerprint"])
        return files

    def add_several(self, label: str, count: int) -> None:
        """Files of which nothing but the label is to be known."""
        self.several[len(self.names)] = count
        self.names.append("")
        self.labels.append(label)
        self.sha256s.append("")
        self.fingerprints.append("")

    @cached_property
    def kept(self) -> bytearray:
        """One byte for each file, 1 or 0."""
        return bytearray(b"\1") * len(self.names)

    @property
    def count(self) -> int:
        """How many files are still there."""
        return self._count(self.indices()) if self.several else self.kept.count(1)

    def _count(self, places: Sequence[int]) -> int:
        """How many files are in these places."""
        return sum(self.several.get(place, 1) for place in places) if self.several else len(places)

    def indices(self) -> list[int]:
        """The files that are still there, in order."""
        return [place for place, kept in enumerate(self.kept) if kept]

    def named(self, names: Sequence[str], *, parameter: str) -> list[int]:
        """The files of these names that are still there.

        Raises:
            SelectionError: naming those that are not files of the data at all.
        """
        found = [self._places.get(name) for name in names]
        unknown = [name for name, place in zip(names, found, strict=True) if place is None]
        if unknown:
            raise unknown_names(unknown, parameter=parameter)
        return [place for place in found if place is not None and self.kept[place]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names) if place not in self.several}

    def drop(self, places: Sequence[int]) -> Effect:
        for place in places:
            self.kept[place] = 0
        return Effect(dropped=self._count(places))

    def relabel(self, places: Sequence[int], label: str) -> Effect:
        changed = [place for place in places if self.labels[place] != label]
        for place in changed:
            self.labels[place] = label
        return Effect(relabelled=self._count(changed))


def unknown_names(names: Sequence[str], *, parameter: str) -> SelectionError:
    """The refusal of names that no file has; the first `LISTED` are told."""
    listed = ", ".join(f"“{name}”" for name in names[:LISTED]) + (", …" if len(names) > LISTED else "")
    if len(names) == 1:
        message = _("The data has no file %(names)s. Take the names as its list of files shows them.", names=listed)
    else:
        message = _(
            "The data has no files of %(count)d of these names: %(names)s. "
            "Take the names as its list of files shows them.",
            count=len(names),
            names=listed,
        )
    return SelectionError(message, parameter=parameter)
