from django.contrib import admin

from dlmodeler_site.admin_base import MadeOnSite, ReadOnly, ReadOnlyAdmin
from jobs.models import EpochMetrics, Job, JobInput, Training


class JobInputInline(ReadOnly, admin.TabularInline):
    model = JobInput
    extra = 0
    fields = ("name", "data")


@admin.register(Job)
class JobAdmin(MadeOnSite, admin.ModelAdmin):
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


@admin.register(Training)
class TrainingAdmin(ReadOnlyAdmin):
    list_display = ("name", "job", "status", "progress", "instance_kind", "accuracy", "loss", "attempt", "created_at")
    list_filter = ("status", "instance_kind")
    list_select_related = ("job",)
    search_fields = ("name", "job__name", "job__project__name")


@admin.register(EpochMetrics)
class EpochMetricsAdmin(ReadOnlyAdmin):
    list_display = ("training", "epoch", "attempt", "time", "seconds", "metrics")
    list_select_related = ("training",)
    search_fields = ("training__name",)
