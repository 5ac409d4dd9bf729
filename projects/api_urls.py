from django.urls import path
from rest_framework.routers import SimpleRouter

from projects.api import ProjectViewSet, TrashedProjectViewSet

router = SimpleRouter(use_regex_path=False)
router.register("projects", ProjectViewSet, basename="api-project")
urlpatterns = [
    path("trash/projects/", TrashedProjectViewSet.as_view({"get": "list"}), name="api-trash-projects"),
    path("trash/projects/<int:pk>/", TrashedProjectViewSet.as_view({"delete": "destroy"}), name="api-trash-project"),
    path(
        "trash/projects/<int:pk>/restore/",
        TrashedProjectViewSet.as_view({"post": "restore"}),
        name="api-trash-project-restore",
    ),
    *router.urls,
]
