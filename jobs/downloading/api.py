"""The REST API of a training's model as a file."""

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.api import WORK_FIELDS, FileNegotiation, WorkSerializer
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason
from jobs.downloading.download import model_archive
from jobs.downloading.downloads import FORMATS, Format, asked_for, download_file, format_of, keras_file
from jobs.models import Download, Training

ASK_AGAIN_S = 2


class DownloadSerializer(WorkSerializer):
    """A model that is being made in a format: ask the same address again."""

    training = serializers.IntegerField(source="training_id", read_only=True)
    waiting_reason = serializers.SerializerMethodField(help_text="why it is queued; null when it is not")

    class Meta:
        model = Download
        fields = ("id", "training", "format", *WORK_FIELDS, "waiting_reason")

    def get_waiting_reason(self, download: Download) -> str | None:
        return waiting_reason(download) or None


class ModelActions:
    """Actions of the trainings' view set."""

    @extend_schema(
        operation_id="trainings_model",
        parameters=[
            OpenApiParameter(
                "format",
                str,
                enum=[each.name for each in FORMATS],
                default=FORMATS[0].name,
                description="saved_model (.tar.gz), keras (.keras), onnx (.onnx) or litert (.tflite)",
            )
        ],
        responses={
            (200, "application/gzip"): OpenApiTypes.BINARY,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            202: DownloadSerializer,
        },
    )
    @action(detail=True, content_negotiation_class=FileNegotiation)
    def model(self, request: Request, pk: str) -> HttpResponse | StreamingHttpResponse | FileResponse:
        """The model as a file: the SavedModel as .tar.gz, or another format.

        ONNX and LiteRT are made when they are first asked for: until then the answer is 202 with how far it is, and
        `Retry-After`; ask again.
        """
        return answer_model(self.visible(), format_of(request.query_params.get("format", FORMATS[0].name)))  # type: ignore[attr-defined]


def answer_model(training: Training, wanted: Format) -> HttpResponse | StreamingHttpResponse | FileResponse:
    """The file, or 202 with the work that makes it."""
    if wanted.name == "keras":
        return keras_file(training)
    if not wanted.is_made:
        name, content = model_archive(training)
        return StreamingHttpResponse(
            content,
            content_type="application/gzip",
            headers={"Content-Disposition": content_disposition_header(as_attachment=True, filename=name)},
        )
    download = asked_for(training, wanted)
    if download.status == Status.COMPLETED:
        return download_file(download)
    return Response(DownloadSerializer(download).data, status=202, headers={"Retry-After": str(ASK_AGAIN_S)})
