"""The pages of jobs."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import NamedForm, errors_on
from dlmodeler_site.lists import is_searched, paged, searched
from dlmodeler_site.parameters import as_whole_number
from dlmodeler_site.work.models import ACTIVE
from jobs.algorithms.registry import manifests
from jobs.checking.recommend import recommend
from jobs.comparing.chosen import MOST
from jobs.definition import algorithm, create_job, delete_job, update_job
from jobs.forms import BasicJobForm, CustomJobForm, EditBasicJobForm
from jobs.instances import gpu_count
from jobs.models import Job
from jobs.readers.base import Advice
from jobs.tables import JobTable, TrainingTable
from jobs.titles import algorithm_title, instance_text, titled_inputs
from projects.models import Project
from projects.pages import Crumb, frame


def job_frame(request: HttpRequest, job: Job, *crumbs: Crumb, **values: Any) -> dict[str, Any]:
    """The frame of the pages of a job and its trainings."""
    here = (job.name, job.get_absolute_url())
    return frame(request, job.project, "jobs", here, *crumbs, job=job, **values)


@login_required
@require_safe
def job_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The jobs of a project."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    jobs = project.jobs.with_state().select_related("project", "creator")
    found = searched(jobs, request, fields=("name", "description", "creator__username"))
    context = frame(request, project, "jobs", is_searched=is_searched(request))
    table = paged(JobTable(found, can_edit=context["can_edit"]), request)
    is_changing = any(row.record.status in ACTIVE for row in table.paginated_rows)
    return render(request, "jobs/list.html", context | {"table": table, "is_changing": is_changing})


@login_required
@require_safe
def job_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Choose between a built-in algorithm and one's own code."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    return render(request, "jobs/create.html", frame(request, project, "jobs", (_("Create job"), None)))


@login_required
def job_create_basic(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Make a job with a built-in algorithm."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    form = _basic_form(request, project)
    if form.is_valid():
        with errors_on(form):
            job = create_job(project, request.user, form.draft())  # type: ignore[arg-type]
            messages.success(request, _("The job “%(name)s” was made.") % {"name": job.name})
            return redirect(job)
    crumbs = _create_crumb(project), (_("Basic"), None)
    context = frame(request, project, "jobs", *crumbs, form=form, algorithms=manifests())
    return render(request, "jobs/create_basic.html", context)


@login_required
@require_safe
def data_fields(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The part of the form that depends on the algorithm, with what was chosen so far."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    return render(request, "jobs/_data_fields.html", {"project": project, "form": _basic_form(request, project)})


def _basic_form(request: HttpRequest, project: Project) -> BasicJobForm:
    """Sent, or filled in from the address: `?algorithm=`, and a data for an input by its name."""
    given = request.POST or request.GET
    known = {each.name: each for each in manifests()}
    chosen = known.get(given.get("algorithm", ""), manifests()[0])
    initial = {}
    for each in chosen.inputs:
        for name in (each.name, f"inputs.{each.name}"):
            if name in request.GET:
                initial[f"inputs.{each.name}"] = request.GET[name]
    return BasicJobForm(request.POST or None, project=project, manifest=chosen, initial=initial)


@login_required
def job_create_custom(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Make a job for code of one's own."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    form = CustomJobForm(request.POST or None)
    if form.is_valid():
        with errors_on(form):
            job = create_job(project, request.user, form.draft())  # type: ignore[arg-type]
            messages.success(request, _("The job “%(name)s” was made.") % {"name": job.name})
            return redirect(job)
    crumbs = _create_crumb(project), (_("Custom"), None)
    context = frame(request, project, "jobs", *crumbs, form=form, gpus=gpu_count())
    return render(request, "jobs/create_custom.html", context)


def _create_crumb(project: Project) -> Crumb:
    return (_("Create job"), reverse("jobs:create", args=[project.pk]))


@login_required
@require_safe
def recommendation(request: HttpRequest, project_pk: int) -> HttpResponse:
    """What fits the data chosen in the form, and why."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    given = [str(value) for name, value in request.GET.items() if name.startswith("inputs.")]
    ids = [pk for value in given if (pk := as_whole_number(value)) is not None]
    try:
        advice = recommend(project, ids) if ids else Advice([])
    except UserError as error:
        advice = Advice([], error.message)
    return render(request, "jobs/_recommendation.html", {"advice": advice})


@login_required
@require_safe
def job_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A job with its trainings."""
    job = get_visible(_jobs(), request.user, pk=pk)
    return render(request, "jobs/detail.html", {**_with_trainings(request, job), "most_compared": MOST})


@login_required
@require_safe
def job_trainings(request: HttpRequest, pk: int) -> HttpResponse:
    """The list of trainings alone, for polling."""
    job = get_visible(_jobs(), request.user, pk=pk)
    return render(request, "jobs/_trainings.html", _with_trainings(request, job))


@login_required
@require_safe
def job_details(request: HttpRequest, pk: int) -> HttpResponse:
    """What the job was made of."""
    job = get_visible(_jobs(), request.user, pk=pk)
    context = job_frame(
        request,
        job,
        inputs=titled_inputs(job),
        algorithm=algorithm_title(job.algorithm) if job.algorithm else "",
        instance=instance_text(job),
    )
    return render(request, "jobs/details.html", context)


@login_required
def job_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change name, description, data and class names."""
    job = get_editable(_jobs(), request.user, pk=pk)
    initial = EditBasicJobForm.initial_of(job)
    form: NamedForm
    if job.kind == Job.Kind.BASIC:
        manifest = algorithm(job.algorithm)
        form = EditBasicJobForm(request.POST or None, project=job.project, manifest=manifest, initial=initial)
    else:
        form = NamedForm(request.POST or None, initial=initial)
    if form.is_valid():
        given: dict[str, Any] = {name: form.cleaned_data[name] for name in ("name", "description")}
        if isinstance(form, EditBasicJobForm):
            given |= {"inputs": form.inputs(), "class_names": form.cleaned_data.get("class_names")}
        with errors_on(form):
            update_job(job, **given)
            messages.success(request, _("The job was saved."))
            return redirect("jobs:details", job.pk)
    return render(request, "jobs/edit.html", job_frame(request, job, (_("Edit"), None), form=form))


@login_required
@require_POST
def job_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete the job with its trainings and models."""
    job = get_editable(_jobs(), request.user, pk=pk)
    delete_job(job)
    messages.success(request, _("The job “%(name)s” was deleted.") % {"name": job.name})
    return redirect("jobs:list", job.project_id)


def _jobs() -> Any:
    return Job.objects.with_state().select_related("project", "creator")


def _with_trainings(request: HttpRequest, job: Job) -> dict[str, Any]:
    context = job_frame(request, job, polled=job.trainings.filter(status__in=ACTIVE).exists())
    trainings = job.trainings.with_deployed().select_related("job__project", "creator")
    return context | {"table": paged(TrainingTable(trainings, can_edit=context["can_edit"]), request)}
