"""The pages of prediction jobs, and the prediction of samples."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from datasets.models import LARGE_OF_DATA, Data, File
from datasets.steps import described_steps
from deployments import predictions
from deployments.forms import PredictionJobForm
from deployments.models import Deployment, PredictionJob
from deployments.pages import deployment_frame
from deployments.results import predicted_classes, results_file, results_lines, results_of, shown, values_of
from deployments.sample_rows import filled_columns, table_input
from deployments.tables import PredictionJobTable, prediction_table
from deployments.views import DEPLOYMENTS
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on
from dlmodeler_site.lists import is_searched, paged, searched
from dlmodeler_site.parameters import as_whole_number, whole_number
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason
from jobs.evaluating.evaluated import class_names
from jobs.evaluating.page import figures, matrix, most_confused

JOBS = PredictionJob.objects.select_related(
    "deployment__project", "deployment__version", "version__training__job", "data", "creator"
).defer(*LARGE_OF_DATA)
IMAGES_AT_ONCE = 48
CHIPS = 12  # classes to choose by one click; a menu has all of them


@login_required
@require_GET
def prediction_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The prediction jobs of a deployment."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    rows = JOBS.visible_to(request.user).filter(deployment=deployment)
    found = searched(rows, request, fields=("name", "description", "data__name"))
    context = deployment_frame(
        request,
        deployment,
        (_("Predictions"), None),
        prediction_count=rows.count(),
        is_searched=is_searched(request),
    )
    table = paged(PredictionJobTable(found, can_edit=context["can_edit"]), request)
    is_changing = any(row.record.is_active for row in table.paginated_rows)
    return render(request, "deployments/predictions.html", context | {"table": table, "is_changing": is_changing})


@login_required
def prediction_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a prediction job, after looking at samples."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    form = PredictionJobForm(request.POST or None, deployment=deployment)
    if form.is_valid():
        with errors_on(form):
            job = predictions.create_prediction_job(
                deployment,
                data=form.cleaned_data["data"],
                labels=form.cleaned_data.get("labels"),
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                creator=request.user,  # type: ignore[arg-type]
            )
            messages.success(request, _("The prediction “%(name)s” was queued.") % {"name": job.name})
            return redirect("deployments:prediction", job.pk)
    chosen = as_whole_number(str(form["data"].value() or ""))
    labels = None if deployment.takes_tables else as_whole_number(str(form["labels"].value() or ""))
    context = deployment_frame(
        request,
        deployment,
        (_("Predictions"), reverse("deployments:predictions", args=[pk])),
        (_("Create prediction"), None),
        form=form,
        data=form.data_choices.filter(pk=chosen).first(),
        labels=form.label_choices.filter(pk=labels).first(),
        steps=described_steps(deployment.version.steps),
    )
    return render(request, "deployments/prediction_create.html", context)


@login_required
@require_GET
def sample_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """A random image or row of the chosen data."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context: dict[str, Any] = {"deployment": deployment}
    if (data_pk := whole_number(request, "data")) is not None:
        data = get_visible(Data.objects.select_related("dataset__project"), request.user, pk=data_pk)
        try:
            predictions.require_fitting(deployment, data)
            context |= {"data": data, "file": predictions.random_sample(deployment, data)}
            if deployment.takes_tables:
                context["sample"] = sample = predictions.sample_row(deployment, context["file"])
                context["columns"] = filled_columns(deployment, sample.values)
        except UserError as error:
            context["error"] = error
    return render(request, f"deployments/_sample{'_row' if deployment.takes_tables else ''}.html", context)


@login_required
@require_POST
def sample_prediction(request: HttpRequest, pk: int) -> HttpResponse:
    """What the model says of a sample: of a file, or of a row by its values in the order of the columns."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context: dict[str, Any] = {"deployment": deployment}
    try:
        if deployment.takes_tables:
            answer = predictions.predict_row(deployment, _values(request, deployment))
        else:
            answer = predictions.predict_sample(deployment, _file(request, deployment))
        context["prediction"] = answer["predictions"][0]
    except UserError as error:
        context["error"] = error
    return render(request, "deployments/_sample_prediction.html", context)


@login_required
@require_POST
def image_prediction(request: HttpRequest, pk: int) -> HttpResponse:
    """What the model says of an image that is sent, and on request what in it spoke for that."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context: dict[str, Any] = {"deployment": deployment}
    try:
        context |= _prediction_of_upload(request, deployment)
    except UserError as error:
        context["error"] = error
    return render(request, "deployments/_sample_prediction.html", context)


def _prediction_of_upload(request: HttpRequest, deployment: Deployment) -> dict[str, Any]:
    image = predictions.sent_image(deployment, request.FILES.get("input"))
    wants_heat = "explain" in request.POST
    context: dict[str, Any] = {}
    try:
        answer = predictions.predict_image(deployment, image, explain=wants_heat)
    except UserError as error:
        if error.reason != "explain_unavailable":
            raise
        context["no_heat"] = error
        answer = predictions.predict_image(deployment, image)
    return {**context, "prediction": answer["predictions"][0]}


def _file(request: HttpRequest, deployment: Deployment) -> File:
    files = File.objects.filter(data__dataset__project=deployment.project_id).select_related("data__dataset__project")
    file: File = get_visible(
        files.defer(*LARGE_OF_DATA), request.user, pk=as_whole_number(request.POST.get("file", ""))
    )
    return file


def _values(request: HttpRequest, deployment: Deployment) -> dict[str, str]:
    names = [column.name for column in table_input(deployment).columns]
    return dict(zip(names, request.POST.getlist("value"), strict=False))


@login_required
@require_GET
def prediction_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A prediction job and its results."""
    job = get_visible(JOBS.select_related("labels_data__dataset__project"), request.user, pk=pk)
    context = _job_frame(request, job, steps=described_steps(job.version.steps))
    if job.status == Status.COMPLETED:
        context |= _results(request, job) | _measured(job)
    return render(request, "deployments/prediction.html", context)


@login_required
@require_GET
def results_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """The results that are asked for: of a cell of the matrix, of a class, the wrong ones, those that failed."""
    job = get_visible(JOBS, request.user, pk=pk)
    return render(request, "deployments/_results.html", {"job": job, **_results(request, job)})


def _results(request: HttpRequest, job: PredictionJob) -> dict[str, Any]:
    """A page of the results, as images (`?page=`) or as a table (`?view=list`)."""
    given = {name: request.GET.get(name, "") for name in ("predicted", "true", "wrong", "failed")}
    wanted = {"label": given["predicted"]} | {name: given[name] for name in ("true", "wrong", "failed")}
    is_gallery = not job.version.takes_tables and request.GET.get("view") != "list"
    context: dict[str, Any] = {"is_gallery": is_gallery, **given}
    try:
        rows = results_of(job, **wanted)
    except UserError as error:
        rows, context["results_wrong"] = results_of(job), error.message
    if is_gallery:
        page = Paginator(rows, IMAGES_AT_ONCE).get_page(whole_number(request, "page") or 1)
        context |= {"results_page": page, "results": shown(job, page.object_list), **_heat(job)}
    else:
        context["table"] = paged(prediction_table(job, rows), request)
    query = request.GET.copy()
    for name in ("page", "sort", "per_page", "view"):
        query.pop(name, None)
    classes = predicted_classes(job)
    truths = {str(label): name for label, name in class_names(job).items()}
    return context | {
        "predicted_name": next((each.name for each in classes if each.text == given["predicted"]), given["predicted"]),
        "true_name": truths.get(given["true"], given["true"]),
        "classes": classes,
        "chips": classes[:CHIPS],
        "values": values_of(job) if job.version.is_regression else {},
        "results_query": query.urlencode(),
    }


def _heat(job: PredictionJob) -> dict[str, Any]:
    """Whether what spoke for the classes can be shown now, and why not."""
    try:
        predictions.require_explainable(job)
    except UserError as error:
        return {"has_heat": False, "no_heat": error.message}
    return {"has_heat": True}


def _measured(job: PredictionJob) -> dict[str, Any]:
    """How right the predictions are, where the truth is known."""
    if not job.summary:
        return {}
    return {
        "measured": figures(job),
        "matrix": matrix(job),
        "matrix_query": "",
        "most_confused": most_confused(job),
        "samples_url": reverse("deployments:results-fragment", args=[job.pk]),
    }


@login_required
@require_GET
def progress_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the job is; the whole page is loaded again at its end, with the results."""
    job = get_visible(JOBS, request.user, pk=pk)
    answer = render(request, "deployments/_progress.html", _job_frame(request, job))
    if job.is_final:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_GET
def results_csv(request: HttpRequest, pk: int) -> FileResponse:
    """The results as csv."""
    return results_file(get_visible(JOBS, request.user, pk=pk))


@login_required
@require_GET
def results_jsonl(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The results as JSON lines."""
    return results_lines(get_visible(JOBS, request.user, pk=pk))


@login_required
@require_POST
def prediction_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it."""
    job = get_editable(JOBS, request.user, pk=pk)
    predictions.stop_prediction_job(job)
    return redirect("deployments:prediction", job.pk)


@login_required
@require_POST
def prediction_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on after a stop or failure."""
    job = get_editable(JOBS, request.user, pk=pk)
    predictions.resume_prediction_job(job)
    return redirect("deployments:prediction", job.pk)


@login_required
@require_POST
def prediction_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete it with its results."""
    job = get_editable(JOBS, request.user, pk=pk)
    predictions.delete_prediction_job(job)
    messages.success(request, _("“%(name)s” was deleted.") % {"name": job.name})
    return redirect("deployments:predictions", job.deployment_id)


def _job_frame(request: HttpRequest, job: PredictionJob, **values: Any) -> dict[str, Any]:
    return deployment_frame(
        request,
        job.deployment,
        (_("Predictions"), reverse("deployments:predictions", args=[job.deployment_id])),
        (job.name, None),
        job=job,
        waiting=waiting_reason(job),
        **values,
    )
