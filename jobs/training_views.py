"""The pages of trainings."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.work.queue import waiting
from jobs import submit
from jobs.algorithms.base import Manifest
from jobs.checking import preflight
from jobs.definition import algorithm
from jobs.durations import duration
from jobs.forms import InstanceForm, TrainingFormSet
from jobs.instances import gpu_count
from jobs.models import Job, Training
from jobs.records.again import outcome
from jobs.records.record import peak_memory_bytes
from jobs.starting_values import starting_values
from jobs.titles import titled_inputs
from jobs.training_tabs import TABS, tab_of
from jobs.views import job_frame
from jobs.watching.curves import metric_title, stage_title
from jobs.watching.monitoring import progress_of


@login_required
def training_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Start one or several trainings of a job."""
    job = get_editable(Job.objects.select_related("project"), request.user, pk=pk)
    submit.require_basic(job)
    manifest = algorithm(job.algorithm)
    form = InstanceForm(request.POST or None)
    start = None if request.POST else starting_values(job, manifest, request.GET)
    formset = TrainingFormSet(
        request.POST or None,
        form_kwargs={"manifest": manifest, "columns": _columns(job, manifest)},
        initial=[start.values] if start else None,
    )
    failure: UserError | None = None
    if request.method == "POST" and form.is_valid() and formset.is_valid():
        try:
            trainings = submit.create_trainings(
                request.user,  # type: ignore[arg-type]
                job,
                form.instance(),
                [each.request() for each in formset.forms],
            )
        except UserError as error:
            failure = error
            formset.show(error.details.get("trainings", {}))
            if error.field in ("instance", "trainings"):
                form.add_error("instance" if error.field == "instance" else None, error.message)
        else:
            names = ", ".join(training.name for training in trainings)
            messages.success(request, _("Queued: %(names)s") % {"names": names})
            return redirect(trainings[0] if len(trainings) == 1 else job)
    context = job_frame(
        request,
        job,
        (_("Create training"), None),
        form=form,
        formset=formset,
        failure=failure,
        start=start,
        inputs=titled_inputs(job),
        gpus=gpu_count(),
    )
    return render(request, "jobs/training_create.html", context)


@login_required
@require_safe
def training_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A training, under one of its tabs (`?tab=`)."""
    training = get_visible(_trainings(), request.user, pk=pk)
    tab = tab_of(request.GET.get("tab", ""))
    if tab.page:
        return redirect(tab.page, training.pk)
    context = training_frame(request, training, tab.key)
    return render(request, f"jobs/training_{tab.key}.html", {**context, **tab.context(training)})


@login_required
@require_safe
def training_status(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is, for polling."""
    training = get_visible(_trainings(), request.user, pk=pk)
    context = job_frame(request, training.job, polled=True, **_state(training))
    return render(request, "jobs/_training_status.html", context)


@login_required
@require_POST
def training_stop(request: HttpRequest, pk: int) -> HttpResponse:
    training = get_editable(_trainings(), request.user, pk=pk)
    submit.stop(training)
    messages.success(request, _("“%(name)s” is being stopped.") % {"name": training.name})
    return redirect(training)


@login_required
@require_POST
def training_resume(request: HttpRequest, pk: int) -> HttpResponse:
    training = get_editable(_trainings(), request.user, pk=pk)
    submit.resume(training)
    messages.success(request, _("“%(name)s” goes on.") % {"name": training.name})
    return redirect(training)


@login_required
@require_POST
def training_delete(request: HttpRequest, pk: int) -> HttpResponse:
    training = get_editable(_trainings(), request.user, pk=pk)
    submit.delete_training(training)
    messages.success(request, _("The training “%(name)s” was deleted.") % {"name": training.name})
    return redirect(training.job)


def training_frame(request: HttpRequest, training: Training, tab: str, **values: Any) -> dict[str, Any]:
    """The frame of the pages of a training, under the tab of that key."""
    crumbs = (training.name, None)
    return job_frame(request, training.job, crumbs, tabs=TABS, tab=tab_of(tab), **_state(training), **values)


def _columns(job: Job, manifest: Manifest) -> tuple[str, ...]:
    """What hyperparameters that name a column can be."""
    if all(each.type != "column" for each in manifest.hyperparameters):
        return ()
    return preflight.examine_job(job).columns


def _trainings() -> Any:
    return Training.objects.select_related("job__project", "creator", "again_of")


def _state(training: Training) -> dict[str, Any]:
    progress = progress_of(training)
    metrics, estimate = progress.metrics, training.estimate
    return {
        "training": training,
        "progress": progress,
        "stage": stage_title(progress.stage),
        "val_accuracy": _beside(_("validation %(value)s"), metrics.get("val_accuracy")),
        "figures": [
            {"title": metric_title(name), "value": f"{metrics[name]:.4g}", "hint": _validation(metrics, name)}
            for name in ("r2", "mae")
            if metrics.get(name) is not None
        ],
        "val_loss": _beside(_("validation %(value)s"), metrics.get("val_loss")),
        "time_left": duration(progress.eta_seconds),
        "run_time": duration(training.run_time_s),
        "estimated_time": _beside(_("estimated %(value)s"), duration(estimate.get("seconds"))),
        "memory_bytes": peak_memory_bytes(training) or progress.memory_bytes,
        "estimated_memory": _beside(_("estimated %(value)s"), _size(estimate.get("memory_bytes"))),
        "waiting": waiting(training),
        "outcome": outcome(training),
    }


def _validation(metrics: Mapping[str, Any], name: str) -> str:
    return _beside(_("validation %(value)s"), metrics.get(f"val_{name}"))


def _beside(template: str, value: float | str | None) -> str:
    """A few words beside a figure; "" where there is nothing to tell."""
    if value is None or value == "":
        return ""
    return template % {"value": value if isinstance(value, str) else f"{value:.4f}"}


def _size(size_bytes: float | None) -> str:
    return "" if size_bytes is None else filesizeformat(size_bytes)
