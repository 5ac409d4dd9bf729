"""The tree of a project's model files: job > training > model file."""

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from dlmodeler_site import tree
from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from projects.models import Project


def job_nodes(project: Project) -> tree.Level:
    """The project's jobs with models, below its folder of models."""
    here = reverse("deployments:browse", args=[project.pk])
    jobs = Job.objects.filter(pk__in=_with_model(project).values("job"))
    nodes = [tree.Node(job.name, url=f"{here}?job={job.pk}") for job in jobs]
    return tree.root(f"/mnt/{project.files_key}/model", _level(nodes))


def training_nodes(project: Project, job_pk: int) -> tree.Level:
    """The job's trainings with models."""
    here = reverse("deployments:browse", args=[project.pk])
    trainings = _with_model(project).filter(job=job_pk)
    return _level([tree.Node(each.name, url=f"{here}?training={each.pk}", note=_score(each)) for each in trainings])


def model_nodes(project: Project, training_pk: int) -> tree.Level:
    """The training's model files."""
    trainings = _with_model(project).filter(pk=training_pk).select_related("job__project")
    paths = [path for training in trainings for path in training.model_files]
    return _level([tree.Node("/".join(path.split("/")[-3:]), value=path, path=path) for path in paths])


def training_of(project: Project, model_file: str) -> Training | None:
    """The training that made the model file."""
    key = model_file.removeprefix("/mnt/").removesuffix("/saved_model.pb")
    trainings = Training.objects.filter(job__project=project, export_key=key).exclude(export_key="")
    training: Training | None = trainings.select_related("job__project").first()
    return training


def _with_model(project: Project) -> QuerySet[Training]:
    return Training.objects.filter(job__project=project, status=Status.COMPLETED).exclude(export_key="")


def _level(nodes: list[tree.Node]) -> tree.Level:
    return tree.Level(nodes, _("No trained models here. Train one first."))


def _score(training: Training) -> str:
    title, value = training.scores[0]
    return "" if value is None else f"{title} {value:.4g}"
