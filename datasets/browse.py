"""The tree of a project's data: dataset > data."""

from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.choices import IMAGES, TABLES
from datasets.models import Data, Dataset
from dlmodeler_site import tree
from dlmodeler_site.work.models import Status
from projects.models import Project

_CONTENTS = {"image": IMAGES, "table": TABLES}


def dataset_nodes(project: Project, *, content: str) -> tree.Level:
    """The project's datasets below its folder of data."""
    here = reverse("datasets:browse", args=[project.pk])
    kept = Q(data__status=Status.COMPLETED, data__deleted_at=None)
    datasets = project.datasets.annotate(completed=Count("data", filter=kept))
    nodes = [
        tree.Node(
            dataset.name,
            url=f"{here}?{urlencode({'content': content, 'dataset': dataset.pk})}",
            note=str(dataset.completed),
        )
        for dataset in datasets.order_by("name")
    ]
    return tree.root(f"/mnt/{project.files_key}/data", tree.Level(nodes, _("This project has no data yet.")))


def data_nodes(dataset: Dataset, *, content: str) -> tree.Level:
    """The dataset's data; those that are completed and have the content ("image", "table", "" = any) can be chosen."""
    wanted = _CONTENTS.get(content, tuple(Data.Content))
    data = dataset.data.for_lists().select_related("dataset__project")
    return tree.Level([_data_node(each, wanted) for each in data], _("This dataset is empty."))


def _data_node(data: Data, wanted: tuple[str, ...]) -> tree.Node:
    if data.status != Status.COMPLETED:
        return tree.Node(data.name, note=data.get_status_display(), icon="folder", is_disabled=True)
    if data.content not in wanted:
        return tree.Node(data.name, note=data.get_content_display(), icon="folder", is_disabled=True)
    files = ngettext("%(number)s file", "%(number)s files", data.file_count) % {"number": data.file_count}
    return tree.Node(data.name, value=str(data.pk), path=data.path, note=files, icon="folder")
