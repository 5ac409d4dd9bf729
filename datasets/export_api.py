"""The REST API of exports to object storages."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.connections import usable_connection
from datasets.exports import export_data, resume_export, stop_export
from datasets.models import LARGE_OF_DATA, Data, Export
from dlmodeler_site.access import get_editable
from dlmodeler_site.api import WORK_FIELDS, ScopedViewSet, WorkSerializer, idempotent


class CountsSerializer(serializers.Serializer[Any]):
    files = serializers.IntegerField(default=0, help_text="that have arrived")
    size_bytes = serializers.IntegerField(default=0)
    present = serializers.IntegerField(default=0, help_text="of these, were there already")
    failed = serializers.IntegerField(default=0)


class FailureSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    error = serializers.CharField()


class ExportSerializer(WorkSerializer):
    data = serializers.IntegerField(source="data_id")  # type: ignore[assignment]
    project = serializers.IntegerField(source="data.dataset.project_id", read_only=True)
    connection = serializers.IntegerField(source="connection_id", allow_null=True)
    prefix = serializers.CharField(
        max_length=500,
        allow_blank=True,
        help_text="the folder, after its bucket where the connection is to all buckets",
    )
    manifest = serializers.CharField(
        source="manifest_path", read_only=True, help_text="a csv of the files, written last"
    )
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    counts = CountsSerializer(read_only=True)
    failures = serializers.SerializerMethodField(help_text="the first 1,000")

    class Meta:
        model = Export
        fields = (
            "id",
            "data",
            "project",
            "connection",
            "prefix",
            "manifest",
            "counts",
            "failures",
            "creator",
            *WORK_FIELDS,
        )
        read_only_fields = ("status", "started_at", "finished_at")

    @extend_schema_field(FailureSerializer(many=True))
    def get_failures(self, export: Export) -> list[dict[str, str]]:
        return [{"name": name, "error": error} for name, error in export.failed_files]


class ExportViewSet(ListModelMixin, ScopedViewSet):
    """Copies of data in object storages."""

    queryset = Export.objects.select_related("data__dataset", "connection", "creator").defer(*LARGE_OF_DATA)
    serializer_class = ExportSerializer
    parents: ClassVar = {"data": "data", "project": "data__dataset__project"}
    search_fields = ("prefix", "data__name")
    ordering_fields = ("created_at",)

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        """Copy the sound files of a data to a folder; what is there already is not sent again."""
        form = ExportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        data = get_editable(Data.objects.select_related("dataset__project"), request.user, pk=given["data_id"])
        connection = usable_connection(request.user, given["connection_id"] or 0, project=data.project)
        export = export_data(data, request.user, connection=connection, prefix=given["prefix"])  # type: ignore[arg-type]
        return Response(self.get_serializer(export).data, status=201)

    @extend_schema(request=None, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: int) -> Response:
        """Stop it; what has arrived stays."""
        export = self.editable()
        stop_export(export)
        return Response(self.get_serializer(export).data, status=202)

    @extend_schema(request=None, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Go on with what is missing."""
        export = self.editable()
        resume_export(export)
        return Response(self.get_serializer(export).data, status=202)
