from django.urls import path

from deployments import prediction_views, version_views, views
from deployments.traffic import views as traffic_views

app_name = "deployments"
urlpatterns = [
    path("projects/<int:project_pk>/deployments/", views.deployment_list, name="list"),
    path("projects/<int:project_pk>/deployments/new/", views.deployment_create, name="create"),
    path("projects/<int:project_pk>/deployments/browse/", views.browse, name="browse"),
    path(
        "projects/<int:project_pk>/deployments/preprocessing/",
        views.preprocessing_fragment,
        name="preprocessing-fragment",
    ),
    path("deployments/<int:pk>/", views.deployment_detail, name="detail"),
    path("deployments/<int:pk>/status/", views.deployment_status_fragment, name="status-fragment"),
    path("deployments/<int:pk>/edit/", views.deployment_edit, name="edit"),
    path("deployments/<int:pk>/start/", views.deployment_start, name="start"),
    path("deployments/<int:pk>/stop/", views.deployment_stop, name="stop"),
    path("deployments/<int:pk>/delete/", views.deployment_delete, name="delete"),
    path("deployments/<int:pk>/delete/preview/", views.delete_preview, name="delete-preview"),
    path("deployments/<int:pk>/change/", version_views.model_change, name="change"),
    path("deployments/<int:pk>/change/differences/", version_views.differences_fragment, name="differences-fragment"),
    path("deployments/<int:pk>/versions/", version_views.versions_fragment, name="versions-fragment"),
    path("deployments/<int:pk>/versions/<int:number>/rollback/", version_views.rollback, name="rollback"),
    path("deployments/<int:pk>/versions/<int:number>/delete/", version_views.version_delete, name="version-delete"),
    path("deployments/<int:pk>/token/", views.token_show, name="token"),
    path("deployments/<int:pk>/rotate-token/", views.token_rotate, name="rotate-token"),
    path("deployments/<int:pk>/tokens/", views.token_create, name="token-create"),
    path("deployments/<int:pk>/tokens/<int:token_pk>/revoke/", views.token_revoke, name="token-revoke"),
    path("deployments/<int:pk>/traffic/", traffic_views.traffic, name="traffic"),
    path("deployments/<int:pk>/traffic/figures/", traffic_views.figures_fragment, name="traffic-figures"),
    path("deployments/<int:pk>/predictions/", prediction_views.prediction_list, name="predictions"),
    path("deployments/<int:pk>/predictions/new/", prediction_views.prediction_create, name="prediction-create"),
    path("deployments/<int:pk>/sample/", prediction_views.sample_fragment, name="sample-fragment"),
    path("deployments/<int:pk>/sample/prediction/", prediction_views.sample_prediction, name="sample-prediction"),
    path("deployments/<int:pk>/try/", prediction_views.image_prediction, name="image-prediction"),
    path("predictions/<int:pk>/", prediction_views.prediction_detail, name="prediction"),
    path("predictions/<int:pk>/progress/", prediction_views.progress_fragment, name="progress-fragment"),
    path("predictions/<int:pk>/results/", prediction_views.results_fragment, name="results-fragment"),
    path("predictions/<int:pk>/results.csv", prediction_views.results_csv, name="results-csv"),
    path("predictions/<int:pk>/results.jsonl", prediction_views.results_jsonl, name="results-jsonl"),
    path("predictions/<int:pk>/stop/", prediction_views.prediction_stop, name="prediction-stop"),
    path("predictions/<int:pk>/resume/", prediction_views.prediction_resume, name="prediction-resume"),
    path("predictions/<int:pk>/delete/", prediction_views.prediction_delete, name="prediction-delete"),
]
