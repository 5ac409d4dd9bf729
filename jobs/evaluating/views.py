"""The page that says how good a training's model is, and evaluations on other data."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on
from dlmodeler_site.lists import paged
from dlmodeler_site.parameters import whole_number
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason
from jobs.evaluating import evaluations
from jobs.evaluating.api import EVALUATIONS
from jobs.evaluating.evaluated import asked_for, class_names, is_regression, samples, shown
from jobs.evaluating.forms import EvaluationForm
from jobs.evaluating.page import (
    baselines,
    charts,
    class_rows,
    figures,
    importance,
    matrix,
    most_confused,
    precision_words,
)
from jobs.evaluating.rows import Cell
from jobs.models import Evaluation, Training
from jobs.tables import ClassTable
from jobs.training_views import training_frame

SAMPLES = 24
TRAININGS = Training.objects.select_related("job__project", "creator")


@login_required
@require_safe
def evaluation(request: HttpRequest, pk: int) -> HttpResponse:
    """How good the model is: the training's own evaluation, or another of it (`?of=`)."""
    training = get_visible(TRAININGS, request.user, pk=pk)
    every = sorted(EVALUATIONS.filter(training=training), key=lambda each: each.data_id is not None)  # its own first
    chosen = _chosen(every, whole_number(request, "of"))
    context = training_frame(request, training, "evaluation", every=every, evaluation=chosen)
    if chosen is not None:
        chosen.training = training
        context |= _state(chosen)
        if chosen.status == Status.COMPLETED:
            context |= _results(request, chosen)
    return render(request, "jobs/evaluation.html", context)


@login_required
@require_safe
def evaluation_status(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; the whole page is loaded again at its end, with the results."""
    chosen = get_visible(EVALUATIONS, request.user, pk=pk)
    context = training_frame(request, chosen.training, "evaluation", evaluation=chosen, **_state(chosen))
    answer = render(request, "jobs/_evaluation_status.html", context)
    if chosen.is_final:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_safe
def evaluation_samples(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the samples of a cell of the matrix, or of the mistakes."""
    chosen = get_visible(EVALUATIONS, request.user, pk=pk)
    return render(request, "jobs/_evaluation_samples.html", {"evaluation": chosen, **_samples(request, chosen)})


@login_required
def evaluation_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Measure the model on other labelled data."""
    training = get_editable(TRAININGS, request.user, pk=pk)
    evaluations.require_model(training)
    form = EvaluationForm(request.POST or None, training=training)
    if form.is_valid():
        with errors_on(form):
            made = evaluations.create_evaluation(
                training,
                data=form.cleaned_data["data"],
                labels=form.cleaned_data.get("labels"),
                creator=request.user,  # type: ignore[arg-type]
            )
            messages.success(request, _("The evaluation was queued."))
            return redirect(made)
    context = training_frame(request, training, "evaluation", form=form)
    return render(request, "jobs/evaluation_create.html", context)


@login_required
@require_POST
def evaluation_stop(request: HttpRequest, pk: int) -> HttpResponse:
    chosen = get_editable(EVALUATIONS, request.user, pk=pk)
    evaluations.stop_evaluation(chosen)
    return redirect(chosen)


@login_required
@require_POST
def evaluation_resume(request: HttpRequest, pk: int) -> HttpResponse:
    chosen = get_editable(EVALUATIONS, request.user, pk=pk)
    evaluations.resume_evaluation(chosen)
    return redirect(chosen)


@login_required
@require_POST
def evaluation_delete(request: HttpRequest, pk: int) -> HttpResponse:
    chosen = get_editable(EVALUATIONS, request.user, pk=pk)
    evaluations.delete_evaluation(chosen)
    messages.success(request, _("The evaluation was deleted."))
    return redirect("jobs:evaluation", chosen.training_id)


def _chosen(every: list[Evaluation], wanted: int | None) -> Evaluation | None:
    """The one asked for; else what the training made, else the newest."""
    for each in every:
        if each.pk == wanted:
            return each
    return next((each for each in every if each.data_id is None), every[0] if every else None)


def _state(chosen: Evaluation) -> dict[str, Any]:
    return {"waiting_for": waiting_reason(chosen), "is_regression": is_regression(chosen)}


def _results(request: HttpRequest, chosen: Evaluation) -> dict[str, Any]:
    drawn = matrix(chosen)
    return {
        "summary": chosen.summary,
        "headline": figures(chosen),  # not figures: the head of the page has those of the training
        "matrix": drawn,
        "matrix_query": f"of={chosen.pk}&",
        "class_count": len(class_names(chosen)),
        "most_confused": most_confused(chosen),
        "charts": charts(chosen),
        "importance": importance(chosen),
        "baselines": baselines(chosen),
        "precision_words": precision_words(chosen),
        "table": paged(ClassTable(class_rows(chosen)), request) if chosen.summary.get("per_class") else None,
        **_samples(request, chosen),
    }


def _samples(request: HttpRequest, chosen: Evaluation) -> dict[str, Any]:
    """The page `?at=` of the samples that are asked for; the mistakes where nothing is."""
    try:
        cell, wrong = asked_for(chosen, request.GET), ""
    except UserError as error:
        cell, wrong = Cell(), error.message
    is_mistakes = cell == Cell()
    if is_mistakes:
        cell = Cell(only_mistakes=not is_regression(chosen))
    page = Paginator(samples(chosen, cell), SAMPLES).get_page(whole_number(request, "at") or 1)
    found = shown(chosen, list(page.object_list))
    names = class_names(chosen)
    query = request.GET.copy()
    for name in ("at", "of", "page", "sort", "per_page"):
        query.pop(name, None)
    return {
        "samples": found,
        "samples_page": page,
        "is_mistakes": is_mistakes,
        "is_regression": is_regression(chosen),
        "cell": cell,
        "cell_true": names.get(cell.true, "") if cell.true is not None else "",
        "cell_predicted": names.get(cell.predicted, "") if cell.predicted is not None else "",
        "cell_query": query.urlencode(),
        "cell_wrong": wrong,
        "has_images": any(each.file and each.file.width for each in found),
        "has_heatmaps": any(each.has_heatmap for each in found),
    }
