"""The record of a training over the REST API, and running it again."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.api import idempotent
from jobs.models import Training
from jobs.records.again import run_again
from jobs.records.record import sections
from jobs.serializers import TrainingDetailSerializer
from jobs.submit import NAME_LENGTH


class RecordRowSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="the same for the same fact of every training; unique in its section")
    label = serializers.CharField()  # type: ignore[assignment]
    value = serializers.JSONField(help_text="null where there is no such fact (yet)")
    shown = serializers.CharField(allow_blank=True, help_text="the value for people, in the language of the request")


class RecordSectionSerializer(serializers.Serializer[Any]):
    name = serializers.ChoiceField(choices=["hyperparameters", "results", "data", "run", "code", "hardware", "seed"])
    title = serializers.CharField()
    rows = RecordRowSerializer(many=True)


class RecordSerializer(serializers.Serializer[Any]):
    """What a training was told, came to, was made from and ran on."""

    training = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    algorithm = serializers.CharField(source="job.algorithm")
    sections = serializers.SerializerMethodField(help_text="all of them, always in this order")

    @extend_schema_field(RecordSectionSerializer(many=True))
    def get_sections(self, training: Training) -> Any:
        return RecordSectionSerializer(sections(training), many=True).data


class AgainSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(
        max_length=NAME_LENGTH,
        required=False,
        allow_blank=True,
        default="",
        help_text="empty: from the original's",
    )


class RecordActions:
    """Actions of the trainings' view set."""

    @extend_schema(operation_id="trainings_record", responses=RecordSerializer, filters=False)
    @action(detail=True)
    def record(self, request: Request, pk: str) -> Response:
        """The record of the training: hyperparameters, results, data, run, code, hardware and seed."""
        return Response(RecordSerializer(self.visible()).data)  # type: ignore[attr-defined]

    @extend_schema(operation_id="trainings_again", request=AgainSerializer, responses={201: TrainingDetailSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def again(self, request: Request, pk: str) -> Response:
        """Run it again exactly: the same hyperparameters and seed, on the same data and kind of instance."""
        form = AgainSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        training = run_again(request.user, self.editable(), form.validated_data["name"])  # type: ignore[arg-type, attr-defined]
        return Response(TrainingDetailSerializer(training).data, status=201)
