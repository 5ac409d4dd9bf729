from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from datasets.models import Data, Dataset, File
from datasets.versions import delete_data, delete_dataset
from dlmodeler_site.errors import UserError


class _ReadOnly(admin.ModelAdmin):
    """Rows that belong to files and to work: hand edits would tear them apart."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _Deletable(_ReadOnly):
    """Deleted by the function that pages and API use, which refuses what is in use and takes the files along."""

    def delete_row(self, row: Any) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        try:
            self.delete_row(obj)
        except UserError as error:
            self.message_user(request, error.message, messages.ERROR)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)


@admin.register(Dataset)
class DatasetAdmin(_Deletable):
    list_display = ("name", "project", "creator", "created_at", "changed_at")
    list_select_related = ("project", "creator")
    search_fields = ("name", "description", "project__name")

    def delete_row(self, row: Dataset) -> None:
        delete_dataset(row)


@admin.register(Data)
class DataAdmin(_Deletable):
    list_display = ("name", "dataset", "kind", "content", "status", "file_count", "size_bytes", "created_at")
    list_filter = ("status", "kind", "content")
    list_select_related = ("dataset",)
    search_fields = ("name", "description", "dataset__name")

    def delete_row(self, row: Data) -> None:
        delete_data(row)


@admin.register(File)
class FileAdmin(_ReadOnly):
    list_display = ("name", "data", "state", "size_bytes", "label")
    list_filter = ("state",)
    list_select_related = ("data",)
    search_fields = ("name",)
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
