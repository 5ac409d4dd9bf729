"""The REST API of datasets, data and files."""

from typing import Any, ClassVar

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, UnsupportedMediaType
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.mixins import ListModelMixin
from rest_framework.parsers import BaseParser, DataAndFiles, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from datasets import trash, versions
from datasets.content import file_answer, thumbnail_answer
from datasets.download import download_answer
from datasets.incoming import limit_silence
from datasets.lineage import as_json, lineage_of, node_as_json
from datasets.lineage_api import LineageSerializer
from datasets.models import LARGE_OF_DATA, Data, Dataset, File
from datasets.profile import profile
from datasets.profile_serializers import ProfileSerializer
from datasets.samples import random_files
from datasets.serializers import (
    BINARY,
    UPLOAD_REQUEST,
    DataInListSerializer,
    DataSerializer,
    DatasetChangeSerializer,
    DatasetSerializer,
    FileSerializer,
    UploadedFileSerializer,
)
from datasets.uploads import receive_files, skip_body
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.api import FOREVER, FileNegotiation, ScopedViewSet, idempotent, is_forever
from dlmodeler_site.errors import UserError
from projects.models import Project

_MAX_SAMPLE = 100


class DatasetViewSet(ListModelMixin, ScopedViewSet):
    """Datasets of the user's projects."""

    queryset = Dataset.objects.select_related("project", "creator")
    serializer_class = DatasetSerializer
    parents: ClassVar = {"project": "project"}
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at", "changed_at")

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        given = _validated(DatasetSerializer, request)
        project = get_editable(Project.objects.all(), request.user, pk=given["project_id"])
        dataset = versions.create_dataset(
            project,
            request.user,  # type: ignore[arg-type]
            name=given["name"],
            description=given.get("description", ""),
        )
        return Response(self.get_serializer(dataset).data, status=201)

    @extend_schema(request=DatasetChangeSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        dataset = self.editable()
        versions.update_dataset(dataset, **_validated(DatasetChangeSerializer, request, partial=True))
        return Response(self.get_serializer(dataset).data)

    @extend_schema(parameters=[FOREVER], responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Move the dataset with all its data to the trash; 409 while one of them is worked on or used."""
        trash.delete_dataset(self.editable(), forever=is_forever(request))
        return Response(status=204)


class DataViewSet(ListModelMixin, ScopedViewSet):
    """Data: the immutable versions of a dataset's files."""

    queryset = Data.objects.select_related("dataset__project", "creator")
    serializer_class = DataSerializer
    parents: ClassVar = {"dataset": "dataset", "project": "dataset__project"}
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at", "changed_at", "size_bytes", "file_count")

    def get_queryset(self) -> Any:
        return super().get_queryset().for_lists()

    def get_serializer_class(self) -> Any:
        return DataInListSerializer if self.action == "list" else DataSerializer

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        """Make a raw data, which takes files until it is committed."""
        given = _validated(DataSerializer, request)
        dataset = get_editable(Dataset.objects.select_related("project"), request.user, pk=given["dataset_id"])
        data = versions.create_raw_data(
            dataset,
            request.user,  # type: ignore[arg-type]
            name=given["name"],
            description=given.get("description", ""),
        )
        return Response(self.get_serializer(data).data, status=201)

    @extend_schema(parameters=[FOREVER], responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Move the data to the trash; 409 while it is worked on or used."""
        trash.delete_data(self.editable(), forever=is_forever(request))
        return Response(status=204)

    @extend_schema(request=None, responses={202: DataSerializer})
    @action(detail=True, methods=["post"])
    def commit(self, request: Request, pk: int) -> Response:
        """No more files: the server inspects them."""
        data = self.editable()
        versions.commit_data(data)
        return Response(self.get_serializer(data).data, status=202)

    @extend_schema(request=None, responses={202: DataSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: int) -> Response:
        """Stop the inspection or preprocessing."""
        data = self.editable()
        versions.stop_data(data)
        return Response(self.get_serializer(data).data, status=202)

    @extend_schema(
        parameters=[OpenApiParameter("n", int, description="as an array of at most this many different files")],
        responses=FileSerializer,
    )
    @action(detail=True)
    def sample(self, request: Request, pk: int) -> Response:
        """One random sound file; with `?n=` an array of several."""
        data = self.visible()
        wanted = request.query_params.get("n")
        if wanted is not None and not (wanted.isdigit() and 1 <= int(wanted) <= _MAX_SAMPLE):
            raise UserError(
                _("?n= is a whole number from 1 to %(most)s; received “%(received)s”.")
                % {"most": _MAX_SAMPLE, "received": wanted[:20]},
                reason="invalid",
                field="n",
            )
        files = random_files(data, int(wanted or 1))
        if wanted is not None:
            return Response(self._files(files, many=True))
        if not files:
            raise UserError(
                _("“%(name)s” has no sound file to show.") % {"name": data.name}, reason="no_files", status=404
            )
        return Response(self._files(files[0]))

    @extend_schema(responses=ProfileSerializer)
    @action(detail=True)
    def profile(self, request: Request, pk: int) -> Response:
        """What the files are like, in numbers; partial while the run goes on."""
        return Response(profile(self.visible()))

    @extend_schema(responses=LineageSerializer)
    @action(detail=True)
    def lineage(self, request: Request, pk: int) -> Response:
        """What the data was made from, and what was made from it: data, trainings, deployments, prediction jobs."""
        found = lineage_of(self.visible(), request.user)
        address = request.build_absolute_uri
        return Response(
            {
                "ancestors": [node_as_json(node, address) for node in found.ancestors],
                "descendants": as_json(found.here, address)["children"],
                "is_cut": found.is_cut,
            }
        )

    @extend_schema(operation_id="data_download", responses={(200, "application/zip"): BINARY})
    @action(detail=True, content_negotiation_class=FileNegotiation)
    def download(self, request: Request, pk: int) -> HttpResponseBase:
        """The sound files as a zip, and their labels in `labels.csv`; 503 while too many are under way."""
        return download_answer(self.visible(), request._request)

    def _files(self, files: Any, **options: Any) -> Any:
        return FileSerializer(files, context=self.get_serializer_context(), **options).data


class UnreadMultipart(BaseParser):
    """Leaves a multipart body unread, for the view to stream.

    Session authentication looks for a CSRF token among the fields of the body before the view is entered; here it
    finds none and goes by the header, and nothing is parsed before the user is known.
    """

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> DataAndFiles:
        return DataAndFiles({}, {})


class _FileSearch(SearchFilter):
    """Each word in the name or the label. Found in two indexes; both in one condition would read every row."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        files = queryset.order_by()
        for word in self.get_search_terms(request):
            named, labelled = files.filter(name__icontains=word), files.filter(label__icontains=word)
            queryset = queryset.filter(pk__in=named.values("pk").union(labelled.values("pk")))
        return queryset


class DataFileViewSet(ListModelMixin, ScopedViewSet):
    """The files of one data."""

    queryset = File.objects.all()
    serializer_class = FileSerializer
    parser_classes = (UnreadMultipart, JSONParser)
    filter_backends = (_FileSearch, OrderingFilter)
    search_fields = ("name", "label")
    ordering_fields = ("id", "name", "size_bytes", "label")

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        files = get_visible(Data.objects.all(), self.request.user, pk=self.kwargs["pk"]).files.all()
        parameters = self.request.query_params
        if state := parameters.get("state"):
            if state not in File.State.values:
                raise UserError(
                    _("?state= is one of %(states)s; received “%(received)s”.")
                    % {"states": ", ".join(File.State.values), "received": state[:20]},
                    reason="invalid",
                    field="state",
                )
            files = files.filter(state=state)
        if label := parameters.get("label"):
            files = files.filter(label=label)
        return files

    @extend_schema(
        parameters=[
            OpenApiParameter("state", str, enum=File.State.values),
            OpenApiParameter("label", str),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=UPLOAD_REQUEST, responses={200: UploadedFileSerializer(many=True)}, filters=False)
    def create(self, request: Request, pk: int) -> Response:
        """Add files to a data that is not committed yet."""
        data = get_editable(Data.objects.select_related("dataset__project"), request.user, pk=pk)
        if not (request.content_type or "").startswith("multipart/form-data"):
            raise UnsupportedMediaType(request.content_type or "")
        body: HttpRequest = request._request
        limit_silence(body)
        return Response(UploadedFileSerializer(receive_files(data, body), many=True).data)

    def handle_exception(self, exc: Exception) -> Response:
        request = self.request
        if request.method == "POST" and not isinstance(exc, AuthenticationFailed | NotAuthenticated):
            skip_body(request._request)
        return super().handle_exception(exc)


class FileViewSet(ScopedViewSet):
    """One file's bytes."""

    queryset = File.objects.select_related("data__dataset__project").defer(*LARGE_OF_DATA)
    serializer_class = FileSerializer

    @extend_schema(responses={(200, "application/octet-stream"): BINARY})
    def content(self, request: Request, pk: int) -> FileResponse:
        """The file itself: images as such, tables and text as plain text, to be saved."""
        return file_answer(self.visible())

    @extend_schema(responses={(200, "image/jpeg"): BINARY})
    def thumbnail(self, request: Request, pk: int) -> FileResponse:
        """A small image of the file."""
        return thumbnail_answer(self.visible())


def _validated(serializer: type[serializers.Serializer[Any]], request: Request, **options: Any) -> dict[str, Any]:
    form = serializer(data=request.data, **options)
    form.is_valid(raise_exception=True)
    validated: dict[str, Any] = form.validated_data
    return validated
