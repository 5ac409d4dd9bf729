"""Watching a training over the REST API: its epochs and its log."""

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.api import FileNegotiation
from dlmodeler_site.errors import UserError
from dlmodeler_site.work import logs
from jobs.watching.monitoring import epochs

MOST_MATCHES = 1000
LONGEST_SEARCH = 200


class EpochSerializer(serializers.Serializer[Any]):
    """One epoch: its metrics beside the fields below."""

    epoch = serializers.IntegerField()
    step = serializers.IntegerField()
    time = serializers.DateTimeField()
    seconds = serializers.FloatField()
    stage = serializers.CharField(required=False, help_text="of a training in several stages: head, fine_tuning")
    loss = serializers.FloatField(allow_null=True)
    accuracy = serializers.FloatField(allow_null=True)
    val_loss = serializers.FloatField(required=False, allow_null=True, help_text="with a validation split")
    val_accuracy = serializers.FloatField(required=False, allow_null=True)
    learning_rate = serializers.FloatField(required=False, allow_null=True)
    images_per_second = serializers.FloatField(required=False, allow_null=True)
    memory_bytes = serializers.FloatField(required=False, allow_null=True, help_text="the most so far")


class LogMatchSerializer(serializers.Serializer[Any]):
    offset = serializers.IntegerField(help_text="the byte at which the line begins")
    line = serializers.IntegerField(help_text="its number, from 1")
    text = serializers.CharField()


class LogSearchSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="lines with the text in the whole log")
    matches = LogMatchSerializer(many=True, help_text=f"the first {MOST_MATCHES}")


class WatchActions:
    """Actions of the trainings' view set."""

    @extend_schema(
        operation_id="trainings_metrics",
        parameters=[
            OpenApiParameter("since", int, description="epochs after this one only"),
            OpenApiParameter(
                "points",
                int,
                description="about so many epochs, chosen so that the extremes of every curve stay; 0 = all",
            ),
        ],
        responses=EpochSerializer(many=True),
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def metrics(self, request: Request, pk: str) -> Response:
        """The metrics of every epoch."""
        since, points = whole_number(request, "since"), whole_number(request, "points")
        return Response(list(epochs(self.visible(), since=since, points=points)))  # type: ignore[attr-defined]

    @extend_schema(
        operation_id="trainings_logs",
        parameters=[
            OpenApiParameter("offset", int, description="the X-Next-Offset of the last answer"),
            OpenApiParameter("last", int, description="instead: about so many bytes of its end, from a line's start"),
            OpenApiParameter("before", int, description="with last: of what is before this byte"),
            OpenApiParameter("download", bool, description="instead: all of it, as a file"),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    @action(detail=True, content_negotiation_class=FileNegotiation)
    def logs(self, request: Request, pk: str) -> HttpResponse | StreamingHttpResponse:
        """At most 256 KiB of the log from a byte on; headers X-Offset and X-Next-Offset say from where to where."""
        training = self.visible()  # type: ignore[attr-defined]
        if request.query_params.get("download") == "true":
            name = content_disposition_header(as_attachment=True, filename=f"{training.name}.log.txt")
            whole = logs.pieces(training)
            headers = {"Content-Disposition": name}
            return StreamingHttpResponse(whole, content_type="text/plain; charset=utf-8", headers=headers)
        if last := whole_number(request, "last"):
            text, offset, next_offset = logs.read_before(
                training, whole_number(request, "before") or None, size_bytes=last
            )
        else:
            offset = whole_number(request, "offset")
            text, next_offset = logs.read(training, offset=offset)
        answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
        answer["X-Offset"], answer["X-Next-Offset"] = str(offset), str(next_offset)
        return answer

    @extend_schema(
        operation_id="trainings_logs_search",
        parameters=[OpenApiParameter("search", str, required=True, description="the text, whatever its case")],
        responses=LogSearchSerializer,
        filters=False,
    )
    @action(detail=True, url_path="logs/search", pagination_class=None)
    def logs_search(self, request: Request, pk: str) -> Response:
        """The lines of the whole log that have a text in them."""
        training = self.visible()  # type: ignore[attr-defined]
        wanted = request.query_params.get("search", "")
        if not 1 <= len(wanted) <= LONGEST_SEARCH or "\n" in wanted:
            raise UserError(
                _("?search= takes 1 to %(most)s characters of one line; received %(count)s.")
                % {"most": LONGEST_SEARCH, "count": len(wanted)},
                reason="invalid",
                field="search",
            )
        return Response(LogSearchSerializer(logs.search(training, wanted, most=MOST_MATCHES)).data)


def whole_number(request: Request, name: str) -> int:
    """The query parameter as a number of at least 0; 0 where it is missing."""
    value = request.query_params.get(name, "0")
    if not value.isdecimal() or len(value) > 15:
        raise UserError(
            _("?%(name)s= takes a whole number of at least 0; received “%(received)s”.")
            % {"name": name, "received": value[:50]},
            reason="invalid",
        )
    return int(value)
