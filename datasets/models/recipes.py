"""Steps that are kept."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.access import ScopedQuerySet
from dlmodeler_site.audit import audited
from projects.models import Project


class RecipeQuerySet(ScopedQuerySet):
    pass


@audited()
class Recipe(models.Model):
    """Preprocessing steps under a name, to be used again."""

    project = models.ForeignKey(Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="recipes")
    name = models.CharField(_("name"), max_length=100)
    steps = models.JSONField(_("preprocessing steps"), default=list)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("creator"), null=True, on_delete=models.SET_NULL, editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = RecipeQuerySet.as_manager()

    class Meta:
        verbose_name = _("recipe")
        verbose_name_plural = _("recipes")
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="recipe_name_per_project")]

    def __str__(self) -> str:
        return self.name
