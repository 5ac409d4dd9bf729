from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from deployments.deploy import start_deployment, stop_deployment
from deployments.models import Deployment, DeploymentToken, Prediction, PredictionJob
from deployments.tokens import revoke_token


class ReadOnly:
    """What a hand edit would corrupt: shown, never added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class DeploymentTokenInline(ReadOnly, admin.TabularInline):
    model = DeploymentToken
    extra = 0
    fields = ("name", "creator", "created_at", "expires_at", "last_used_at", "rotated_at", "revoked_at")


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):
    """Name and description may be mended here; the keeper writes the state, and actions say what it shall be."""

    list_display = ("name", "project", "wanted", "status", "training", "creator", "created_at")
    list_filter = ("status", "wanted", "instance_kind")
    list_select_related = ("project", "training", "creator")
    search_fields = ("name", "project__name", "training__name", "creator__username")
    fields = (
        "name",
        "description",
        "project",
        "training",
        "creator",
        "instance_kind",
        "instance_count",
        "bundle_key",
        "bundle_info",
        "preprocess",
        "steps",
        "wanted",
        "status",
        "error",
        "active_at",
        "created_at",
        "changed_at",
    )
    readonly_fields = fields[2:]
    inlines = (DeploymentTokenInline,)
    actions = ("start", "stop")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.action(description=_("Start"), permissions=["change"])
    def start(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        for deployment in deployments:
            start_deployment(deployment)

    @admin.action(description=_("Stop"), permissions=["change"])
    def stop(self, request: HttpRequest, deployments: QuerySet[Deployment]) -> None:
        for deployment in deployments:
            stop_deployment(deployment)


@admin.register(DeploymentToken)
class DeploymentTokenAdmin(ReadOnly, admin.ModelAdmin):
    """Operators see who may predict and revoke that; they do not see the tokens."""

    list_display = ("name", "deployment", "creator", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("deployment", "creator")
    search_fields = ("name", "deployment__name", "deployment__project__name")
    fields = ("deployment", "name", "creator", "created_at", "expires_at", "last_used_at", "rotated_at", "revoked_at")
    actions = ("revoke",)

    @admin.action(description=_("Revoke"), permissions=["view"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[DeploymentToken]) -> None:
        for token in tokens:
            revoke_token(token)


@admin.register(PredictionJob)
class PredictionJobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "deployment", "data", "status", "progress", "file_count", "failed_count", "created_at")
    list_filter = ("status",)
    list_select_related = ("deployment", "data")
    search_fields = ("name", "deployment__name", "deployment__project__name")


@admin.register(Prediction)
class PredictionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("file", "prediction_job", "label", "class_name", "probability", "error")
    list_select_related = ("file", "prediction_job")
    search_fields = ("file__name", "prediction_job__name")
    show_full_result_count = False
