from django.urls import path

from datasets import data_views, dataset_views, preprocess_views, trash_views

app_name = "datasets"
urlpatterns = [
    path("projects/<int:project_pk>/data/", dataset_views.dataset_list, name="list"),
    path("projects/<int:project_pk>/data/new/", dataset_views.dataset_create, name="create"),
    path("projects/<int:project_pk>/data/delete/", dataset_views.dataset_bulk_delete, name="bulk-delete"),
    path("projects/<int:project_pk>/data/path/", dataset_views.path_preview, name="path-preview"),
    path("projects/<int:project_pk>/data/browse/", dataset_views.browse, name="browse"),
    path("projects/<int:project_pk>/data/preprocess/", preprocess_views.preprocess, name="preprocess"),
    path("projects/<int:project_pk>/data/preprocess/preview/", preprocess_views.preview, name="preprocess-preview"),
    path("projects/<int:project_pk>/trash/", trash_views.project_trash, name="trash"),
    path("projects/<int:project_pk>/trash/empty/", trash_views.project_trash_empty, name="trash-empty"),
    path("trash/datasets/<int:pk>/restore/", trash_views.dataset_restore, name="dataset-restore"),
    path("trash/datasets/<int:pk>/delete/", trash_views.dataset_end, name="dataset-delete-forever"),
    path("trash/data/<int:pk>/restore/", trash_views.data_restore, name="data-restore"),
    path("trash/data/<int:pk>/delete/", trash_views.data_end, name="data-delete-forever"),
    path("datasets/<int:pk>/", dataset_views.dataset_detail, name="dataset"),
    path("datasets/<int:pk>/edit/", dataset_views.dataset_edit, name="dataset-edit"),
    path("datasets/<int:pk>/delete/", dataset_views.dataset_delete, name="dataset-delete"),
    path("datasets/<int:pk>/delete-preview/", trash_views.dataset_delete_preview, name="dataset-delete-preview"),
    path("datasets/<int:pk>/add/", data_views.data_create, name="data-create"),
    path("data/<int:pk>/", data_views.data_detail, name="data"),
    path("data/<int:pk>/files/", data_views.data_files, name="data-files"),
    path("data/<int:pk>/status/", data_views.data_status, name="data-status"),
    path("data/<int:pk>/status-cell/", data_views.data_status_cell, name="data-status-cell"),
    path("data/<int:pk>/sample/", data_views.data_sample, name="data-sample"),
    path("data/<int:pk>/balance/", data_views.data_balance, name="data-balance"),
    path("data/<int:pk>/upload/", data_views.data_upload, name="data-upload"),
    path("data/<int:pk>/commit/", data_views.data_commit, name="data-commit"),
    path("data/<int:pk>/stop/", data_views.data_stop, name="data-stop"),
    path("data/<int:pk>/delete/", data_views.data_delete, name="data-delete"),
    path("data/<int:pk>/delete-preview/", trash_views.data_delete_preview, name="data-delete-preview"),
]
