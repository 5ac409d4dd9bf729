"""Which algorithm fits the data, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data, File
from dlmodeler_site.errors import UserError
from dlmodeler_site.work.models import Status
from jobs import preflight
from jobs.algorithms.image_classification.manifest import IMAGE_CLASSIFICATION
from jobs.findings import listed
from jobs.preflight import IMAGES, LABELS, Examination
from projects.models import Project

MOST_DATA = 20


@dataclass(frozen=True)
class Recommendation:
    """An algorithm for some data: why, with which data for which input, and what to start with."""

    algorithm: str
    title: str
    reason: str
    inputs: dict[str, int]
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class Advice:
    """The algorithms that fit, best first; `reason` says why there is none."""

    recommendations: list[Recommendation]
    reason: str = ""


def recommend(project: Project, data_ids: Sequence[int]) -> Advice:
    """What the data of these ids can be used for. UserError names ids that are no data of the project."""
    if not 1 <= len(data_ids) <= MOST_DATA:
        raise UserError(
            _("Name 1 to %(most)s data; received %(count)s.") % {"most": MOST_DATA, "count": len(data_ids)},
            reason="invalid",
            field="data",
        )
    found = {
        data.pk: data
        for data in Data.objects.filter(dataset__project=project, pk__in=data_ids).select_related("dataset__project")
    }
    if missing := [str(pk) for pk in data_ids if pk not in found]:
        raise UserError(
            _("There is no data with the id %(ids)s in the project “%(project)s”.")
            % {"ids": ", ".join(missing), "project": project.name},
            reason="unknown_data",
            field="data",
        )
    every = [found[pk] for pk in dict.fromkeys(data_ids)]
    ready = [data for data in every if data.status == Status.COMPLETED]
    if not ready:
        names = listed(f"“{data.name}” ({data.get_status_display().lower()})" for data in every)
        return Advice([], _("No data is completed yet: %(names)s. Wait until it is.") % {"names": names})
    return _classification(ready)


def _classification(ready: list[Data]) -> Advice:
    contents = _contents(ready)
    with_images = [data for data in ready if contents[data.pk].get(Data.Content.IMAGE)]
    with_tables = [data for data in ready if contents[data.pk].get(Data.Content.TABLE)]
    if not with_images:
        names = listed(f"“{data.name}”" for data in ready)
        return Advice([], _("%(names)s: there is no image. Image classification needs images.") % {"names": names})
    candidates = list(_candidates(with_images, with_tables))
    labelled = [(images, labels, found) for images, labels, found in candidates if len(found.images_of) > 1]
    if not labelled:
        reasons = (
            f"{found.errors[0].message} {found.errors[0].fix}" for _images, _labels, found in candidates if found.errors
        )
        return Advice([], listed(dict.fromkeys(reasons), most=3))
    # More labelled images first, then fewer things to mend.
    labelled.sort(key=lambda each: (-len(each[2].assigned), len(each[2].errors)))
    best: dict[int, tuple[Data, Data | None, Examination]] = {}
    for each in labelled:
        best.setdefault(each[0].pk, each)
    return Advice([_recommendation(*each) for each in best.values()])


def _candidates(with_images: list[Data], with_tables: list[Data]) -> Iterator[tuple[Data, Data | None, Examination]]:
    for images in with_images:
        for labels in (*with_tables, None):
            yield images, labels, preflight.examine(images, labels)


def _recommendation(images: Data, labels: Data | None, found: Examination) -> Recommendation:
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
    inputs = {IMAGES: images.pk}
    if labels is not None:
        inputs[LABELS] = labels.pk
    defaults = {each.name: each.default for each in IMAGE_CLASSIFICATION.hyperparameters}
    return Recommendation(
        algorithm=IMAGE_CLASSIFICATION.name,
        title=_(IMAGE_CLASSIFICATION.title),
        reason=" ".join(parts),
        inputs=inputs,
        hyperparameters={**defaults, "num_types": len(numbers)},
    )


def _contents(every: list[Data]) -> dict[int, dict[str, int]]:
    """Data id -> content -> number of sound files."""
    contents: dict[int, dict[str, int]] = {data.pk: {} for data in every}
    rows = (
        File.objects.filter(data__in=every, state=File.State.OK)
        .order_by()
        .values_list("data", "content")
        .annotate(Count("pk"))
    )
    for pk, content, count in rows:
        contents[pk][content] = count
    return contents
