from django.contrib import admin

from dlmodeler_site.admin_base import Deletable, DeletableAdmin, MadeOnSite, ReadOnly, ReadOnlyAdmin
from jobs.definition import delete_job
from jobs.evaluating.evaluations import delete_evaluation
from jobs.models import Download, EpochMetrics, Estimate, Evaluation, Job, JobInput, Training
from jobs.submit import delete_training


class JobInputInline(ReadOnly, admin.TabularInline):
    model = JobInput
    extra = 0
    fields = ("name", "data")


@admin.register(Job)
class JobAdmin(Deletable, MadeOnSite, admin.ModelAdmin):
    """Name and description may be mended here; jobs are made on the site."""

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

    def delete_row(self, row: Job) -> None:
        delete_job(row)


@admin.register(Training)
class TrainingAdmin(DeletableAdmin):
    list_display = ("name", "job", "status", "progress", "instance_kind", "accuracy", "loss", "attempt", "created_at")
    list_filter = ("status", "instance_kind")
    list_select_related = ("job",)
    search_fields = ("name", "job__name", "job__project__name")

    def delete_row(self, row: Training) -> None:
        delete_training(row)


@admin.register(EpochMetrics)
class EpochMetricsAdmin(ReadOnlyAdmin):
    list_display = ("training", "epoch", "attempt", "time", "seconds", "metrics")
    list_select_related = ("training",)
    search_fields = ("training__name",)


@admin.register(Evaluation)
class EvaluationAdmin(DeletableAdmin):
    list_display = ("training", "data", "part", "status", "progress", "attempt", "creator", "created_at")
    list_filter = ("status", "part")
    list_select_related = ("training", "data", "creator")
    search_fields = ("training__name", "training__job__project__name", "data__name")

    def delete_row(self, row: Evaluation) -> None:
        delete_evaluation(row)


@admin.register(Download)
class DownloadAdmin(ReadOnlyAdmin):
    list_display = ("training", "format", "status", "progress", "attempt", "created_at")
    list_filter = ("status", "format")
    list_select_related = ("training",)
    search_fields = ("training__name", "training__job__project__name")


@admin.register(Estimate)
class EstimateAdmin(ReadOnlyAdmin):
    list_display = ("job", "status", "instance_kind", "seconds", "memory_bytes", "created_at")
    list_filter = ("status", "instance_kind")
    list_select_related = ("job",)
    search_fields = ("job__name",)
