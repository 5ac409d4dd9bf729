from rest_framework.routers import SimpleRouter

from jobs.api import AlgorithmViewSet, JobViewSet, TrainingViewSet

router = SimpleRouter(use_regex_path=False)
router.register("algorithms", AlgorithmViewSet, basename="api-algorithm")
router.register("jobs", JobViewSet, basename="api-job")
router.register("trainings", TrainingViewSet, basename="api-training")
urlpatterns = router.urls
