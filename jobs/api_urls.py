from django.urls import path
from rest_framework.routers import SimpleRouter

from jobs.api import AlgorithmViewSet, JobViewSet, TrainingViewSet
from jobs.estimating.api import EstimateViewSet
from jobs.evaluating.api import EvaluationViewSet

router = SimpleRouter(use_regex_path=False)
router.register("algorithms", AlgorithmViewSet, basename="api-algorithm")
router.register("jobs", JobViewSet, basename="api-job")
router.register("estimates", EstimateViewSet, basename="api-estimate")
router.register("trainings", TrainingViewSet, basename="api-training")
router.register("evaluations", EvaluationViewSet, basename="api-evaluation")
urlpatterns = [
    *router.urls,
    path(
        "evaluations/<int:pk>/results.csv",
        EvaluationViewSet.as_view({"get": "results_csv"}),
        name="api-evaluation-results-csv",
    ),
]
