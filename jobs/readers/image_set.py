"""The images of a data as the check needs them: read once, whatever they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datasets.models import Data, File


@dataclass(frozen=True)
class ImageSet:
    """The sound images of a data.

    Attributes:
        labels: name -> the label that the file carries, "" for none; in the order of the files.
        sha256s: name -> hash of its bytes.
    """

    data: Data
    labels: dict[str, str]
    sha256s: dict[str, str]

    @classmethod
    def read(cls, data: Data) -> ImageSet:
        labels: dict[str, str] = {}
        sha256s: dict[str, str] = {}
        known: dict[str, str] = {}  # each label once, not once for each file
        rows = data.files.filter(state=File.State.OK, content=Data.Content.IMAGE).order_by("pk")
        for name, label, sha256 in rows.values_list("name", "label", "sha256").iterator(chunk_size=5000):
            labels[name] = known.setdefault(label, label)
            sha256s[name] = sha256
        return cls(data, labels, sha256s)

    @cached_property
    def refused(self) -> dict[str, str]:
        """Name of a refused file -> why."""
        return dict(self.data.files.filter(state=File.State.REJECTED).values_list("name", "error"))

    @cached_property
    def others(self) -> dict[str, str]:
        """Name of a sound file that is no image -> what it is."""
        rows = self.data.files.filter(state=File.State.OK).exclude(content=Data.Content.IMAGE)
        return dict(rows.values_list("name", "content"))

    @cached_property
    def equal(self) -> list[list[str]]:
        """Groups of images with the same bytes."""
        first: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for name, sha256 in self.sha256s.items():
            one = first.setdefault(sha256, name)
            if one is not name:
                groups.setdefault(sha256, [one]).append(name)
        return list(groups.values())

    @property
    def profile(self) -> dict[str, Any]:
        """What the inspection measured (docs/contracts.md); empty where it told nothing."""
        return self.data.profile or {}

    def groups(self) -> dict[str, int]:
        """Name -> number of its group, of the images that look like others; the groups are those of the profile."""
        from datasets.inspection.duplicates import near_groups  # Not above: the site's pages load no numpy.

        rows = self.data.files.filter(state=File.State.OK, content=Data.Content.IMAGE).order_by()
        prints = sorted(rows.values_list("name", "fingerprint"), key=lambda row: row[0].encode())
        found = near_groups([fingerprint for _name, fingerprint in prints])
        return {prints[place][0]: number for number, places in enumerate(found) for place in places}

    def alike(self) -> tuple[int, int, Iterator[list[str]]]:
        """How many groups look alike, how many images there are beyond one of each, and the largest groups."""
        told = self.profile.get("near_duplicates") or {}
        groups = ([file["name"] for file in group["files"]] for group in told.get("largest", ()))
        return told.get("groups", 0), told.get("files", 0), groups
