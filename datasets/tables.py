"""The lists of the pages."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _
from django_tables2.utils import Accessor

from datasets.models import Data, Dataset, File

_MAIN = {"td": {"class": "dlm-cell-main"}}
_TEXT = {"td": {"class": "dlm-cell-text text-secondary"}}
_ACTIONS = {"td": {"class": "dlm-cell-actions"}}


def _cell(template: str, **options: object) -> tables.TemplateColumn:
    return tables.TemplateColumn(template_name=f"datasets/cells/{template}.html", **options)


class DatasetTable(tables.Table):
    chosen = _cell("dataset_choice", verbose_name="", orderable=False)
    name = _cell("dataset_name", verbose_name=_("Name"), attrs=_MAIN)
    description = tables.Column(verbose_name=_("Description"), attrs=_TEXT, orderable=False, default="–")
    newest_status = _cell("dataset_status", verbose_name=_("Status"))
    data_count = tables.Column(verbose_name=_("Data"))
    creator = tables.Column(verbose_name=_("Creator"), accessor=Accessor("creator__username"), default="–")
    created_at = _cell("created", verbose_name=_("Created"))
    changed_at = _cell("changed", verbose_name=_("Changed"))
    actions = _cell("dataset_actions", verbose_name="", orderable=False, attrs=_ACTIONS)

    class Meta:
        model = Dataset
        fields = ()
        order_by = ("-created_at",)


class DataTable(tables.Table):
    name = _cell("data_name", verbose_name=_("Name"), attrs=_MAIN)
    description = tables.Column(verbose_name=_("Description"), attrs=_TEXT, orderable=False, default="–")
    algorithm = _cell("data_algorithm", verbose_name=_("Algorithm"), order_by="kind")
    status = _cell("data_status", verbose_name=_("Status"))
    file_count = _cell("data_files", verbose_name=_("Files"))
    path = _cell("data_path", verbose_name=_("Path"), orderable=False)
    creator = tables.Column(verbose_name=_("Creator"), accessor=Accessor("creator__username"), default="–")
    created_at = _cell("created", verbose_name=_("Created"))
    actions = _cell("data_actions", verbose_name="", orderable=False, attrs=_ACTIONS)

    class Meta:
        model = Data
        fields = ()
        order_by = ("-created_at",)


class FileTable(tables.Table):
    thumbnail = _cell("file_thumbnail", verbose_name="", orderable=False)
    name = _cell("file_name", verbose_name=_("Name"), attrs=_MAIN)
    state = _cell("file_state", verbose_name=_("State"), orderable=False)
    size_bytes = _cell("file_size", verbose_name=_("Size"))
    pixels = _cell("file_pixels", verbose_name=_("Pixels"), orderable=False)
    label = tables.Column(verbose_name=_("Label"), default="–")

    class Meta:
        model = File
        fields = ()
        order_by = ("pk",)
