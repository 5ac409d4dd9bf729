"""What other apps' forms offer: the completed data of a project."""

from datasets.models import Data, DataQuerySet
from dlmodeler_site.work.models import Status
from projects.models import Project

IMAGES = (Data.Content.IMAGE, Data.Content.MIXED)
TABLES = (Data.Content.TABLE, Data.Content.MIXED)


def completed_data(project: Project, *, content: tuple[str, ...] = ()) -> DataQuerySet:
    """The data of the project that can be chosen: completed ones, of these contents if any are given."""
    data: DataQuerySet = Data.objects.filter(dataset__project=project, status=Status.COMPLETED)
    if content:
        data = data.filter(content__in=content)
    chosen: DataQuerySet = data.select_related("dataset__project")
    return chosen.for_lists()
