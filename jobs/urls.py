from django.urls import path

from jobs import training_views, views
from jobs.checking import views as check_views
from jobs.comparing import views as compare_views
from jobs.downloading import card_views
from jobs.downloading import views as download_views
from jobs.estimating import views as estimate_views
from jobs.evaluating import views as evaluation_views
from jobs.records import views as record_views
from jobs.watching import board_views

app_name = "jobs"
urlpatterns = [
    path("projects/<int:project_pk>/jobs/", views.job_list, name="list"),
    path("projects/<int:project_pk>/jobs/new/", views.job_create, name="create"),
    path("projects/<int:project_pk>/jobs/new/basic/", views.job_create_basic, name="create-basic"),
    path("projects/<int:project_pk>/jobs/new/custom/", views.job_create_custom, name="create-custom"),
    path("projects/<int:project_pk>/jobs/data-fields/", views.data_fields, name="data-fields"),
    path("projects/<int:project_pk>/jobs/recommendation/", views.recommendation, name="recommendation"),
    path("jobs/<int:pk>/", views.job_detail, name="detail"),
    path("jobs/<int:pk>/details/", views.job_details, name="details"),
    path("jobs/<int:pk>/edit/", views.job_edit, name="edit"),
    path("jobs/<int:pk>/delete/", views.job_delete, name="delete"),
    path("jobs/<int:pk>/check/", check_views.job_check, name="check"),
    path("jobs/<int:pk>/fix/", check_views.job_fix, name="fix"),
    path("jobs/<int:pk>/estimate/", estimate_views.job_estimate, name="estimate"),
    path("estimates/<int:pk>/status/", estimate_views.estimate_status, name="estimate-status"),
    path("jobs/<int:pk>/trainings/", views.job_trainings, name="trainings"),
    path("jobs/<int:pk>/trainings/new/", training_views.training_create, name="training-create"),
    path("jobs/<int:pk>/compare/", compare_views.compare, name="compare"),
    path("jobs/<int:pk>/compare/table/", compare_views.compare_table, name="compare-table"),
    path("jobs/<int:pk>/compare/choices/", compare_views.compare_choices, name="compare-choices"),
    path("trainings/<int:pk>/", training_views.training_detail, name="training"),
    path("trainings/<int:pk>/status/", training_views.training_status, name="training-status"),
    path("trainings/<int:pk>/stop/", training_views.training_stop, name="training-stop"),
    path("trainings/<int:pk>/resume/", training_views.training_resume, name="training-resume"),
    path("trainings/<int:pk>/again/", record_views.training_again, name="training-again"),
    path("trainings/<int:pk>/delete/", training_views.training_delete, name="training-delete"),
    path("trainings/<int:pk>/evaluation/", evaluation_views.evaluation, name="evaluation"),
    path("trainings/<int:pk>/evaluation/new/", evaluation_views.evaluation_create, name="evaluation-create"),
    path("trainings/<int:pk>/model/<str:name>/", download_views.model, name="model"),
    path("trainings/<int:pk>/card/", card_views.card, name="card"),
    path("tensorboard/<slug:ids>/", board_views.tensorboard, name="tensorboard"),
    path("tensorboard/<slug:ids>/<path:path>", board_views.tensorboard, name="tensorboard-part"),
    path("downloads/<int:pk>/status/", download_views.download_status, name="download-status"),
    path("evaluations/<int:pk>/status/", evaluation_views.evaluation_status, name="evaluation-status"),
    path("evaluations/<int:pk>/samples/", evaluation_views.evaluation_samples, name="evaluation-samples"),
    path("evaluations/<int:pk>/stop/", evaluation_views.evaluation_stop, name="evaluation-stop"),
    path("evaluations/<int:pk>/resume/", evaluation_views.evaluation_resume, name="evaluation-resume"),
    path("evaluations/<int:pk>/delete/", evaluation_views.evaluation_delete, name="evaluation-delete"),
]
