"""What the pages of deployments and of prediction jobs share."""

from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django_tables2 import RequestConfig, Table

from deployments.models import Deployment
from projects.models import Project

PAGE_SIZES = (10, 25, 100)


def project_context(
    project: Project, user: User | AnonymousUser, *crumbs: tuple[str, str | None], **values: Any
) -> dict[str, Any]:
    """The context of a page of the section "deployments"."""
    return {
        "project": project,
        "section": "deployments",
        "can_edit": Project.objects.editable_by(user).filter(pk=project.pk).exists(),
        "breadcrumbs": [
            (project.name, reverse("datasets:list", args=[project.pk])),
            (_("Deployments"), reverse("deployments:list", args=[project.pk])),
            *crumbs,
        ],
        **values,
    }


def deployment_context(
    deployment: Deployment, user: User | AnonymousUser, *crumbs: tuple[str, str | None], **values: Any
) -> dict[str, Any]:
    """The context of a page of one deployment."""
    own = (deployment.name, reverse("deployments:detail", args=[deployment.pk]) if crumbs else None)
    return project_context(deployment.project, user, own, *crumbs, deployment=deployment, **values)


def paged(request: HttpRequest, table: Table) -> Table:
    """The table at the page, page size and order that the request asks for."""
    asked = request.GET.get("per_page", "")
    size = int(asked) if asked.isdigit() and int(asked) in PAGE_SIZES else PAGE_SIZES[1]
    RequestConfig(request, paginate={"per_page": size, "silent": True}).configure(table)
    return table


def whole_number(request: HttpRequest, name: str) -> int | None:
    """A query parameter as a number; None where it is missing or is none."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
