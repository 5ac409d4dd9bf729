from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from datasets.models import Data, Dataset, File
from datasets.trash import delete_data, delete_dataset
from dlmodeler_site.admin_base import DeletableAdmin, ReadOnlyAdmin


@admin.register(Dataset)
class DatasetAdmin(DeletableAdmin):
    list_display = ("name", "project", "creator", "created_at", "changed_at")
    list_select_related = ("project", "creator")
    search_fields = ("name", "description", "project__name")

    def delete_row(self, row: Dataset) -> None:
        delete_dataset(row)


@admin.register(Data)
class DataAdmin(DeletableAdmin):
    list_display = ("name", "dataset", "kind", "content", "status", "file_count", "size_bytes", "created_at")
    list_filter = ("status", "kind", "content")
    list_select_related = ("dataset",)
    search_fields = ("name", "description", "dataset__name")

    def delete_row(self, row: Data) -> None:
        delete_data(row)


@admin.register(File)
class FileAdmin(ReadOnlyAdmin):
    list_display = ("name", "data", "state", "size_bytes", "label")
    list_filter = ("state",)
    list_select_related = ("data",)
    search_fields = ("name",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        return super().get_queryset(request).filter(data__deleted_at=None)
