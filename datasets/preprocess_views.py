"""The preprocessing form and its live preview."""

import base64
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from datasets.content import browsers_show
from datasets.forms import PreprocessForm
from datasets.models import Data, File
from datasets.previews import preview_image, previewed_file
from datasets.versions import preprocess_data
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import errors_on
from dlmodeler_site.parameters import as_whole_number, whole_number
from projects.models import Project
from projects.pages import frame


@login_required
def preprocess(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Choose a data and operations, and queue the making of a new data."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    form = PreprocessForm(request.POST or None, project=project, initial={"data_id": request.GET.get("data", "")})
    if form.is_valid() and (source := form.source()):
        with errors_on(form):
            given = {name: form.cleaned_data[name] for name in ("name", "description", "on_error")}
            data = preprocess_data(source, request.user, steps=form.steps(), **given)  # type: ignore[arg-type]
            messages.success(request, _("“%(name)s” is queued.") % {"name": data.name})
            return redirect("datasets:data", data.pk)
    context = frame(request, project, "data", (_("Preprocess"), None), form=form, back=_back(request, project))
    return render(request, "datasets/preprocess.html", context)


def _back(request: HttpRequest, project: Project) -> str:
    chosen = whole_number(request, "data")
    if chosen is not None and Data.objects.filter(pk=chosen, dataset__project=project).exists():
        return reverse("datasets:data", args=[chosen])
    return reverse("datasets:list", args=[project.pk])


@login_required
@require_POST
def preview(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The chosen image before and after the chosen operations; `another` draws another one."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    form = PreprocessForm(request.POST, project=project)
    form.is_valid()
    context: dict[str, Any] = {"project": project}
    if source := form.source():
        try:
            context |= _previewed(request, source, form)
        except UserError as error:
            context["error"] = error.message
    return render(request, "datasets/_preview.html", context)


def _previewed(request: HttpRequest, source: Data, form: PreprocessForm) -> dict[str, Any]:
    wanted = as_whole_number(request.POST.get("file", ""))
    if wanted is not None and ("another" in request.POST or not source.files.filter(pk=wanted).exists()):
        wanted = None
    file = previewed_file(source, wanted)
    context: dict[str, Any] = {"file": file, "before": _address(file)}
    steps = form.steps()
    if steps:
        content, content_type = preview_image(source, steps=steps, file_id=file.pk)
        context["after"] = f"data:{content_type};base64,{base64.b64encode(content).decode()}"
    return context


def _address(file: File) -> str:
    kind = "content" if browsers_show(file) else "thumbnail"
    return reverse(f"api-file-{kind}", args=[file.pk])
