from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from deployments.deploy import delete_deployment, start_deployment, stop_deployment
from deployments.models import (
    Deployment,
    DeploymentToken,
    DeploymentVersion,
    LoggedRequest,
    Prediction,
    PredictionJob,
    Traffic,
)
from deployments.predictions import delete_prediction_job
from deployments.tokens import revoke_token
from deployments.versions import delete_version
from dlmodeler_site.admin_base import Deletable, DeletableAdmin, MadeOnSite, ReadOnly, ReadOnlyAdmin, do_with_each


class DeploymentTokenInline(ReadOnly, admin.TabularInline):
    model = DeploymentToken
    extra = 0
    fields = ("name", "creator", "created_at", "expires_at", "last_used_at", "rotated_at", "revoked_at")


@admin.register(Deployment)
class DeploymentAdmin(Deletable, MadeOnSite, admin.ModelAdmin):
    """Name and description may be mended here; the keeper writes the state, and actions say what it shall be."""

    list_display = ("name", "project", "wanted", "status", "version", "next_version", "creator", "created_at")
    list_filter = ("status", "wanted", "instance_kind")
    list_select_related = ("project", "version", "next_version", "creator")
    search_fields = ("name", "project__name", "version__training__name", "creator__username")
    fields = (
        "name",
        "description",
        "project",
        "version",
        "next_version",
        "creator",
        "instance_kind",
        "instance_count",
        "wanted",
        "status",
        "error",
        "active_at",
        "created_at",
        "changed_at",
    )
    readonly_fields = fields[2:]
    inlines = (DeploymentTokenInline,)
    actions = ("start", "stop", "delete_selected")

    def delete_row(self, row: Deployment) -> None:
        delete_deployment(row)

    @admin.action(description=_("Start"), permissions=["change"])
    def start(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        do_with_each(request, deployments, start_deployment)

    @admin.action(description=_("Stop"), permissions=["change"])
    def stop(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        do_with_each(request, deployments, stop_deployment)


@admin.register(DeploymentToken)
class DeploymentTokenAdmin(ReadOnlyAdmin):
    """Operators see who may predict and revoke that; they do not see the tokens."""

    list_display = ("name", "deployment", "creator", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("deployment", "creator")
    search_fields = ("name", "deployment__name", "deployment__project__name")
    fields = ("deployment", "name", "creator", "created_at", "expires_at", "last_used_at", "rotated_at", "revoked_at")
    actions = ("revoke",)

    @admin.action(description=_("Revoke"), permissions=["view"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[DeploymentToken]) -> None:
        do_with_each(request, tokens, revoke_token)


@admin.register(DeploymentVersion)
class DeploymentVersionAdmin(DeletableAdmin):
    list_display = ("deployment", "number", "status_title", "training", "creator", "created_at", "activated_at")
    list_select_related = ("deployment", "training", "creator")
    search_fields = ("deployment__name", "deployment__project__name", "training__name", "creator__username")

    def delete_row(self, row: DeploymentVersion) -> None:
        delete_version(row)


@admin.register(PredictionJob)
class PredictionJobAdmin(DeletableAdmin):
    list_display = ("name", "deployment", "data", "status", "progress", "file_count", "failed_count", "created_at")
    list_filter = ("status",)
    list_select_related = ("deployment", "data")
    search_fields = ("name", "deployment__name", "deployment__project__name")

    def delete_row(self, row: PredictionJob) -> None:
        delete_prediction_job(row)


@admin.register(Prediction)
class PredictionAdmin(ReadOnlyAdmin):
    list_display = ("file", "row", "prediction_job", "label", "class_name", "probability", "value", "error")
    list_select_related = ("file", "prediction_job")
    search_fields = ("file__name", "prediction_job__name")
    show_full_result_count = False


@admin.register(LoggedRequest)
class LoggedRequestAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "deployment", "at", "status", "reason", "latency_ms", "samples", "token")
    list_filter = ("status",)
    list_select_related = ("deployment", "token")
    search_fields = ("request_id", "deployment__name")
    fields = (
        "deployment",
        "at",
        "request_id",
        "token",
        "version",
        "status",
        "reason",
        "latency_ms",
        "samples",
        "label",
        "confidence",
    )
    show_full_result_count = False


@admin.register(Traffic)
class TrafficAdmin(ReadOnlyAdmin):
    list_display = ("deployment", "span", "begins_at")
    list_filter = ("span",)
    list_select_related = ("deployment",)
    search_fields = ("deployment__name",)
    fields = ("deployment", "span", "begins_at", "counts")
