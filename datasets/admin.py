from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from datasets.connection_forms import ConnectionAdminForm
from datasets.connections import delete_connection, store
from datasets.models import Connection, Data, Dataset, Export, File, Recipe
from datasets.trash import delete_data, delete_dataset
from dlmodeler_site.admin_base import DeletableAdmin, ReadOnlyAdmin


@admin.register(Dataset)
class DatasetAdmin(DeletableAdmin):
    list_display = ("name", "project", "creator", "created_at", "changed_at")
    list_select_related = ("project", "creator")
    search_fields = ("name", "description", "project__name")
    goes_to_trash = True

    def delete_row(self, row: Dataset) -> None:
        delete_dataset(row)


@admin.register(Data)
class DataAdmin(DeletableAdmin):
    list_display = ("name", "dataset", "kind", "content", "status", "file_count", "size_bytes", "created_at")
    list_filter = ("status", "kind", "content")
    list_select_related = ("dataset",)
    search_fields = ("name", "description", "dataset__name")
    goes_to_trash = True

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


@admin.register(Connection)
class ConnectionAdmin(DeletableAdmin):
    """Where connections of all projects are made: without a project. The secret key is written, and never shown."""

    form = ConnectionAdminForm
    fields = ("project", "name", "endpoint", "region", "bucket", "access_key", "secret_key")
    list_display = ("name", "project", "endpoint", "bucket", "checked_at", "error", "creator", "created_at")
    list_select_related = ("project", "creator")
    search_fields = ("name", "endpoint", "bucket", "project__name")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return []

    def save_model(self, request: HttpRequest, obj: Connection, form: ConnectionAdminForm, change: bool) -> None:
        if not change:
            obj.creator_id = request.user.pk
        store(obj, secret_key=form.cleaned_data["secret_key"])

    def delete_row(self, row: Connection) -> None:
        delete_connection(row)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = ("data", "connection", "prefix", "status", "progress", "creator", "created_at")
    list_filter = ("status",)
    list_select_related = ("data", "connection", "creator")
    search_fields = ("data__name", "connection__name", "prefix")


@admin.register(Recipe)
class RecipeAdmin(DeletableAdmin):
    list_display = ("name", "project", "creator", "created_at", "changed_at")
    list_select_related = ("project", "creator")
    search_fields = ("name", "project__name")

    def delete_row(self, row: Recipe) -> None:
        row.delete()
