"""The preprocessing form and its live preview."""

import base64
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from datasets.content import browsers_show
from datasets.forms import PreprocessForm
from datasets.models import Data, File
from datasets.preprocessing.operation import SELECTION, Step
from datasets.preprocessing.registry import OPERATIONS
from datasets.preprocessing.split import OPERATION as SPLIT
from datasets.previews import preview_images, preview_selection, previewed_file
from datasets.step_forms import operation_groups
from datasets.steps import described_effect
from datasets.versions import checked_steps, preprocess_data, split_data, whole_steps
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.parameters import as_whole_number, whole_number
from projects.models import Project
from projects.pages import frame

VARIANTS = 4


@login_required
def preprocess(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Choose a data and steps, and queue the making of a new data, or of one for each part of a split."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    initial = {"data_id": request.GET.get("data", "")}
    form = PreprocessForm(request.POST if request.method == "POST" else None, project=project, initial=initial)
    if recipe := project.recipes.filter(pk=whole_number(request, "recipe")).first():
        form.start_with(recipe.steps)
    if form.is_valid() and (source := form.source()):
        with form.errors_shown():
            made = _make(source, request.user, form)  # type: ignore[arg-type]
            for data in made:
                messages.success(request, _("“%(name)s” is queued.") % {"name": data.name})
            if len(made) == 1:
                return redirect("datasets:data", made[0].pk)
            return redirect("datasets:dataset", source.dataset_id)
    crumb = (_("Preprocess"), None)
    back = _back(request, project)
    values = {"form": form, "groups": operation_groups(), "recipes": project.recipes.all(), "back": back}
    context = frame(request, project, "data", crumb, **values)
    return render(request, "datasets/preprocess.html", context)


def _make(source: Data, creator: User, form: PreprocessForm) -> list[Data]:
    given = {name: form.cleaned_data[name] for name in ("name", "description", "on_error")}
    steps = form.steps.steps()
    if any(step["op"] == SPLIT.name for step in steps):
        return split_data(source, creator, steps=steps, **given)
    return [preprocess_data(source, creator, steps=steps, **given)]


def _back(request: HttpRequest, project: Project) -> str:
    chosen = whole_number(request, "data")
    if chosen is not None and Data.objects.filter(pk=chosen, dataset__project=project).exists():
        return reverse("datasets:data", args=[chosen])
    return reverse("datasets:list", args=[project.pk])


# -- Preview ---------------------------------------------------------------------------------------


@login_required
@require_POST
def preview(request: HttpRequest, project_pk: int) -> HttpResponse:
    """The chosen image before and after the chosen steps, and what is left out; `another` draws another image."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    form = PreprocessForm(request.POST, project=project)
    form.is_valid()
    context: dict[str, Any] = {"project": project}
    if source := form.source():
        try:
            context |= _sample(request, source)
            if mistake := form.steps.mistake:
                context["error"] = mistake
            elif form.steps.forms:
                context |= _previewed(source, context["file"], form.steps.steps())
        except UserError as error:
            context["error"] = error.message
    return render(request, "datasets/_preview.html", context)


def _sample(request: HttpRequest, source: Data) -> dict[str, Any]:
    wanted = as_whole_number(request.POST.get("file", ""))
    if wanted is not None and ("another" in request.POST or not source.files.filter(pk=wanted).exists()):
        wanted = None
    file = previewed_file(source, wanted)
    return {"file": file, "before": _address(file)}


def _previewed(source: Data, file: File, given: list[dict[str, Any]]) -> dict[str, Any]:
    """What the steps make of the image, and how many files they leave."""
    steps = checked_steps(whole_steps(given))
    context = _counted(source, steps)
    if any(OPERATIONS[step.op].group != SELECTION for step in steps):
        after, *variants = (_inline(image) for image in preview_images(source, file, steps, most=1 + VARIANTS))
        context |= {"after": after, "variants": variants}
    return context


def _counted(source: Data, steps: Sequence[Step]) -> dict[str, Any]:
    try:
        selected = preview_selection(source, steps)
    except UserError as error:
        if error.reason != "too_many_to_count":
            raise
        return {"uncounted": error.message}
    effects = [(_title(steps[place]), described_effect(effect)) for place, effect in selected.effects]
    is_split = any(effect.parts for _place, effect in selected.effects)
    return {"effects": effects, "selected": selected, "is_split": is_split}


def _title(step: Step) -> str:
    return _(OPERATIONS[step.op].title)


def _inline(image: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"


def _address(file: File) -> str:
    kind = "content" if browsers_show(file) else "thumbnail"
    return reverse(f"api-file-{kind}", args=[file.pk])
