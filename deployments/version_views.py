"""The pages of a deployment's versions: change the model, go back, forget a version."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from deployments import versions
from deployments.browse import training_of
from deployments.forms import ModelForm
from deployments.models import Deployment, DeploymentVersion
from deployments.pages import deployment_frame, preprocessing_of, version_rows
from deployments.views import DEPLOYMENTS
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on


@login_required
@require_GET
def versions_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """The versions while one of them is to take over; the whole page is loaded again when that is decided."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    context = deployment_frame(request, deployment, versions=version_rows(deployment))
    answer = render(request, "deployments/_versions.html", context)
    if not deployment.is_changing_model:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
def model_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose another model for the deployment."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    form = ModelForm(request.POST or None, project=deployment.project)
    if form.is_valid():
        with errors_on(form):
            version = versions.change_model(
                deployment,
                form.chosen_training(),
                model_file=form.cleaned_data["model_file"],
                preprocess=form.cleaned_data["preprocess"],
                creator=request.user,  # type: ignore[arg-type]
            )
            messages.success(request, _said(deployment, version))
            return redirect("deployments:detail", pk)
    chosen = form["model_file"].value() or ""
    context = deployment_frame(request, deployment, (_("Change model"), None), form=form, model_file=chosen)
    context |= preprocessing_of(training_of(deployment.project, chosen))
    context |= _noticed(deployment, chosen, preprocess=bool(form["preprocess"].value()))
    return render(request, "deployments/change.html", context)


@login_required
@require_GET
def differences_fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """What clients would notice of a change to the model file that was chosen."""
    deployment = get_visible(DEPLOYMENTS, request.user, pk=pk)
    noticed = _noticed(deployment, request.GET.get("model_file", ""), preprocess="preprocess" in request.GET)
    return render(request, "deployments/_differences.html", {"deployment": deployment, **noticed})


@login_required
@require_POST
def rollback(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Go back to a version, or call off the change that is under way."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    deployment = versions.roll_back(deployment, number=number)
    if deployment.next_version is None:
        said = _("The change was called off: version %(number)s goes on serving.") % {"number": number}
    else:
        said = _said(deployment, deployment.next_version)
    messages.success(request, said)
    return redirect("deployments:detail", pk)


@login_required
@require_POST
def version_delete(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Forget a version."""
    deployment = get_editable(DEPLOYMENTS, request.user, pk=pk)
    versions.delete_version(get_object_or_404(DeploymentVersion, deployment=deployment, number=number))
    messages.success(request, _("Version %(number)s was deleted.") % {"number": number})
    return redirect("deployments:detail", pk)


def _said(deployment: Deployment, version: DeploymentVersion) -> str:
    if deployment.is_wanted:
        said = _("Version %(number)s is being started; it takes over as soon as it answers.")
    else:
        said = _("Version %(number)s takes over when the deployment is started.")
    return said % {"number": version.number}


def _noticed(deployment: Deployment, model_file: str, *, preprocess: bool) -> dict[str, Any]:
    """The differences of the chosen model, or why it cannot be chosen."""
    training = training_of(deployment.project, model_file)
    if training is None:
        return {"chosen_training": None}
    context: dict[str, Any] = {"chosen_training": training}
    try:
        model = versions.fitting_model(deployment, training, model_file=model_file, preprocess=preprocess)
        context["differences"] = versions.differences(deployment.version, model)
    except UserError as error:
        context["unfitting"] = error
    return context
