from django.contrib import admin

from projects.models import Membership, Project


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Operators see every project here; slug and creator are part of paths and stay as they are."""

    list_display = ("name", "creator", "created_at", "changed_at")
    search_fields = ("name", "description", "creator__username")
    readonly_fields = ("slug", "creator", "creator_slug", "created_at", "changed_at")
    list_select_related = ("creator",)
    inlines = (MembershipInline,)

    def has_add_permission(self, request: object) -> bool:
        return False  # projects are made on the site, where their paths are
