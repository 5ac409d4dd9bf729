from rest_framework.routers import SimpleRouter

from projects.api import ProjectViewSet

router = SimpleRouter(use_regex_path=False)
router.register("projects", ProjectViewSet, basename="api-project")
urlpatterns = router.urls
