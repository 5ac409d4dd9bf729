from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets.api import DataFileViewSet, DatasetViewSet, DataViewSet, FileViewSet
from datasets.connection_api import ConnectionViewSet
from datasets.export_api import ExportViewSet
from datasets.import_api import ImportViewSet
from datasets.preprocess_api import PreprocessViewSet
from datasets.recipes_api import RecipeViewSet
from datasets.trash_api import TrashedDatasetViewSet, TrashedDataViewSet, TrashViewSet
from datasets.upload_api import MissingFilesViewSet, UploadViewSet

_preprocess = {
    "preprocess": "preprocess/",
    "split": "split/",
    "preview": "preprocess/preview/",
    "selection": "preprocess/selection/",
}
router = SimpleRouter(use_regex_path=False)
router.register("datasets", DatasetViewSet, basename="api-dataset")
router.register("data", DataViewSet, basename="api-data")
router.register("connections", ConnectionViewSet, basename="api-connection")
router.register("exports", ExportViewSet, basename="api-export")
router.register("recipes", RecipeViewSet, basename="api-recipe")
urlpatterns = [
    path("data/import/", ImportViewSet.as_view({"post": "create"}), name="api-data-import"),
    path("data/<int:pk>/files/", DataFileViewSet.as_view({"get": "list", "post": "create"}), name="api-data-files"),
    path(
        "data/<int:pk>/files/missing/", MissingFilesViewSet.as_view({"post": "create"}), name="api-data-files-missing"
    ),
    path("data/<int:pk>/uploads/", UploadViewSet.as_view({"get": "list", "post": "create"}), name="api-data-uploads"),
    path(
        "data/<int:pk>/uploads/<uuid:upload>/",
        UploadViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api-data-upload",
    ),
    *(
        path(f"data/<int:pk>/{address}", PreprocessViewSet.as_view({"post": name}), name=f"api-data-{name}")
        for name, address in _preprocess.items()
    ),
    path("files/<int:pk>/content/", FileViewSet.as_view({"get": "content"}), name="api-file-content"),
    path("files/<int:pk>/thumbnail/", FileViewSet.as_view({"get": "thumbnail"}), name="api-file-thumbnail"),
    path("trash/", TrashViewSet.as_view({"get": "list"}), name="api-trash"),
    path("trash/empty/", TrashViewSet.as_view({"post": "empty"}), name="api-trash-empty"),
    path("trash/datasets/<int:pk>/", TrashedDatasetViewSet.as_view({"delete": "destroy"}), name="api-trash-dataset"),
    path(
        "trash/datasets/<int:pk>/restore/",
        TrashedDatasetViewSet.as_view({"post": "restore"}),
        name="api-trash-dataset-restore",
    ),
    path("trash/data/<int:pk>/", TrashedDataViewSet.as_view({"delete": "destroy"}), name="api-trash-data"),
    path(
        "trash/data/<int:pk>/restore/",
        TrashedDataViewSet.as_view({"post": "restore"}),
        name="api-trash-data-restore",
    ),
    *router.urls,
]
