"""What every API view shares: pages, the fields of work, scoping, idempotent creation."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.audit import act_as
from dlmodeler_site.errors import UserError
from dlmodeler_site.models import IdempotentAnswer


class NullIfBlank(serializers.CharField):
    """A text that is null in JSON while it is empty."""

    def to_representation(self, value: Any) -> Any:
        return value or None


WORK_FIELDS = ("status", "progress", "error", "created_at", "started_at", "finished_at")


class WorkSerializer(serializers.ModelSerializer[Any]):
    """The fields that every kind of work has."""

    error = NullIfBlank(read_only=True, allow_null=True)
    progress = serializers.FloatField(read_only=True, min_value=0, max_value=1)


class InstanceSerializer(serializers.Serializer[Any]):
    """`{kind: cpu|gpu, count}`; for cpu, count 1 = all cores of one worker."""

    kind = serializers.ChoiceField(choices=["cpu", "gpu"], default="cpu")
    count = serializers.IntegerField(min_value=1, max_value=64, default=1)


View = Callable[..., Response]


def idempotent(view: View) -> View:
    """A creating method answers the same `Idempotency-Key` within 24 h with the first answer."""

    @wraps(view)
    def wrapped(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return view(self, request, *args, **kwargs)
        if len(key) > 200:
            raise UserError(_("Idempotency-Key may have at most 200 characters."), reason="invalid_idempotency_key")
        digest = hashlib.sha256(f"{request.method} {request.path} {key}".encode()).hexdigest()
        IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - timedelta(hours=24)).delete()
        with transaction.atomic():
            # The unique row is the lock: a second call with the key waits here until the first has ended.
            answer, created = IdempotentAnswer.objects.get_or_create(user=request.user, digest=digest)  # type: ignore[misc]
            if not created:
                return Response(answer.body, status=answer.status)
            response = view(self, request, *args, **kwargs)
            answer.body, answer.status = _plain(response.data), response.status_code
            answer.save()
        return response

    return wrapped


def _plain(data: Any) -> Any:
    """What the renderer would send, as plain JSON values."""
    import json

    from rest_framework.utils.encoders import JSONEncoder

    return json.loads(json.dumps(data, cls=JSONEncoder))


class FileNegotiation(BaseContentNegotiation):
    """Any `Accept` will do: the answer is a file, its errors are JSON."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]


class TrashEntrySerializer(serializers.Serializer[Any]):
    """Something in the trash."""

    kind = serializers.ChoiceField(choices=["project", "dataset", "data"])
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    project = serializers.IntegerField(source="project_pk")
    part_of = serializers.CharField(help_text="the name of a data's dataset")
    contents = serializers.IntegerField(help_text="datasets of a project, data of a dataset, files of a data")
    size_bytes = serializers.IntegerField(help_text="the most that deleting it for ever frees")
    deleted_at = serializers.DateTimeField()
    deleted_by = NullIfBlank(allow_null=True)
    gone_at = serializers.DateTimeField(help_text="when it is deleted for ever by itself")


FOREVER = OpenApiParameter("forever", bool, description="delete at once and for ever, not into the trash")


def is_forever(request: Request) -> bool:
    """Whether `?forever=true` asks for a deletion past the trash."""
    value = request.query_params.get("forever", "false").lower()
    if value not in ("true", "false"):
        raise UserError(
            _("?forever= is true or false; received “%(received)s”.") % {"received": value[:20]},
            reason="invalid",
            field="forever",
        )
    return value == "true"


class ScopedViewSet(GenericViewSet[Any]):
    """Rows that the user may see: 404 for strangers, 403 for members without the right.

    `parents` maps a query parameter to the look-up that it filters by: `?project=7`.
    """

    parents: ClassVar[dict[str, str]] = {}
    lookup_value_converter = "int"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        act_as(request.user)

    def get_queryset(self) -> Any:
        queryset = self.queryset.visible_to(self.request.user)  # type: ignore[union-attr, arg-type]
        for parameter, look_up in self.parents.items():
            if value := self.request.query_params.get(parameter):
                if not value.isdigit():
                    raise UserError(
                        _("?%(parameter)s= takes an id, a whole number; received “%(received)s”.")
                        % {"parameter": parameter, "received": value},
                        reason="invalid",
                    )
                queryset = queryset.filter(**{look_up: int(value)})
        return queryset

    def visible(self) -> Any:
        """The row of the url, for reading."""
        return get_visible(self.queryset, self.request.user, pk=self.kwargs["pk"])  # type: ignore[arg-type]

    def editable(self) -> Any:
        """The row of the url, for changing it."""
        return get_editable(self.queryset, self.request.user, pk=self.kwargs["pk"])  # type: ignore[arg-type]
