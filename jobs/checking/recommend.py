"""Which algorithm fits the data, and why."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from datasets.models import Data
from dlmodeler_site.errors import UserError
from dlmodeler_site.work.models import Status
from jobs.algorithms.registry import manifests
from jobs.checking.findings import listed
from jobs.definition import algorithm
from jobs.models import Job
from jobs.readers.base import Advice, Recommendation
from jobs.readers.registry import reader, reader_of
from projects.models import Project

MOST_DATA = 20


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
    advised = [reader(manifest).advise(manifest, ready) for manifest in manifests()]
    recommendations: list[Recommendation] = []
    read: set[int] = set()
    for each in (each for advice in advised for each in advice.recommendations):
        data = set(each.inputs.values())
        if not data <= read or not recommendations:  # A label csv that goes with images is no table of its own.
            recommendations.append(each)
        read |= data
    if recommendations:
        return Advice(recommendations)
    return Advice([], " ".join(dict.fromkeys(advice.reason for advice in advised if advice.reason)))


def recommend_for(job: Job) -> Recommendation | None:
    """What a training of the job would start with; None where its data cannot be learned from as they are."""
    data = [each for each in job.data_by_input().values() if each.status == Status.COMPLETED]
    if not job.algorithm or not data:
        return None
    advice = reader_of(job.algorithm).advise(algorithm(job.algorithm), data)
    fitting = [each for each in advice.recommendations if each.inputs == job.input_ids]
    return fitting[0] if fitting else None
