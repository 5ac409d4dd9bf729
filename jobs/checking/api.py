"""What the REST API does with the check of a job's data."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.api import ScopedViewSet, idempotent
from jobs.checking import fixes, preflight
from jobs.checking.serializers import CheckRequestSerializer, FindingSerializer, FixedSerializer, FixRequestSerializer
from jobs.definition import algorithm
from jobs.models import Job


class CheckActions(ScopedViewSet):
    """Checking the data of a job, and mending it."""

    @extend_schema(
        operation_id="jobs_check",
        parameters=[
            OpenApiParameter(
                "num_types", int, description="and any other hyperparameter, to check that it fits the data"
            )
        ],
        responses=FindingSerializer(many=True),
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def check(self, request: Request, pk: str) -> Response:
        """The findings of the check before training, errors first."""
        job = self.visible()
        known = {each.name for each in algorithm(job.algorithm).hyperparameters} if job.algorithm else set()
        return _checked(job, {name: value for name, value in request.query_params.items() if name in known})

    @extend_schema(
        operation_id="jobs_check_with",
        request=CheckRequestSerializer,
        responses=FindingSerializer(many=True),
        filters=False,
    )
    @check.mapping.post
    def check_with(self, request: Request, pk: str) -> Response:
        """The findings of the check with these hyperparameters, errors first; nothing is changed."""
        job = self.visible()
        form = CheckRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return _checked(job, form.validated_data["hyperparameters"])

    @extend_schema(
        operation_id="jobs_fix", request=FixRequestSerializer, responses={200: FixedSerializer, 201: FixedSerializer}
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def fix(self, request: Request, pk: str) -> Response:
        """Do what a finding offers: 201 with a new data that the job reads from now on, or 200 with hyperparameters."""
        job = self.editable()
        form = FixRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = preflight.given_hyperparameters(job, form.validated_data["hyperparameters"])
        fixed = fixes.apply_fix(job, request.user, form.validated_data["code"], given)  # type: ignore[arg-type]
        return Response(FixedSerializer(fixed).data, status=201 if fixed.data else 200)


def _checked(job: Job, given: Mapping[str, Any]) -> Response:
    findings: list[dict[str, Any]] = [
        finding.as_dict() for finding in preflight.check(job, preflight.given_hyperparameters(job, given))
    ]
    return Response(findings)
