"""Recipes in the preprocessing form, and the page of all of a project's."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from datasets.models import Recipe
from datasets.preprocessing.operation import Step
from datasets.preprocessing.registry import OPERATIONS
from datasets.recipes import names_files, save_recipe, update_recipe
from datasets.step_forms import StepList
from datasets.steps import described_steps
from datasets.versions import whole_steps
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.errors import UserError
from projects.models import Project
from projects.pages import frame

_recipes = Recipe.objects.select_related("project")


@login_required
@require_safe
def recipe_list(request: HttpRequest, project_pk: int) -> HttpResponse:
    """All recipes of the project with their steps in words."""
    project = get_visible(Project.objects.all(), request.user, pk=project_pk)
    recipes = [(recipe, described_steps(recipe.steps)) for recipe in project.recipes.all()]
    above = (_("Preprocess"), reverse("datasets:preprocess", args=[project.pk]))
    context = frame(request, project, "data", above, (_("Recipes"), None), recipes=recipes)
    return render(request, "datasets/recipes.html", context)


@login_required
@require_safe
def recipe_steps(request: HttpRequest, pk: int) -> HttpResponse:
    """The recipe's steps as fields of the form."""
    recipe = get_visible(_recipes, request.user, pk=pk)
    return render(request, "datasets/_steps.html", {"steps": StepList.of(recipe.steps)})


@login_required
@require_POST
def recipe_save(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Keep the steps of the form, all but those that name files."""
    project = get_editable(Project.objects.all(), request.user, pk=project_pk)
    name = request.POST.get("recipe_name", "").strip()
    context: dict[str, Any] = {"project": project, "recipe_name": name}
    try:
        given = whole_steps(StepList.posted(request.POST).steps())
        kept = [step for step in given if not names_files(Step(step["op"], {}))]
        left_out = [_(OPERATIONS[step["op"]].title) for step in given if step not in kept]
        if not name:
            raise UserError(_("Give the recipe a name."), reason="invalid", field="name")
        recipe = save_recipe(project, request.user, name=name, steps=kept)  # type: ignore[arg-type]
        context |= {"saved": recipe, "recipe_name": "", "recipes": project.recipes.all()}
        context["left_out"] = ", ".join(dict.fromkeys(left_out))
    except UserError as error:
        context["error"] = error.message
    return render(request, "datasets/_recipe_form.html", context)


@login_required
@require_POST
def recipe_rename(request: HttpRequest, pk: int) -> HttpResponse:
    """Give it another name."""
    recipe = get_editable(_recipes, request.user, pk=pk)
    name = request.POST.get("name", "").strip()[:100]
    try:
        if name:
            update_recipe(recipe, name=name)
            messages.success(request, _("The recipe is called “%(name)s” now.") % {"name": name})
    except UserError as error:
        messages.error(request, error.message)
    return redirect("datasets:recipes", recipe.project_id)


@login_required
@require_POST
def recipe_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete it; what was made by it stays."""
    recipe = get_editable(_recipes, request.user, pk=pk)
    recipe.delete()
    messages.success(request, _("The recipe “%(name)s” was deleted.") % {"name": recipe.name})
    return redirect("datasets:recipes", recipe.project_id)
