"""What the admin of all apps shares: rows that files, processes and functions stand behind are not edited by hand."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db.models import BinaryField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dlmodeler_site.errors import UserError


class MadeOnSite:
    """Made and deleted on the site, where its files are."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(MadeOnSite):
    """What a hand edit would corrupt: only shown, with the fields that no form has."""

    opts: ClassVar[Any]
    fields: ClassVar[Any]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if self.fields:
            return list(self.fields)
        # What is binary is an encrypted secret.
        return [
            field.name
            for field in sorted(self.opts.concrete_fields, key=lambda field: not field.editable)
            if not (field.primary_key or isinstance(field, BinaryField))
        ]


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):
    """A list of rows that are only shown."""


class Deletable(admin.ModelAdmin):
    """Rows deleted by the function that pages and API use: it refuses what is in use and takes the files along."""

    goes_to_trash: ClassVar[bool] = False
    actions: Any = ("delete_selected",)

    def delete_row(self, row: Any) -> None:
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """The rows alone: what goes with them may be many thousands, and its own admin need not allow it."""
        rows = [str(row) for row in objs]
        return rows, {str(self.opts.verbose_name_plural): len(rows)}, set(), []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except UserError as error:
            messages.error(request, error.message)
            return redirect(request.path)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        messages.success(request, self._told(obj_display))
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete selected %(verbose_name_plural)s"))
    def delete_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Django's own would say that all of them were deleted, refused ones too."""
        if not request.POST.get("post"):
            return delete_selected(self, request, rows)

        def delete(row: Any) -> None:
            name, pk = str(row), row.pk
            self.delete_row(row)
            row.pk = pk  # which a deletion past the trash has taken away
            self.log_deletions(request, [row])  # type: ignore[arg-type]
            messages.success(request, self._told(name))

        do_with_each(request, rows, delete)
        return None

    def _told(self, name: str) -> str:
        words = _("“%(name)s” was moved to the trash.") if self.goes_to_trash else _("“%(name)s” was deleted.")
        return words % {"name": name}


class DeletableAdmin(Deletable, ReadOnlyAdmin):
    """A list of rows that are only shown, and deleted."""


def do_with_each(request: HttpRequest, rows: Iterable[Any], do: Callable[[Any], None]) -> None:
    """Do it with every row; where it is refused, say why and go on."""
    for row in rows:
        try:
            do(row)
        except UserError as error:
            messages.error(request, error.message)
