"""What the layers below are told about datasets: numbers for the project cards, and what stands in a deletion's way."""

from collections.abc import Iterator

from django.db.models import Count, Model, Sum
from django.utils.translation import gettext as _

from datasets.models import Data, Dataset
from datasets.versions import delete_dataset
from dlmodeler_site.registry import Dependant
from dlmodeler_site.work.models import ACTIVE
from projects.models import Project


def count_data(project_ids: list[int]) -> dict[int, int]:
    """The number of datasets in each project."""
    rows = Dataset.objects.filter(project__in=project_ids).order_by().values_list("project").annotate(Count("pk"))
    return dict(rows)


def count_bytes(project_ids: list[int]) -> dict[int, int]:
    """The bytes of the sound files in each project."""
    data = Data.objects.filter(dataset__project__in=project_ids).order_by()
    return dict(data.values_list("dataset__project").annotate(Sum("size_bytes")))


def delete_in_project(project: Model) -> None:
    """Delete the project's datasets with their data, files and thumbnails."""
    for dataset in Dataset.objects.filter(project=project.pk):
        delete_dataset(dataset)


def running_data(row: Model) -> Iterator[Dependant]:
    """The queued and running data of a project."""
    if isinstance(row, Project):
        for data in Data.objects.filter(dataset__project=row, status__in=ACTIVE):
            yield Dependant(_("data in work"), data.name)
