from django.urls import path
from rest_framework.routers import SimpleRouter

from deployments.api import DeploymentViewSet, PredictionJobViewSet

router = SimpleRouter(use_regex_path=False)
router.register("deployments", DeploymentViewSet, basename="api-deployment")
router.register("predictions", PredictionJobViewSet, basename="api-prediction")
urlpatterns = [
    *router.urls,
    path(
        "predictions/<int:pk>/results.csv",
        PredictionJobViewSet.as_view({"get": "results_csv"}),
        name="api-prediction-results-csv",
    ),
    path(
        "predictions/<int:pk>/results.jsonl",
        PredictionJobViewSet.as_view({"get": "results_jsonl"}),
        name="api-prediction-results-jsonl",
    ),
    path(
        "predictions/<int:pk>/files/<int:file_pk>/heatmap/",
        PredictionJobViewSet.as_view({"get": "heatmap"}),
        name="api-prediction-heatmap",
    ),
]
