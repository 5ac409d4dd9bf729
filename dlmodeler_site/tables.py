"""Columns that the lists of all apps share."""

from typing import Any

import django_tables2 as tables
from django.utils.translation import gettext_lazy as _

MAIN = {"td": {"class": "dlm-cell-main"}}
TEXT = {"td": {"class": "dlm-cell-text"}}


class SiteTable(tables.Table):
    """A table that shows viewers no boxes to tick and no actions."""

    for_editors = ("chosen", "actions")

    def __init__(self, *args: Any, can_edit: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_edit:
            for name in set(self.for_editors) & set(self.columns.names()):
                self.columns.hide(name)


def cell(template: str, **options: Any) -> tables.TemplateColumn:
    """A column whose cells are rendered by `<app>/cells/<name>.html`, given as "<app>/<name>"."""
    app, name = template.split("/")
    return tables.TemplateColumn(template_name=f"{app}/cells/{name}.html", **options)


def named() -> tables.TemplateColumn:
    """The row's name as a link to its page, with its description below."""
    return tables.TemplateColumn(template_name="cells/name.html", verbose_name=_("Name"), attrs=MAIN)


def created_by() -> tables.Column:
    return tables.Column(accessor="creator__username", verbose_name=_("Creator"), default="–")


def work_status() -> tables.TemplateColumn:
    """The state of work, and how far it is while it runs."""
    return tables.TemplateColumn(template_name="cells/work_status.html", verbose_name=_("Status"))


def moment(title: Any) -> tables.TemplateColumn:
    """A relative time, exact on hover."""
    return tables.TemplateColumn(template_name="cells/time.html", verbose_name=title)


def row_actions(template: str) -> tables.TemplateColumn:
    """What can be done with the row."""
    return cell(template, verbose_name="", orderable=False, attrs={"td": {"class": "dlm-cell-actions"}})
