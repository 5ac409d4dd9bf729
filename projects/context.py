"""What every page's header needs."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from projects.models import Project


def navigation(request: HttpRequest) -> dict[str, Any]:
    """The user's projects for the switcher; built and evaluated only where a template shows it."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "nav_projects": SimpleLazyObject(lambda: Project.objects.visible_to(user).order_by("name").only("pk", "name"))
    }
