"""What the pages of deployments and of prediction jobs share."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from deployments.models import Deployment
from projects.pages import Crumb, frame


def deployment_frame(request: HttpRequest, deployment: Deployment, *crumbs: Crumb, **values: Any) -> dict[str, Any]:
    """The frame of the pages of a deployment and its prediction jobs."""
    here = (deployment.name, reverse("deployments:detail", args=[deployment.pk]))
    return frame(request, deployment.project, "deployments", here, *crumbs, deployment=deployment, **values)
