"""The REST API of preprocessing: making data from data, and trying out what that would give."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.models import Data
from datasets.preprocessing.parameters import Number, Parameter, Switch
from datasets.preprocessing.registry import steps_schema
from datasets.preprocessing.split import OPERATION as SPLIT
from datasets.previews import preview_image, preview_selection
from datasets.serializers import BINARY, DataSerializer
from datasets.versions import checked_steps, preprocess_data, split_data
from dlmodeler_site.api import ScopedViewSet, idempotent


@extend_schema_field(steps_schema())
class StepsField(serializers.ListField):
    """Preprocessing steps, in their order. What they may be is the registry's to say."""

    child = serializers.DictField()


class StepsSerializer(serializers.Serializer[Any]):
    steps = StepsField()


class NewDataSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    on_error = serializers.ChoiceField(choices=Data.OnError.choices, default=Data.OnError.FAIL)


class PreprocessSerializer(NewDataSerializer):
    steps = StepsField()


class PreviewSerializer(StepsSerializer):
    file = serializers.IntegerField(required=False, min_value=1, help_text="the id of an image; else a random one")


class SplitSerializer(NewDataSerializer):
    """The parameters of the split step, all but its part, and further steps that the parts go through before."""

    steps = StepsField(required=False, help_text="before the split; only the training part is augmented")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        return fields | {each.name: _value_field(each) for each in SPLIT.parameters if each.name != "part"}


def _value_field(parameter: Parameter) -> serializers.Field[Any, Any, Any, Any]:
    if isinstance(parameter, Number):
        least, most, default = (int(each) for each in (parameter.minimum, parameter.maximum, parameter.default))
        return serializers.IntegerField(min_value=least, max_value=most, default=default)
    if isinstance(parameter, Switch):
        return serializers.BooleanField(default=parameter.default)
    raise TypeError(f"no field for {type(parameter).__name__}")


class EffectSerializer(serializers.Serializer[Any]):
    step = serializers.IntegerField(help_text="its place among the steps, from 0")
    op = serializers.CharField()
    dropped = serializers.IntegerField()
    relabelled = serializers.IntegerField()
    parts = serializers.DictField(child=serializers.IntegerField(), help_text="of a split: the files of each part")


class SelectionSerializer(serializers.Serializer[Any]):
    files = serializers.IntegerField(help_text="that the data has")
    kept = serializers.IntegerField(help_text="that the steps leave")
    steps = EffectSerializer(many=True)


class PreprocessViewSet(ScopedViewSet):
    """New data by steps."""

    queryset = Data.objects.select_related("dataset__project", "creator")
    serializer_class = DataSerializer
    pagination_class = None
    filter_backends = ()

    @extend_schema(request=PreprocessSerializer, responses={201: DataSerializer})
    @idempotent
    def preprocess(self, request: Request, pk: int) -> Response:
        """Make a new data of the same dataset by these steps."""
        source = self.editable()
        given = _validated(PreprocessSerializer, request)
        data = preprocess_data(source, request.user, **given)  # type: ignore[arg-type]
        return Response(self.get_serializer(data).data, status=201)

    @extend_schema(request=SplitSerializer, responses={201: DataSerializer(many=True)})
    @idempotent
    def split(self, request: Request, pk: int) -> Response:
        """Make up to three new data: training, validation and test.

        They are named after the part, like `photos-train`; a part of 0 % is not made. What looks alike stays together,
        and the same seed gives the same parts.
        """
        source = self.editable()
        given = _validated(SplitSerializer, request)
        values = {each.name: given.pop(each.name) for each in SPLIT.parameters if each.name in given}
        steps = [*given.pop("steps", ()), {"op": SPLIT.name, **values}]
        made = split_data(source, request.user, steps=steps, **given)  # type: ignore[arg-type]
        return Response(self.get_serializer(made, many=True).data, status=201)

    @extend_schema(request=PreviewSerializer, responses={(200, "image/jpeg"): BINARY})
    def preview(self, request: Request, pk: int) -> HttpResponse:
        """The result of the steps on one image; nothing is stored."""
        data = self.visible()
        given = _validated(PreviewSerializer, request)
        content, content_type = preview_image(data, steps=given["steps"], file_id=given.get("file"))
        return HttpResponse(content, content_type=content_type, headers={"Cache-Control": "no-store"})

    @extend_schema(request=StepsSerializer, responses=SelectionSerializer)
    def selection(self, request: Request, pk: int) -> Response:
        """How many files the steps leave, and what each selection step does; nothing is stored."""
        data = self.visible()
        steps = checked_steps(_validated(StepsSerializer, request)["steps"])
        selected = preview_selection(data, steps)
        effects = [
            {
                "step": place,
                "op": steps[place].op,
                "dropped": effect.dropped,
                "relabelled": effect.relabelled,
                "parts": dict(effect.parts),
            }
            for place, effect in selected.effects
        ]
        answer = {"files": selected.count, "kept": selected.kept, "steps": effects}
        return Response(SelectionSerializer(answer).data)


def _validated(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    validated: dict[str, Any] = form.validated_data
    return validated
