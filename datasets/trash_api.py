"""The REST API of a project's trash."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets import trash
from datasets.models import Data, Dataset
from datasets.serializers import DataSerializer, DatasetSerializer
from dlmodeler_site.access import get_editable
from dlmodeler_site.api import ScopedViewSet, TrashEntrySerializer
from projects.models import Project


class EmptyTrashSerializer(serializers.Serializer[Any]):
    project = serializers.IntegerField(min_value=1)


class EmptiedTrashSerializer(serializers.Serializer[Any]):
    deleted = serializers.IntegerField(help_text="datasets and data that are being deleted")


class TrashViewSet(ScopedViewSet):
    """What was deleted and can be restored."""

    queryset = Project.objects.all()
    serializer_class = TrashEntrySerializer
    filter_backends = ()
    parents = {"project": "pk"}

    @extend_schema(
        operation_id="trash_list",
        parameters=[OpenApiParameter("project", int)],
        responses=TrashEntrySerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """The datasets and data in the trash of the user's projects, newest first.

        Data that were deleted with their dataset come back with it and are not listed on their own.
        """
        page = self.paginate_queryset(trash.entries(self.get_queryset()))
        return self.get_paginated_response(TrashEntrySerializer(page, many=True).data)

    @extend_schema(operation_id="trash_empty", request=EmptyTrashSerializer, responses=EmptiedTrashSerializer)
    def empty(self, request: Request) -> Response:
        """Delete everything in the trash of a project for ever."""
        form = EmptyTrashSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        project = get_editable(Project.objects.all(), request.user, pk=form.validated_data["project"])
        return Response({"deleted": trash.empty(project)})


class TrashedDatasetViewSet(ScopedViewSet):
    """A dataset in the trash."""

    queryset = Dataset.objects.none()
    serializer_class = DatasetSerializer

    @extend_schema(operation_id="trash_datasets_destroy", responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete the dataset for ever, with everything in it."""
        trash.end_dataset(get_editable(trash.trashed_datasets(), request.user, pk=pk))
        return Response(status=204)

    @extend_schema(operation_id="trash_datasets_restore", request=None, responses=DatasetSerializer)
    def restore(self, request: Request, pk: int) -> Response:
        """Take the dataset out of the trash, with the data that were deleted with it."""
        trash.restore_dataset(get_editable(trash.trashed_datasets(), request.user, pk=pk))
        dataset = Dataset.objects.select_related("project", "creator").get(pk=pk)
        return Response(self.get_serializer(dataset).data)


class TrashedDataViewSet(ScopedViewSet):
    """A data in the trash that was deleted on its own."""

    queryset = Data.objects.none()
    serializer_class = DataSerializer

    @extend_schema(operation_id="trash_data_destroy", responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete the data for ever; 409 while data that were made from it are in the trash."""
        trash.end_data(get_editable(trash.trashed_data(), request.user, pk=pk))
        return Response(status=204)

    @extend_schema(operation_id="trash_data_restore", request=None, responses=DataSerializer)
    def restore(self, request: Request, pk: int) -> Response:
        """Take the data out of the trash; 409 while its dataset, or the data it was made from, is still in it."""
        trash.restore_data(get_editable(trash.trashed_data(), request.user, pk=pk))
        data = Data.objects.select_related("dataset__project", "creator").get(pk=pk)
        return Response(self.get_serializer(data).data)
