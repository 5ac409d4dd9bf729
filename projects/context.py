"""What every page's header needs."""

from typing import Any

from django.http import HttpRequest

from projects.models import Project


def navigation(request: HttpRequest) -> dict[str, Any]:
    """The user's projects for the switcher; evaluated only by pages that show it."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {"nav_projects": Project.objects.visible_to(user).order_by("name").only("pk", "name")}
