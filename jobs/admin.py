from django.contrib import admin
from django.http import HttpRequest

from jobs.models import EpochMetrics, Job, JobInput, Training


class ReadOnly:
    """What a hand edit would corrupt: shown, never added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class JobInputInline(ReadOnly, admin.TabularInline):
    model = JobInput
    extra = 0


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """Name and description may be mended here; jobs are made and deleted on the site, where their files are."""

    list_display = ("name", "project", "kind", "algorithm", "creator", "created_at")
    list_filter = ("kind", "algorithm")
    list_select_related = ("project", "creator")
    search_fields = ("name", "project__name", "creator__username")
    fields = (
        "name",
        "description",
        "project",
        "slug",
        "creator",
        "kind",
        "algorithm",
        "class_names",
        "instance_kind",
        "instance_count",
        "created_at",
        "changed_at",
    )
    readonly_fields = fields[2:]
    inlines = (JobInputInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Training)
class TrainingAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "job", "status", "progress", "instance_kind", "accuracy", "loss", "attempt", "created_at")
    list_filter = ("status", "instance_kind")
    list_select_related = ("job",)
    search_fields = ("name", "job__name", "job__project__name")


@admin.register(EpochMetrics)
class EpochMetricsAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("training", "epoch", "attempt", "time", "seconds", "metrics")
    list_select_related = ("training",)
    search_fields = ("training__name",)
