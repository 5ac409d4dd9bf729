"""The REST API of resumable uploads: tus 1.0 with its extensions creation, termination and expiration."""

import base64
import binascii
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import http_date
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from datasets import resumable
from datasets.incoming import limit_silence
from datasets.missing import MOST, Offer, missing
from datasets.models import Data
from datasets.resumable import Upload
from dlmodeler_site.access import get_editable
from dlmodeler_site.api import NullIfBlank, ScopedViewSet
from dlmodeler_site.errors import UserError

_VERSION = "1.0.0"
_BYTES = "application/offset+octet-stream"
_MAX_MODIFIED = 40
_HEADER: Final = "header"
_TUS = OpenApiParameter("Tus-Resumable", str, _HEADER, required=True, enum=[_VERSION])


class UploadSerializer(serializers.Serializer[Any]):
    """`state`: open while bytes are missing, then what became of the file."""

    id = serializers.CharField()
    url = serializers.SerializerMethodField()
    name = serializers.CharField()
    size_bytes = serializers.IntegerField()
    offset_bytes = serializers.IntegerField(help_text="bytes that have arrived")
    modified = NullIfBlank(allow_null=True, help_text="as the sender said it: when its file was changed last")
    unzip = serializers.BooleanField(source="options.unzip")
    labels_from_folders = serializers.BooleanField(source="options.labels_from_folders")
    state = serializers.ChoiceField(choices=[resumable.OPEN, "ok", "rejected"])
    error = NullIfBlank(allow_null=True)
    expires_at = serializers.DateTimeField()

    def get_url(self, upload: Upload) -> str:
        return _url(self.context["data_pk"], upload.id)


class OfferSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(trim_whitespace=False, help_text="the relative path")
    size_bytes = serializers.IntegerField(min_value=0)


class OffersSerializer(serializers.Serializer[Any]):
    """What would be sent, and with which options."""

    files = serializers.ListField(child=OfferSerializer(), min_length=1, max_length=MOST)
    labels_from_folders = serializers.BooleanField(default=False)
    unzip = serializers.BooleanField(default=False)


class MissingSerializer(serializers.Serializer[Any]):
    missing = serializers.ListField(child=serializers.CharField(), help_text="names of the files that are to be sent")


class MissingFilesViewSet(ScopedViewSet):
    """What an upload that is taken up again need not send."""

    queryset = Data.objects.select_related("dataset__project")
    serializer_class = MissingSerializer

    @extend_schema(request=OffersSerializer, responses=MissingSerializer)
    def create(self, request: Request, pk: int) -> Response:
        """Which of these files the data does not have yet, by name and size; at most 10,000 in a call."""
        data = self.editable()
        form = OffersSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        offers = [Offer(file["name"], file["size_bytes"]) for file in given["files"]]
        names = missing(data, offers, labels_from_folders=given["labels_from_folders"], unzip=given["unzip"])
        return Response({"missing": names})


class UploadViewSet(ScopedViewSet):
    """Uploads of large files into one data, which go on where they broke off."""

    queryset = Data.objects.select_related("dataset__project")
    serializer_class = UploadSerializer
    filter_backends = ()

    def list(self, request: Request, pk: int) -> Response:
        """The uploads that are not finished."""
        page = self.paginate_queryset(resumable.unfinished(self._data()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=None,
        responses={201: OpenApiResponse(UploadSerializer, description="`Location` is the upload's address.")},
        parameters=[
            _TUS,
            OpenApiParameter("Upload-Length", int, _HEADER, required=True, description="bytes of the file"),
            OpenApiParameter(
                "Upload-Metadata",
                str,
                _HEADER,
                required=True,
                description="`name` (the relative path), `modified`, `unzip`, `labels_from_folders` (true or false), "
                "each followed by a space and its value in base64, with commas between them",
            ),
        ],
    )
    def create(self, request: Request, pk: int) -> Response:
        """Begin an upload of one file. The same name again replaces the file when it has arrived whole."""
        data = self._data()
        _check_version(request)
        metadata = _metadata(request.headers.get("Upload-Metadata", ""))
        upload = resumable.start_upload(
            data,
            name=metadata.get("name") or metadata.get("filename", ""),
            size_bytes=_whole_number(request, "Upload-Length"),
            modified=metadata.get("modified", "")[:_MAX_MODIFIED],
            options={name: _flag(name, metadata.get(name, "")) for name in ("unzip", "labels_from_folders")},
        )
        headers = {"Location": _url(data.pk, upload.id), **_state(upload)}
        return Response(self.get_serializer(upload).data, status=201, headers=headers)

    @extend_schema(responses=UploadSerializer)
    def retrieve(self, request: Request, pk: int, upload: UUID) -> Response:
        """How far an upload is, and at its end what became of the file. HEAD answers `Upload-Offset` alone."""
        found = resumable.find_upload(self._data(), str(upload))
        headers = {"Upload-Length": str(found.size_bytes), "Cache-Control": "no-store", **_state(found)}
        return Response(None if request.method == "HEAD" else self.get_serializer(found).data, headers=headers)

    @extend_schema(
        request={_BYTES: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="`Upload-Offset` is where to go on.")},
        parameters=[
            _TUS,
            OpenApiParameter("Upload-Offset", int, _HEADER, required=True, description="where the body begins"),
        ],
    )
    def partial_update(self, request: Request, pk: int, upload: UUID) -> Response:
        """Send bytes, all that are left or a piece. What arrives stays, whatever becomes of the connection."""
        data = self._data()
        _check_version(request)
        if request.content_type != _BYTES:
            raise UnsupportedMediaType(request.content_type or "")
        body: HttpRequest = request._request
        limit_silence(body)
        found = resumable.append(
            data,
            resumable.find_upload(data, str(upload)),
            body,
            offset_bytes=_whole_number(request, "Upload-Offset"),
            length_bytes=_whole_number(request, "Content-Length"),
        )
        return Response(status=204, headers=_state(found))

    @extend_schema(responses={204: None}, parameters=[_TUS])
    def destroy(self, request: Request, pk: int, upload: UUID) -> Response:
        """Discard an upload and its bytes."""
        data = self._data()
        _check_version(request)
        resumable.discard(data, resumable.find_upload(data, str(upload)))
        return Response(status=204)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        headers = {
            "Tus-Version": _VERSION,
            "Tus-Extension": "creation,termination,expiration",
            "Tus-Max-Size": str(settings.DLM_UPLOAD_MAX_BYTES),
        }
        return Response(status=204, headers=headers)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer["Tus-Resumable"] = _VERSION
        return answer

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "data_pk": self.kwargs.get("pk")}

    def _data(self) -> Data:
        data: Data = get_editable(self.queryset, self.request.user, pk=self.kwargs["pk"])
        return data


def _url(data_pk: int, upload_id: str) -> str:
    """Without the host: behind a proxy the server may not know by which name it was called."""
    return reverse("api-data-upload", args=[data_pk, upload_id])


def _state(upload: Upload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset_bytes)}
    if upload.state == resumable.OPEN:
        headers["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    return headers


def _check_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != _VERSION:
        raise UserError(
            _("Uploads here speak tus %(version)s: send the header “Tus-Resumable: %(version)s”.")
            % {"version": _VERSION},
            reason="unsupported_version",
            status=412,
        )


def _whole_number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise UserError(
            _("The header %(header)s is a whole number; received “%(received)s”.")
            % {"header": header, "received": text[:50]},
            reason="invalid_header",
        )
    return int(text)


def _metadata(header: str) -> dict[str, str]:
    """Keys and values of `Upload-Metadata: name YS5qcGc=,unzip dHJ1ZQ==`."""
    found = {}
    for pair in filter(None, (pair.strip() for pair in header.split(","))):
        key, _space, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
        except binascii.Error as error:
            raise UserError(
                _("The value of “%(key)s” in Upload-Metadata is no base64.") % {"key": key[:50]},
                reason="invalid_header",
            ) from error
    return found


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", ""):
        raise UserError(
            _("%(name)s is true or false; received “%(text)s”.") % {"name": name, "text": text[:50]},
            reason="invalid",
            field=name,
        )
    return text.lower() in ("true", "1")
