"""What deployments and prediction jobs need of the layers below, and how many a project has."""

from collections.abc import Iterator

from django.db.models import Count, Model, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from datasets.models import Data
from deployments.deploy import delete_deployment
from deployments.models import Deployment, DeploymentVersion, PredictionJob
from dlmodeler_site.access import User
from dlmodeler_site.registry import MOST_DESCENDANTS, Dependant, LineageNode
from dlmodeler_site.work.models import ACTIVE
from jobs.models import Job, Training
from projects.models import Project


def in_use_by(row: Model) -> Iterator[Dependant]:
    """What stands in the way of deleting `row`."""
    deployments, versions = Deployment.objects.none(), DeploymentVersion.objects.none()
    jobs = PredictionJob.objects.none()
    match row:
        case Project():
            deployments = row.deployments.exclude(status=Deployment.Status.STOPPED)
            jobs = PredictionJob.objects.filter(deployment__project=row, status__in=ACTIVE)
        case Job():
            versions = DeploymentVersion.objects.filter(training__job=row)
        case Training():
            versions = row.deployment_versions.all()
        case Deployment():
            jobs = row.prediction_jobs.filter(status__in=ACTIVE)
        case Data():
            jobs = PredictionJob.objects.filter(Q(data=row) | Q(labels_data=row))
        case DeploymentVersion():
            jobs = row.prediction_jobs.all()
        case _:
            return
    for name in deployments.values_list("name", flat=True):
        yield Dependant(_("deployment"), name)
    for version in versions.select_related("deployment"):
        if version.status == DeploymentVersion.Status.CURRENT:
            yield Dependant(_("deployment"), version.deployment.name)
        else:
            yield Dependant(_("version of a deployment"), f"{version.deployment.name} ({version})")
    for name in jobs.values_list("name", flat=True):
        yield Dependant(_("prediction job"), name)


def deployments_of_trainings(user: User, ids: list[int]) -> Iterator[tuple[int, LineageNode]]:
    """The deployments that serve each training's model."""
    deployments = Deployment.objects.visible_to(user).filter(version__training__in=ids).order_by("-pk")
    for training_pk, *values in deployments.values_list("version__training", "pk", "name", "status")[:MOST_DESCENDANTS]:
        yield training_pk, _node("deployment", "deployments:detail", *values)


def predictions_of_deployments(user: User, ids: list[int]) -> Iterator[tuple[int, LineageNode]]:
    """The prediction jobs of each deployment, with the data that they predict."""
    jobs = PredictionJob.objects.visible_to(user).filter(deployment__in=ids).order_by("-pk")
    rows = jobs.values_list("deployment", "pk", "name", "status", "data__name")
    for deployment_pk, *values in rows[:MOST_DESCENDANTS]:
        yield deployment_pk, _node("prediction_job", "deployments:prediction", *values)


def predictions_of_data(user: User, ids: list[int]) -> Iterator[tuple[int, LineageNode]]:
    """The prediction jobs on each data, with the deployment that predicts."""
    jobs = PredictionJob.objects.visible_to(user).filter(data__in=ids).order_by("-pk")
    for data_pk, *values in jobs.values_list("data", "pk", "name", "status", "deployment__name")[:MOST_DESCENDANTS]:
        yield data_pk, _node("prediction_job", "deployments:prediction", *values)


def _node(kind: str, page: str, pk: int, name: str, status: str, detail: str = "") -> LineageNode:
    return LineageNode(kind, pk, name, status, reverse(page, args=[pk]), detail)


def delete_in_project(project: Model) -> None:
    """Delete the project's deployments with their tokens and prediction jobs."""
    for deployment in Deployment.objects.filter(project=project.pk):
        delete_deployment(deployment)


def count_deployments(project_ids: list[int]) -> dict[int, int]:
    counted = Deployment.objects.filter(project__in=project_ids).order_by().values_list("project").annotate(Count("pk"))
    return dict(counted)
