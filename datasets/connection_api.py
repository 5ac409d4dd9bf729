"""The REST API of connections to object storages."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.browsing import Level, browse
from datasets.connections import check_connection, delete_connection, save_connection, usable_connection
from datasets.models import Connection
from dlmodeler_site.access import get_owned
from dlmodeler_site.api import NullIfBlank, ScopedViewSet, idempotent
from projects.models import Project


class ConnectionSerializer(serializers.ModelSerializer[Connection]):
    """The keys are taken, and never answered."""

    project = serializers.IntegerField(source="project_id", allow_null=True, help_text="null: of all projects")
    access_key = serializers.CharField(write_only=True, max_length=255)
    secret_key = serializers.CharField(write_only=True, max_length=500)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    error = NullIfBlank(read_only=True, allow_null=True, help_text="what was wrong when it was used last")

    class Meta:
        model = Connection
        fields = (
            "id",
            "project",
            "name",
            "endpoint",
            "region",
            "bucket",
            "access_key",
            "secret_key",
            "creator",
            "created_at",
            "changed_at",
            "checked_at",
            "error",
        )
        read_only_fields = ("checked_at",)
        validators: ClassVar[list[Any]] = []  # the function that saves says in words what is taken


class NewConnectionSerializer(ConnectionSerializer):
    project = serializers.IntegerField(source="project_id")


class ConnectionChangeSerializer(ConnectionSerializer):
    project = serializers.IntegerField(source="project_id", read_only=True)
    secret_key = serializers.CharField(
        write_only=True, max_length=500, required=False, allow_blank=True, help_text="blank: as it is"
    )


class FolderSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="ends with a slash; a key of POST /data/import/")
    name = serializers.CharField()


class ObjectSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    size_bytes = serializers.IntegerField()
    changed_at = serializers.DateTimeField()


class LevelSerializer(serializers.Serializer[Any]):
    prefix = serializers.CharField(allow_blank=True)
    folders = FolderSerializer(many=True)
    objects = ObjectSerializer(many=True)
    next_cursor = NullIfBlank(allow_null=True, help_text="`?cursor=` of the next 1,000")


class ConnectionViewSet(ListModelMixin, ScopedViewSet):
    """Connections to S3-compatible object storages: the user's projects' and those of all."""

    queryset = Connection.objects.select_related("creator")
    serializer_class = ConnectionSerializer
    parents: ClassVar = {"project": "project"}
    search_fields = ("name", "endpoint", "bucket")
    ordering_fields = ("name", "created_at", "changed_at")

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @extend_schema(request=NewConnectionSerializer)
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a connection, if listing and getting work with it; owners of the project only."""
        given = _validated(NewConnectionSerializer, request)
        project = get_owned(Project.objects.all(), request.user, pk=given.pop("project_id"))
        secret_key = given.pop("secret_key")
        connection = Connection(project=project, creator_id=request.user.pk, **given)
        save_connection(connection, secret_key=secret_key)
        return Response(self.get_serializer(connection).data, status=201)

    @extend_schema(request=ConnectionChangeSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change it, if listing and getting work after the change."""
        connection = self.owned()
        given = _validated(ConnectionChangeSerializer, request, partial=True)
        secret_key = given.pop("secret_key", "")
        for field, value in given.items():
            setattr(connection, field, value)
        save_connection(connection, secret_key=secret_key)
        return Response(self.get_serializer(connection).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        delete_connection(self.owned())
        return Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: int) -> Response:
        """List and get again; answers the connection, or the error that is then on it."""
        connection = usable_connection(request.user, pk)
        check_connection(connection)
        return Response(self.get_serializer(self.visible()).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("prefix", str, description="the key of a folder, or the beginning of a key"),
            OpenApiParameter("cursor", str, description="`next_cursor` of the answer before"),
        ],
        responses=LevelSerializer,
        filters=False,
    )
    @action(detail=True, filter_backends=[], pagination_class=None)
    def browse(self, request: Request, pk: int) -> Response:
        """Folders and objects below a prefix, 1,000 at a time; without one, the bucket's or the buckets."""
        connection = usable_connection(request.user, pk)
        parameters = request.query_params
        level: Level = browse(connection, parameters.get("prefix", ""), cursor=parameters.get("cursor", ""))
        return Response(LevelSerializer(level).data)

    def owned(self) -> Any:
        """The row of the url, for an owner of its project; those of all are the operators' alone."""
        return get_owned(self.queryset, self.request.user, pk=self.kwargs["pk"])


def _validated(serializer: type[serializers.Serializer[Any]], request: Request, **options: Any) -> dict[str, Any]:
    form = serializer(data=request.data, **options)
    form.is_valid(raise_exception=True)
    validated: dict[str, Any] = form.validated_data
    return validated
