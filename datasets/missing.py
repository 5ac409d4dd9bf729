"""What an upload that is taken up again need not send: the files that the data has already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datasets.inspection.names import NameRefused, last_folder
from datasets.models import Data, File
from datasets.uploads import check_open, checked_name

MOST = 10_000  # in one call
_BATCH = 500


@dataclass(frozen=True)
class Offer:
    """A file that the sender could send."""

    name: str
    size_bytes: int


def missing(data: Data, offers: Sequence[Offer], *, labels_from_folders: bool, unzip: bool) -> list[str]:
    """The names, as they were given, of the files that are to be sent.

    A file is there when one of its name and size is, taken with the same options. One that was refused is not there:
    sent again, it is refused again, with the reason.

    Raises:
        Conflict: the data takes no more files.
    """
    check_open(data)
    return [
        offer.name
        for start in range(0, len(offers), _BATCH)
        for offer in _missing(data, offers[start : start + _BATCH], labels_from_folders, unzip)
    ]


def _missing(data: Data, offers: Sequence[Offer], labels_from_folders: bool, unzip: bool) -> Iterator[Offer]:
    names = [_name(offer.name) for offer in offers]
    taken = {file.name: file for file in data.files.named(names).filter(state=File.State.PENDING)}
    for offer, name in zip(offers, names, strict=True):
        file = taken.get(name)
        if file is None or file.size_bytes != offer.size_bytes or unzip != (file.source == File.Source.ARCHIVE):
            yield offer
        elif unzip:
            if file.labelled_by_folder != labels_from_folders:
                yield offer
        elif file.label != (last_folder(name) if labels_from_folders else ""):
            yield offer


def _name(given: str) -> str:
    """The name that the file would have; empty if it would be refused."""
    try:
        return checked_name(given)
    except NameRefused:
        return ""
