"""Estimates over the REST API."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.api import WORK_FIELDS, InstanceSerializer, ScopedViewSet, WorkSerializer, idempotent
from dlmodeler_site.work.queue import waiting_reason
from jobs.estimating.estimates import request_estimate
from jobs.models import Estimate, Instance
from jobs.submit import complete_hyperparameters


class EstimateRequestSerializer(serializers.Serializer[Any]):
    hyperparameters = serializers.DictField(required=False, default=dict, help_text="as for a training")
    instance = InstanceSerializer(required=False, default=lambda: {"kind": "cpu", "count": 1})


class EstimateSerializer(WorkSerializer):
    """What a training would take, at most: early stopping may end it before."""

    job = serializers.IntegerField(source="job_id", read_only=True)
    instance = InstanceSerializer(read_only=True)
    hyperparameters = serializers.DictField(read_only=True)
    seconds = serializers.FloatField(read_only=True, allow_null=True, help_text="null until it is completed")
    memory_bytes = serializers.IntegerField(read_only=True, allow_null=True, help_text="the peak")
    parts = serializers.SerializerMethodField(help_text="seconds of each part: decoding, the stages, export, …")
    waiting_reason = serializers.SerializerMethodField(help_text="why it is queued; null when it is not")

    class Meta:
        model = Estimate
        fields = (
            *("id", "job", *WORK_FIELDS, "instance", "hyperparameters"),
            *("seconds", "memory_bytes", "parts", "waiting_reason"),
        )

    def get_parts(self, estimate: Estimate) -> dict[str, float]:
        parts: dict[str, float] = estimate.details.get("parts", {})
        return parts

    def get_waiting_reason(self, estimate: Estimate) -> str | None:
        return waiting_reason(estimate) or None


class EstimateActions(ScopedViewSet):
    """Estimates of a job's trainings."""

    @extend_schema(operation_id="jobs_estimate", request=EstimateRequestSerializer, responses={202: EstimateSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def estimate(self, request: Request, pk: str) -> Response:
        """Probe what a training would take; poll /estimates/{id}/. What was asked before is not probed again."""
        job = self.editable()
        form = EstimateRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        complete = complete_hyperparameters(job, given["hyperparameters"])
        estimate = request_estimate(request.user, job, Instance(**given["instance"]), complete)  # type: ignore[arg-type]
        return Response(EstimateSerializer(estimate).data, status=202)


class EstimateViewSet(ListModelMixin, ScopedViewSet):
    """Estimates of trainings in the user's projects; made by POST /jobs/{id}/estimate/."""

    queryset = Estimate.objects.select_related("job")
    serializer_class = EstimateSerializer
    parents = {"job": "job", "project": "job__project"}
    search_fields = ("job__name",)
    ordering_fields = ("created_at", "status")

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self.get_serializer(self.visible()).data)
