from django.contrib import admin

from dlmodeler_site.admin_base import Deletable
from projects.models import Membership, Project
from projects.trash import delete_project


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Project)
class ProjectAdmin(Deletable, admin.ModelAdmin):
    """Operators see every project here; slug and creator are part of paths and stay as they are."""

    list_display = ("name", "creator", "created_at", "changed_at")
    search_fields = ("name", "description", "creator__username")
    readonly_fields = ("slug", "creator", "creator_slug", "created_at", "changed_at")
    list_select_related = ("creator",)
    inlines = (MembershipInline,)
    goes_to_trash = True

    def has_add_permission(self, request: object) -> bool:
        return False  # projects are made on the site, where their paths are

    def delete_row(self, row: Project) -> None:
        delete_project(row)
