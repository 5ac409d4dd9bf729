"""Mending a data: the changes that were collected in its pages become steps that make a new data of it."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from datasets.models import Data
from datasets.preprocessing.operation import Step
from datasets.preprocessing.registry import OPERATIONS
from datasets.previews import preview_selection
from datasets.steps import described_effect, described_steps
from datasets.versions import checked_steps, preprocess_data, suggested_name
from dlmodeler_site.access import get_editable
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import NamedForm, errors_on

_data = Data.objects.select_related("dataset__project")


@login_required
@require_POST
def data_mend(request: HttpRequest, pk: int) -> HttpResponse:
    """What the steps would do, and a name for what they make; with `make` it is made."""
    data = get_editable(_data, request.user, pk=pk)
    form = NamedForm(request.POST if "make" in request.POST else None, initial={"name": suggested_name(data)})
    context: dict[str, Any] = {"data": data, "form": form}
    try:
        steps = checked_steps(_json(request.POST.get("steps", "")))
        if form.is_valid():
            with errors_on(form):
                given = form.cleaned_data
                made = preprocess_data(
                    data,
                    request.user,  # type: ignore[arg-type]
                    name=given["name"],
                    description=given["description"],
                    steps=[step.as_dict() for step in steps],
                )
                messages.success(request, _("“%(name)s” is queued.") % {"name": made.name})
                return HttpResponseClientRedirect(reverse("datasets:data", args=[made.pk]))
        context |= _foreseen(data, steps)
    except UserError as error:
        context["error"] = error.message
    return render(request, "datasets/_mend_form.html", context)


def _foreseen(data: Data, steps: tuple[Step, ...]) -> dict[str, Any]:
    """Each step with its effect, and how many files stay; without numbers where counting takes too long."""
    try:
        selected = preview_selection(data, steps)
    except UserError as error:
        if error.reason != "too_many_to_count":
            raise
        told = described_steps([step.as_dict() for step in steps])
        return {"changes": [(words, "") for words in told], "uncounted": error.message}
    effects = dict(selected.effects)
    changes = [(_told(step), described_effect(effects[place])) for place, step in enumerate(steps) if place in effects]
    is_nothing = not any(effect.dropped or effect.relabelled for effect in effects.values())
    return {"changes": changes, "selected": selected, "is_nothing": is_nothing}


def _told(step: Step) -> str:
    """The step without the names of its files: there may be thousands."""
    values = step.as_dict()
    if values["op"] in ("exclude", "relabel"):
        title = _(OPERATIONS[step.op].title)
        if values["op"] == "exclude":
            return title
        return f"{title}: “{values['label']}”" if values["label"] else _("Take the label away")
    return described_steps([values])[0]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(
            _("The changes could not be read. Discard them and choose anew."), reason="invalid_steps", field="steps"
        ) from error
