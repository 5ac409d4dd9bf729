"""What mends labelled images with one click: new data made by steps of their files.

Where the labels come from csv files, the new data has them on its images and the csv files are not needed any more:
rows of images that are left out would be surplus otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datasets.models import Data
from datasets.preprocessing.parameters import MAX_NAMES
from datasets.preprocessing.registry import MAX_STEPS
from dlmodeler_site.sentences import Sentence as _
from jobs.checking.findings import NewData
from jobs.readers.image_set import ImageSet

IMAGES, LABELS = "images", "labels"


@dataclass(frozen=True)
class Mender:
    """Makes the fixes for some images.

    Attributes:
        assigned: image -> label text.
        is_from_csv: whether the labels are those of csv files.
    """

    images: ImageSet
    assigned: Mapping[str, str]
    is_from_csv: bool

    def labelled_ones(self) -> NewData | None:
        """The images that have exactly one label, without the others."""
        title = _("Train on the %(count)s images that have one label", count=len(self.assigned))
        return self._made(title, [name for name in self.images.labels if name not in self.assigned])

    def without(self, names: Collection[str]) -> NewData | None:
        """Without these images."""
        title = (
            _("Train without this image")
            if len(names) == 1
            else _("Train without these %(count)s images", count=len(names))
        )
        return self._made(title, names)

    def without_refused(self) -> NewData | None:
        return self._made(_("Make a data without the refused files"), (), {"op": "drop_rejected"})

    def without_surplus(self, *, near: bool) -> NewData | None:
        """One of each group of images that are equal or look alike, none of those with different labels."""
        step = {"op": "drop_duplicates", "near": near, "across_labels": "drop_all"}
        return self._made(_("Keep one of each"), (), step)

    def _made(self, title: str, dropped: Collection[str], *then: dict[str, Any]) -> NewData | None:
        """None where nothing would be left, or there are more steps than a data can be made by."""
        dropped = self._surplus | set(dropped)
        lists = [dropped, self._relabelled]
        if not 1 <= sum(-(-len(names) // MAX_NAMES) for names in lists) + len(then) <= MAX_STEPS:
            return None
        if len(dropped) >= len(self.images.labels) and not self.assigned.keys() - dropped:
            return None

        def make_steps() -> list[dict[str, Any]]:
            steps: list[dict[str, Any]] = [{"op": "exclude", "files": some} for some in _in_turn(sorted(dropped))]
            for some in _in_turn([name for name in self._relabelled if name not in dropped]):
                labels = [self._relabelled[name] for name in some]
                steps.append({"op": "relabel_each", "files": some, "labels": labels})
            return [*steps, *then]

        return NewData(
            title, IMAGES, make_steps, names=sum(map(len, lists)), drops=(LABELS,) if self.is_from_csv else ()
        )

    @cached_property
    def _surplus(self) -> set[str]:
        """What does not go on where the csv files are not needed any more: images without label, and these files."""
        if not self.is_from_csv:
            return set()
        tables = {name for name, content in self.images.others.items() if content == Data.Content.TABLE}
        return tables | (self.images.labels.keys() - self.assigned.keys())

    @cached_property
    def _relabelled(self) -> dict[str, str]:
        """Images that do not carry the label of the csv files yet -> that label."""
        if not self.is_from_csv:
            return {}
        return {name: label for name, label in self.assigned.items() if self.images.labels[name] != label}


def _in_turn(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), MAX_NAMES):
        yield list(names[start : start + MAX_NAMES])
