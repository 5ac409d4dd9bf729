"""The tree of a project's model files: job > training > model file."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from projects.models import Project


@dataclass(frozen=True)
class Node:
    """A row of the tree: a folder has the url of its children, a model file has its path."""

    label: str
    url: str = ""
    path: str = ""
    note: str = ""


def model_nodes(project: Project, *, job_pk: int | None, training_pk: int | None) -> list[Node]:
    """The jobs with models; below a job its trainings; below a training its model files."""
    trainings = Training.objects.filter(job__project=project, status=Status.COMPLETED).exclude(export_key="")
    here = reverse("deployments:browse", args=[project.pk])
    if training_pk is not None:
        files = [path for training in trainings.filter(pk=training_pk) for path in training.model_files]
        return [Node(label="/".join(path.split("/")[-3:]), path=path) for path in files]
    if job_pk is not None:
        return [
            Node(label=training.name, url=f"{here}?training={training.pk}", note=_accuracy(training))
            for training in trainings.filter(job=job_pk)
        ]
    jobs = Job.objects.filter(pk__in=trainings.values("job"))
    return [Node(label=job.name, url=f"{here}?job={job.pk}") for job in jobs]


def training_of(project: Project, model_file: str) -> Training | None:
    """The training that made the model file."""
    key = model_file.removeprefix("/mnt/").removesuffix("/saved_model.pb")
    trainings = Training.objects.filter(job__project=project, export_key=key).exclude(export_key="")
    training: Training | None = trainings.select_related("job__project").first()
    return training


def _accuracy(training: Training) -> str:
    return "" if training.accuracy is None else _("accuracy %(value).4g") % {"value": training.accuracy}
