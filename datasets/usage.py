"""What the layers below are told about datasets: numbers for the project cards, and what stands in a deletion's way."""

from collections.abc import Iterator

from django.db.models import Count, Model, Sum
from django.utils.translation import gettext as _

from datasets.models import Data, Dataset, Export, disk_bytes
from dlmodeler_site.registry import Dependant
from dlmodeler_site.trash import GONE
from dlmodeler_site.work.models import ACTIVE
from projects.models import Project


def count_data(project_ids: list[int]) -> dict[int, int]:
    """The number of datasets in each project."""
    rows = Dataset.objects.filter(project__in=project_ids).order_by().values_list("project").annotate(Count("pk"))
    return dict(rows)


def count_bytes(project_ids: list[int]) -> dict[int, int]:
    """The bytes that the data of each project take, with their thumbnails."""
    data = Data.objects.filter(dataset__project__in=project_ids).order_by()
    return dict(data.values_list("dataset__project").annotate(total=Sum(disk_bytes())))


def count_trash_bytes(project_ids: list[int]) -> dict[int, int]:
    """The bytes that the data in the trash of each project take."""
    data = Data.everything.filter(dataset__project__in=project_ids, deleted_at__gt=GONE).order_by()
    return dict(data.values_list("dataset__project").annotate(total=Sum(disk_bytes())))


def running_work(row: Model) -> Iterator[Dependant]:
    """The queued and running data of a project, and the running exports of a project or data."""
    if isinstance(row, Project):
        for name in Data.objects.filter(dataset__project=row, status__in=ACTIVE).values_list("name", flat=True):
            yield Dependant(_("data in work"), name)
    if isinstance(row, Project | Data):
        of_row = {"data": row} if isinstance(row, Data) else {"data__dataset__project": row}
        for prefix in Export.objects.filter(**of_row, status__in=ACTIVE).values_list("prefix", flat=True):
            yield Dependant(_("export"), prefix)
