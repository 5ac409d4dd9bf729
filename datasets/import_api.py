"""The REST API of importing from object storages."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.connections import usable_connection
from datasets.imports import MAX_KEYS, import_data
from datasets.models import Data, Dataset
from datasets.serializers import DataSerializer
from dlmodeler_site.access import get_editable
from dlmodeler_site.api import ScopedViewSet, idempotent


class ImportSerializer(serializers.Serializer[Any]):
    dataset = serializers.IntegerField()
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    connection = serializers.IntegerField()
    keys = serializers.ListField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        help_text=f"at most {MAX_KEYS:,}; one that ends with a slash stands for all that is in the folder, a blank one "
        "for all that is in the connection's bucket",
    )
    labels_from_folders = serializers.BooleanField(default=False, help_text="the last folder's name becomes the label")
    unzip = serializers.BooleanField(default=False, help_text="archives are unpacked")


class ImportViewSet(ScopedViewSet):
    """Data from object storages."""

    queryset = Data.objects.select_related("dataset__project", "creator")
    serializer_class = DataSerializer

    @extend_schema(request=ImportSerializer, responses={201: DataSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a raw data from objects: listed, fetched and inspected as work."""
        form = ImportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=given.pop("dataset"))
        connection = usable_connection(request.user, given.pop("connection"), project=dataset.project)
        data = import_data(dataset, request.user, connection=connection, **given)  # type: ignore[arg-type]
        return Response(self.get_serializer(data).data, status=201)
