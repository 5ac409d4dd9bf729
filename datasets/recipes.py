"""Recipes: preprocessing steps under a name, to be used again in the project."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets.models import Recipe
from datasets.preprocessing.operation import Step
from datasets.preprocessing.parameters import FileNames
from datasets.preprocessing.registry import OPERATIONS
from datasets.versions import checked_steps
from dlmodeler_site.errors import Conflict, UserError
from projects.models import Project


def save_recipe(project: Project, creator: User, *, name: str, steps: Any) -> Recipe:
    """Keep the steps under a name that no other recipe of the project has."""
    valid = _checked(steps)
    with transaction.atomic():
        _refuse_taken(project, name)
        return Recipe.objects.create(project=project, creator=creator, name=name.strip(), steps=valid)


def update_recipe(recipe: Recipe, *, name: str | None = None, steps: Any = None) -> None:
    """Change what is given."""
    with transaction.atomic():
        if name is not None:
            _refuse_taken(recipe.project, name, but=recipe)
            recipe.name = name.strip()
        if steps is not None:
            recipe.steps = _checked(steps)
        recipe.save()


def _checked(steps: Any) -> list[dict[str, Any]]:
    valid = checked_steps(steps)
    if naming := [step.op for step in valid if names_files(step)]:
        raise UserError(
            _("A recipe is for any data, so it takes no steps that name files; received %(steps)s. Leave these out.")
            % {"steps": ", ".join(naming)},
            reason="step_names_files",
            field="steps",
        )
    return [step.as_dict() for step in valid]


def names_files(step: Step) -> bool:
    """Whether the step is for the files of one data, and so no part of a recipe."""
    return any(isinstance(parameter, FileNames) for parameter in OPERATIONS[step.op].parameters)


def _refuse_taken(project: Project, name: str, *, but: Recipe | None = None) -> None:
    Project.objects.select_for_update().get(pk=project.pk)  # RACE: two of the same name
    others = project.recipes.exclude(pk=but.pk) if but else project.recipes.all()
    if others.filter(name=name.strip()).exists():
        raise Conflict(
            _("The project has a recipe “%(name)s” already. Choose another name.") % {"name": name.strip()},
            reason="name_taken",
            field="name",
        )
