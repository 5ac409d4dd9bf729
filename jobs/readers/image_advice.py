"""What can be learned from some images, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Avg, Max, Min
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data, File
from jobs.algorithms.advice import ImageFacts, settings_for
from jobs.algorithms.base import Manifest, validate_hyperparameters
from jobs.checking.findings import listed
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
    sizes = _Sizes.of(images)
    looks = _looks(images)
    facts = ImageFacts(found.class_counts, sizes.mean_width, sizes.mean_height, **looks)
    settings = settings_for(manifest.name, facts)
    inputs = {"images": images.pk}
    if labels is not None:
        inputs["labels"] = labels.pk
    return Recommendation(
        algorithm=manifest.name,
        title=_(manifest.title),
        reason=" ".join(_reasons(images, labels, found, sizes, facts)),
        inputs=inputs,
        hyperparameters=validate_hyperparameters(manifest, {**found.follows, **settings.hyperparameters}),
        reasons=settings.reasons,
    )


@dataclass(frozen=True)
class _Sizes:
    """Widths and heights of the images in pixels."""

    least_width: int
    most_width: int
    mean_width: float
    least_height: int
    most_height: int
    mean_height: float

    @classmethod
    def of(cls, images: Data) -> _Sizes:
        rows = images.files.filter(state=File.State.OK, content=Data.Content.IMAGE)
        return cls(
            **rows.aggregate(
                **{
                    f"{word}_{side}": kind(side)
                    for side in ("width", "height")
                    for word, kind in (("least", Min), ("most", Max), ("mean", Avg))
                }
            )
        )

    def told(self) -> str:
        values = vars(self)
        if (self.least_width, self.least_height) == (self.most_width, self.most_height):
            return _("They measure %(most_width)s x %(most_height)s pixels.") % values
        return _("They measure %(least_width)s x %(least_height)s to %(most_width)s x %(most_height)s pixels.") % values


def _looks(images: Data) -> dict[str, Any]:
    """Mean saturation and how flat the images are; of what they were selected from where no pixel was looked at."""
    data: Data | None = images
    for _generation in range(5):
        profile = (data.profile if data else None) or {}
        if (saturation := profile.get("saturation")) and (colour := profile.get("colour")):
            levels = sorted((sum(level) for level in zip(*colour.values(), strict=True)), reverse=True)
            return {"saturation": saturation["mean"], "flat": sum(levels[:2]) / (sum(levels) or 1)}
        data = data.parent if data else None
    return {}


def _reasons(
    images: Data, labels: Data | None, found: ImageExamination, sizes: _Sizes, facts: ImageFacts
) -> Iterator[str]:
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
    yield source % {
        "labelled": len(found.assigned),
        "images": images.name,
        "labels": labels.name if labels else "",
        "classes": len(facts.counts),
        "fewest": facts.fewest,
        "most": facts.most,
    }
    yield sizes.told()
    yield _("Always naming the largest class would be right for %(percent).0f %% of them.") % {
        "percent": 100 * facts.most / facts.images
    }
    if found.errors:
        yield (
            ngettext(
                "The check found %(count)s problem to mend before training.",
                "The check found %(count)s problems to mend before training.",
                len(found.errors),
            )
            % {"count": len(found.errors)}
        )
