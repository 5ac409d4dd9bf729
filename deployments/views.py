"""The pages of deployments."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from datasets.steps import described_steps
from deployments import deploy
from deployments.addresses import address_of, serving_base
from deployments.browse import job_nodes, model_nodes, training_nodes, training_of
from deployments.forms import DeploymentForm, TokenForm
from deployments.models import Deployment, DeploymentToken
from deployments.pages import deployment_frame, preprocessing_of, version_rows
from deployments.sample_rows import example_columns, example_row
from deployments.tables import DeploymentTable
from deployments.tokens import create_token, first_token, revoke_token, rotate_token, show_token
from dlmodeler_site import tree
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.forms import NamedForm, errors_on
from dlmodeler_site.lists import is_searched, paged, searched
from dlmodeler_site.parameters import whole_number
from jobs.models import Training
from projects.models import Project
from projects.pages import frame

DEPLOYMENTS = Deployment.objects.select_related("project", "version__training__job", "next_version", "creator")


@login_required
@require_GET
def deployment_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The deployments of a project."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    rows = DEPLOYMENTS.visible_to(request.user).filter(project=project)
    found = searched(rows, request, fields=("name", "description", "version__training__name"))
    context = frame(
        request, project, "deployments", is_searched=is_searched(request), serving_base=serving_base(request)
    )
    table = paged(DeploymentTable(found, can_edit=context["can_edit"]), request)
    is_changing = any(row.record.is_changing for row in table.paginated_rows)
    return render(request, "deployments/list.html", context | {"table": table, "is_changing": is_changing})


@login_required
def deployment_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Deploy a model."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    trainings = Training.objects.visible_to(request.user).filter(job__project=project)
    training = trainings.filter(pk=whole_number(request, "training")).select_related("job__project").first()
    form = DeploymentForm(request.POST or None, project=project, training=training)
    if form.is_valid():
        with errors_on(form):
            deployment = deploy.create_deployment(
                form.chosen_training(),
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                creator=request.user,  # type: ignore[arg-type]
                instance=form.instance_chosen(),
                model_file=form.cleaned_data["model_file"],
                preprocess=form.cleaned_data["preprocess"],
            )
            messages.success(request, _("“%(name)s” was deployed. It is starting.") % {"name": deployment.name})
            return redirect("deployments:detail", deployment.pk)
    chosen = form["model_file"].value() or ""
    context = frame(
        request,
        project,
        "deployments",
        (_("Deploy a model"), None),
        form=form,
        training=training,
        model_file=chosen,
        **preprocessing_of(training_of(project, chosen)),
    )
    return render(request, "deployments/create.html", context)


@login_required
@require_GET
def preprocessing_fragment(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The preprocessing that can be connected, for the model file that was chosen."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    training = training_of(project, request.GET.get("model_file", ""))
    return render(request, "deployments/_preprocessing.html", {"project": project, **preprocessing_of(training)})


@login_required
@require_GET
def browse(request: HttpRequest, project_pk: int) -> HttpResponse:
    """A level of the tree of model files."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    if (training_pk := whole_number(request, "training")) is not None:
        return tree.answer(request, model_nodes(project, training_pk))
    if (job_pk := whole_number(request, "job")) is not None:
        return tree.answer(request, training_nodes(project, job_pk))
    return tree.answer(request, job_nodes(project))


@login_required
@require_GET
def deployment_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """All there is to know of a deployment, and how to call it."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context = deployment_frame(
        request,
        deployment,
        address=address_of(deployment, request),
        tokens=deployment.tokens.select_related("creator"),
        token_form=TokenForm(),
        prediction_count=deployment.prediction_jobs.count(),
        versions=version_rows(deployment),
        steps=described_steps(deployment.version.steps),
        **_example(deployment),
    )
    return render(request, "deployments/detail.html", context)


@login_required
@require_GET
def deployment_status_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """The status, with what can be done about it."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    return render(request, "deployments/_status.html", deployment_frame(request, deployment))


@login_required
def deployment_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change name and description."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    initial = {"name": deployment.name, "description": deployment.description}
    form = NamedForm(request.POST or None, initial=initial)
    if form.is_valid():
        with errors_on(form):
            deploy.edit_deployment(deployment, **form.cleaned_data)
            messages.success(request, _("The deployment was saved."))
            return redirect("deployments:detail", pk)
    context = deployment_frame(request, deployment, (_("Edit"), None), form=form)
    return render(request, "deployments/edit.html", context)


@login_required
@require_POST
def deployment_start(request: HttpRequest, pk: int) -> HttpResponse:
    """Start it."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    deploy.start_deployment(deployment)
    messages.success(request, _("“%(name)s” is starting.") % {"name": deployment.name})
    return _back(request, deployment)


@login_required
@require_POST
def deployment_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    deploy.stop_deployment(deployment)
    messages.success(request, _("“%(name)s” is stopping.") % {"name": deployment.name})
    return _back(request, deployment)


@login_required
@require_POST
def deployment_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete it."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    deploy.delete_deployment(deployment)
    messages.success(request, _("“%(name)s” was deleted.") % {"name": deployment.name})
    return redirect("deployments:list", deployment.project_id)


@login_required
@require_GET
def delete_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What a deletion takes with it."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    count = deployment.prediction_jobs.count()
    return render(request, "deployments/_delete_preview.html", {"deployment": deployment, "count": count})


@login_required
@require_POST
def token_show(request: HttpRequest, pk: int) -> HttpResponse:
    """The first token, filled into the examples; written to the audit log."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    return _access(request, deployment, show_token(first_token(deployment)))


@login_required
@require_POST
def token_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Replace the first token and show the new one."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    _token, text = rotate_token(deployment, user=request.user)  # type: ignore[arg-type]
    return _access(request, deployment, text)


@login_required
@require_POST
def token_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a named token and show it, this once."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    form = TokenForm(request.POST)
    text = ""
    if form.is_valid():
        with errors_on(form):
            _token, text = create_token(deployment, creator=request.user, **form.cleaned_data)  # type: ignore[arg-type]
            form = TokenForm()
    return _tokens(request, deployment, form, text)


@login_required
@require_POST
def token_revoke(request: HttpRequest, pk: int, token_pk: int) -> HttpResponse:
    """Revoke one of the tokens."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    revoke_token(get_object_or_404(DeploymentToken, deployment=deployment, pk=token_pk))
    return _tokens(request, deployment, TokenForm(), "")


def _access(request: HttpRequest, deployment: Deployment, token: str) -> HttpResponse:
    address = address_of(deployment, request)
    context = deployment_frame(request, deployment, address=address, shown_token=token, **_example(deployment))
    answer = render(request, "deployments/_access.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _example(deployment: Deployment) -> dict[str, object]:
    """The columns of a model of tables with examples, and a request made of them."""
    if not deployment.takes_tables:
        return {}
    columns = example_columns(deployment)
    return {"columns": columns, "example_row": example_row(columns)}


def _tokens(request: HttpRequest, deployment: Deployment, form: TokenForm, text: str) -> HttpResponse:
    tokens = deployment.tokens.select_related("creator")
    context = deployment_frame(request, deployment, tokens=tokens, token_form=form, new_token=text)
    answer = render(request, "deployments/_tokens.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _back(request: HttpRequest, deployment: Deployment) -> HttpResponse:
    """To the list where the request came from it, else to the deployment."""
    if request.POST.get("from") == "list":
        return redirect("deployments:list", deployment.project_id)
    return redirect("deployments:detail", deployment.pk)
