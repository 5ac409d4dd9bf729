"""What jobs tell the layers below: which data they read, what of a project runs, how many there are."""

from collections.abc import Iterator

from django.db.models import Count, Model, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from datasets.models import Data, Dataset
from dlmodeler_site import registry
from dlmodeler_site.access import User
from dlmodeler_site.work.models import ACTIVE
from jobs.definition import delete_job
from jobs.models import Evaluation, Job, Training
from projects.models import Project


def register() -> None:
    registry.register_dependants(dependants)
    registry.register_descendants("data", trainings_of_data)
    registry.register_contents(delete_in_project)
    registry.register_counter("jobs", count_jobs)
    registry.register_counter("running", count_active_trainings)


def delete_in_project(project: Model) -> None:
    """Delete the project's jobs with their trainings and models."""
    for job in Job.objects.filter(project=project.pk):
        delete_job(job)


def dependants(row: Model) -> Iterator[registry.Dependant]:
    """Jobs and evaluations that read the data; what is queued or running in the training, the job or the project."""
    jobs, trainings, measured = Job.objects.none(), Training.objects.none(), Evaluation.objects.none()
    active = Evaluation.objects.filter(status__in=ACTIVE)
    if isinstance(row, Data):
        jobs = Job.objects.filter(inputs__data=row)
        measured = Evaluation.objects.filter(Q(data=row) | Q(labels_data=row))
    elif isinstance(row, Dataset):
        jobs = Job.objects.filter(inputs__data__dataset=row)
        measured = Evaluation.objects.filter(Q(data__dataset=row) | Q(labels_data__dataset=row))
    elif isinstance(row, Training):
        measured = active.filter(training=row)
    elif isinstance(row, Job):
        trainings = row.trainings.filter(status__in=ACTIVE)
        measured = active.filter(training__job=row)
    elif isinstance(row, Project):
        trainings = Training.objects.filter(job__project=row, status__in=ACTIVE)
        measured = active.filter(training__job__project=row)
    for name in jobs.order_by("name").values_list("name", flat=True).distinct():
        yield registry.Dependant(_("job"), name)
    for name in trainings.order_by("name").values_list("name", flat=True):
        yield registry.Dependant(_("training"), name)
    for name in measured.order_by("training__name").values_list("training__name", flat=True).distinct():
        yield registry.Dependant(_("evaluation of"), name)


def trainings_of_data(user: User, data_ids: list[int]) -> Iterator[tuple[int, registry.LineageNode]]:
    """The trainings on each data, those left out that were made before the data of their job was changed."""
    trainings = Training.objects.visible_to(user).filter(job__inputs__data__in=data_ids)
    rows = trainings.order_by("-pk").values_list(
        "job__inputs__data",
        "job__inputs__data__manifest_sha256",
        "job__inputs__name",
        "record_of_run__data",
        *("pk", "name", "status", "accuracy", "job__name"),
    )
    for data_pk, manifest, name, made_from, *values in rows[: registry.MOST_DESCENDANTS]:
        if (made_from or {}).get(name, manifest) == manifest:
            yield data_pk, _training_node(*values)


def _training_node(pk: int, name: str, status: str, accuracy: float | None, job: str) -> registry.LineageNode:
    detail = job if accuracy is None else _("%(job)s, accuracy %(accuracy).3g") % {"job": job, "accuracy": accuracy}
    return registry.LineageNode("training", pk, name, status, reverse("jobs:training", args=[pk]), detail)


def count_jobs(project_ids: list[int]) -> dict[int, int]:
    jobs = Job.objects.filter(project__in=project_ids)
    return dict(jobs.order_by().values_list("project").annotate(Count("pk")))


def count_active_trainings(project_ids: list[int]) -> dict[int, int]:
    trainings = Training.objects.filter(job__project__in=project_ids, status__in=ACTIVE)
    return dict(trainings.order_by().values_list("job__project").annotate(Count("pk")))
