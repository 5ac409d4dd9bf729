"""Columns that the lists of all apps share."""

from collections.abc import Iterator
from typing import Any

import django_tables2 as tables
from django.http import HttpRequest
from django.template import Context
from django.template.loader import get_template
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_tables2.columns import BoundColumn
from django_tables2.rows import BoundRow

MAIN = {"td": {"class": "dlm-cell-main"}}
TEXT = {"td": {"class": "dlm-cell-text"}}


class CellColumn(tables.TemplateColumn):
    """Its template knows `record` and `value`, and what the page it is on knows."""

    def draw(self, context: Context, record: Any) -> SafeString:
        """The cell as an included template: no context processor runs for it."""
        template = get_template(self.template_name).template  # type: ignore[attr-defined]
        with context.push(record=record, value=self.accessor.resolve(record, quiet=True)):
            cell: SafeString = template.render(context)
        return cell


class SiteTable(tables.Table):
    """A table that shows viewers no boxes to tick and no actions."""

    for_editors = ("chosen", "actions")

    def __init__(self, *args: Any, can_edit: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_edit:
            for name in set(self.for_editors) & set(self.columns.names()):
                self.columns.hide(name)

    def before_render(self, request: HttpRequest) -> None:
        """What is the same in all cells of a column."""
        for column in self.columns:
            column.label = strip_tags(column.header)
            column.td = column.attrs["td"].as_html()

    def drawn_rows(self) -> Iterator[tuple[BoundRow, list[tuple[BoundColumn, Any]]]]:
        """The page's rows with their cells; `row.items` inspects the signature of `render` for each cell."""
        columns = list(self.columns)
        for row in self.paginated_rows:
            yield (
                row,
                [
                    (
                        column,
                        column.column.draw(self.context, row.record)
                        if isinstance(column.column, CellColumn)
                        else row.get_cell(column.name),
                    )
                    for column in columns
                ],
            )


def cell(template: str, **options: Any) -> CellColumn:
    """A column whose cells are rendered by `<app>/cells/<name>.html`, given as "<app>/<name>"."""
    app, name = template.split("/")
    return CellColumn(template_name=f"{app}/cells/{name}.html", **options)


def named() -> CellColumn:
    """The row's name as a link to its page, with its description below."""
    return CellColumn(template_name="cells/name.html", verbose_name=_("Name"), attrs=MAIN)


def created_by() -> tables.Column:
    return tables.Column(accessor="creator__username", verbose_name=_("Creator"), default="–")


def work_status() -> CellColumn:
    """The state of work, and how far it is while it runs."""
    return CellColumn(template_name="cells/work_status.html", verbose_name=_("Status"))


def moment(title: Any) -> CellColumn:
    """A relative time, exact on hover."""
    return CellColumn(template_name="cells/time.html", verbose_name=title)


def row_actions(template: str) -> CellColumn:
    """What can be done with the row."""
    return cell(template, verbose_name="", orderable=False, attrs={"td": {"class": "dlm-cell-actions"}})


class TrashTable(SiteTable):
    """What can be restored: rows of `dlmodeler_site.trash.TrashEntry`."""

    name = CellColumn(template_name="cells/trash_name.html", verbose_name=_("Name"), attrs=MAIN)
    size_bytes = CellColumn(template_name="cells/size.html", verbose_name=_("Space it frees"))
    deleted_at = moment(_("Deleted"))
    deleted_by = tables.Column(verbose_name=_("By"), default="–")
    days_left = CellColumn(template_name="cells/days_left.html", verbose_name=_("Can be restored for"))
    actions = CellColumn(
        template_name="cells/trash_actions.html",
        verbose_name="",
        orderable=False,
        attrs={"td": {"class": "dlm-cell-actions"}},
    )
