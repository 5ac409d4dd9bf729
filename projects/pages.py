"""The frame of every page inside a project."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from projects.models import Project

Crumb = tuple[str, str | None]  # title, and address where it leads anywhere

SECTIONS = {
    "data": (gettext_lazy("Data"), "datasets:list"),
    "jobs": (gettext_lazy("Jobs"), "jobs:list"),
    "deployments": (gettext_lazy("Deployments"), "deployments:list"),
}


def frame(request: HttpRequest, project: Project, section: str, *crumbs: Crumb, **values: Any) -> dict[str, Any]:
    """The context of a page: its section of the project, what it stands under, and whether the user may change things.

    `crumbs` follow "Projects / project / section"; `values` are what the page itself shows.
    """
    title, start = SECTIONS[section]
    return {
        "project": project,
        "section": section,
        "breadcrumbs": [
            (_("Projects"), reverse("projects:list")),
            (project.name, reverse("datasets:list", args=[project.pk])),
            (title, reverse(start, args=[project.pk])),
            *crumbs,
        ],
        "can_edit": Project.objects.editable_by(request.user).filter(pk=project.pk).exists(),
        **values,
    }
