"""The lists of the pages."""

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.tables import MAIN, TEXT, CellColumn, SiteTable, cell, created_by, moment, row_actions


class DatasetTable(SiteTable):
    chosen = cell("datasets/dataset_choice", verbose_name="", orderable=False)
    name = cell("datasets/dataset_name", verbose_name=_("Name"), attrs=MAIN)
    description = tables.Column(verbose_name=_("Description"), attrs=TEXT, orderable=False, default="–")
    newest_status = cell("datasets/dataset_status", verbose_name=_("Status"))
    data_count = tables.Column(verbose_name=_("Data"))
    size_bytes = CellColumn(template_name="cells/size.html", verbose_name=_("Size"))
    creator = created_by()
    created_at = moment(_("Created"))
    changed_at = moment(_("Changed"))
    actions = row_actions("datasets/dataset_actions")

    class Meta:
        order_by = "-created_at"


class DataTable(SiteTable):
    name = cell("datasets/data_name", verbose_name=_("Name"), attrs=MAIN)
    algorithm = cell("datasets/data_algorithm", verbose_name=_("Algorithm"), order_by="kind")
    status = cell("datasets/data_status", verbose_name=_("Status"))
    file_count = cell("datasets/data_files", verbose_name=_("Files"))
    path = cell("datasets/data_path", verbose_name=_("Path"), orderable=False)
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("datasets/data_actions")

    class Meta:
        order_by = "-created_at"


class ConnectionTable(SiteTable):
    name = cell("datasets/connection_name", verbose_name=_("Name"), attrs=MAIN)
    endpoint = tables.Column(verbose_name=_("Endpoint"), default="AWS", attrs=TEXT)
    bucket = cell("datasets/connection_bucket", verbose_name=_("Bucket"))
    checked_at = cell("datasets/connection_state", verbose_name=_("State"))
    creator = created_by()
    created_at = moment(_("Created"))
    actions = row_actions("datasets/connection_actions")

    class Meta:
        order_by = "name"
