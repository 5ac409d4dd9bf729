"""What can be learned from some images, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from django.db.models import Max, Min
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data, File
from jobs.algorithms.base import Manifest
from jobs.findings import listed
from jobs.readers.base import Advice, Recommendation
from jobs.readers.image_set import ImageSet

if TYPE_CHECKING:
    from jobs.readers.labelled_images import ImageExamination

    Examine = Callable[[ImageSet, Data | None], ImageExamination]


def advise(manifest: Manifest, ready: Sequence[Data], *, examine: Examine) -> Advice:
    """The data among these whose images are labelled, by csv files among these or by themselves."""
    with_images = [data for data in ready if _holds(data, Data.Content.IMAGE)]
    with_tables = [data for data in ready if _holds(data, Data.Content.TABLE)]
    if not with_images:
        names = listed(f"“{data.name}”" for data in ready)
        return Advice(
            [],
            _("%(names)s: there is no image. %(algorithm)s needs images.")
            % {"names": names, "algorithm": _(manifest.title)},
        )
    candidates = list(_candidates(with_images, with_tables, examine))
    labelled = [(images, labels, found) for images, labels, found in candidates if len(found.images_of) > 1]
    if not labelled:
        reasons = (
            f"{found.errors[0].message} {found.errors[0].fix}" for _images, _labels, found in candidates if found.errors
        )
        return Advice([], listed(dict.fromkeys(reasons), most=3))
    # More labelled images first, then fewer things to mend.
    labelled.sort(key=lambda each: (-len(each[2].assigned), len(each[2].errors)))
    best: dict[int, tuple[Data, Data | None, ImageExamination]] = {}
    for each in labelled:
        best.setdefault(each[0].pk, each)
    return Advice([_recommendation(manifest, *each) for each in best.values()])


def _holds(data: Data, content: str) -> bool:
    return data.files.filter(state=File.State.OK, content=content).exists()


def _candidates(
    with_images: list[Data], with_tables: list[Data], examine: Examine
) -> Iterator[tuple[Data, Data | None, ImageExamination]]:
    for images in with_images:
        read = ImageSet.read(images)
        for labels in (*with_tables, None):
            yield images, labels, examine(read, labels)


def _recommendation(manifest: Manifest, images: Data, labels: Data | None, found: ImageExamination) -> Recommendation:
    sizes = images.files.filter(state=File.State.OK, content=Data.Content.IMAGE).aggregate(
        least_width=Min("width"), most_width=Max("width"), least_height=Min("height"), most_height=Max("height")
    )
    numbers = sorted(map(len, found.images_of.values()))
    source = (
        _(
            "%(labelled)s images of “%(images)s” carry a label: "
            "%(classes)s classes with %(fewest)s to %(most)s images each."
        )
        if labels is None
        else _(
            "%(labelled)s images of “%(images)s” have a label in “%(labels)s”: "
            "%(classes)s classes with %(fewest)s to %(most)s images each."
        )
    )
    parts = [
        source
        % {
            "labelled": len(found.assigned),
            "images": images.name,
            "labels": labels.name if labels else "",
            "classes": len(numbers),
            "fewest": numbers[0],
            "most": numbers[-1],
        },
        (
            _("They measure %(most_width)s x %(most_height)s pixels.")
            if (sizes["least_width"], sizes["least_height"]) == (sizes["most_width"], sizes["most_height"])
            else _("They measure %(least_width)s x %(least_height)s to %(most_width)s x %(most_height)s pixels.")
        )
        % sizes,
    ]
    if found.errors:
        parts.append(
            ngettext(
                "The check found %(count)s problem to mend before training.",
                "The check found %(count)s problems to mend before training.",
                len(found.errors),
            )
            % {"count": len(found.errors)}
        )
    inputs = {"images": images.pk}
    if labels is not None:
        inputs["labels"] = labels.pk
    defaults = {each.name: each.default for each in manifest.hyperparameters}
    return Recommendation(
        algorithm=manifest.name,
        title=_(manifest.title),
        reason=" ".join(parts),
        inputs=inputs,
        hyperparameters={**defaults, "num_types": len(numbers)},
    )
