from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets.api import DataFileViewSet, DatasetViewSet, DataViewSet, FileViewSet

router = SimpleRouter(use_regex_path=False)
router.register("datasets", DatasetViewSet, basename="api-dataset")
router.register("data", DataViewSet, basename="api-data")
urlpatterns = [
    path("data/<int:pk>/files/", DataFileViewSet.as_view({"get": "list", "post": "create"}), name="api-data-files"),
    path("files/<int:pk>/content/", FileViewSet.as_view({"get": "content"}), name="api-file-content"),
    path("files/<int:pk>/thumbnail/", FileViewSet.as_view({"get": "thumbnail"}), name="api-file-thumbnail"),
    *router.urls,
]
