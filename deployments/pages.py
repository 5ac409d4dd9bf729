"""What the pages of deployments and of prediction jobs share."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from datasets.steps import described_steps
from deployments.models import Deployment, DeploymentVersionQuerySet
from deployments.servable import preprocessing_steps, reads_tables
from jobs.models import Training
from projects.pages import Crumb, frame


def deployment_frame(request: HttpRequest, deployment: Deployment, *crumbs: Crumb, **values: Any) -> dict[str, Any]:
    """The frame of the pages of a deployment and its prediction jobs."""
    here = (deployment.name, reverse("deployments:detail", args=[deployment.pk]))
    return frame(request, deployment.project, "deployments", here, *crumbs, deployment=deployment, **values)


def version_rows(deployment: Deployment) -> DeploymentVersionQuerySet:
    """The versions of the deployment with what is shown of them, the last one first."""
    rows: DeploymentVersionQuerySet = deployment.versions.select_related("training__job", "creator")
    return rows


def preprocessing_of(training: Training | None) -> dict[str, Any]:
    """The preprocessing that can be connected to a deployment of the training."""
    steps = preprocessing_steps(training) if training else []
    return {"chosen_training": training, "reads_tables": reads_tables(training), "steps": described_steps(steps)}
