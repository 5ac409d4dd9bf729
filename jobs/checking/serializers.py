"""What the REST API says of the check of a job's data."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from datasets.preprocessing.registry import steps_schema
from jobs.checking.findings import FIX_KINDS, SEVERITIES


@extend_schema_field({**steps_schema(), "nullable": True})
class StepsField(serializers.JSONField):
    """Preprocessing steps."""


class PlaceSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class FixActionSerializer(serializers.Serializer[Any]):
    """What POST /jobs/{id}/fix/ would do."""

    kind = serializers.ChoiceField(choices=FIX_KINDS)
    title = serializers.CharField()
    input = serializers.CharField(allow_null=True, help_text="whose data the new data is made from and replaces")
    steps = StepsField(allow_null=True, help_text="that make the new data; null where they name more than 1,000 files")
    values = serializers.DictField(allow_null=True, help_text="hyperparameters to train with")


class FindingSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    severity = serializers.ChoiceField(choices=SEVERITIES)
    message = serializers.CharField()
    files = serializers.ListField(child=serializers.CharField(), help_text="at most 100")
    file_count = serializers.IntegerField(help_text="all of them")
    places = PlaceSerializer(many=True, help_text="what is to be said of each")
    fix = serializers.CharField()
    fix_action = FixActionSerializer(allow_null=True, help_text="null where no single click mends it")


class CheckRequestSerializer(serializers.Serializer[Any]):
    hyperparameters = serializers.DictField(required=False, default=dict, help_text="some or all of the training's")


class FixRequestSerializer(CheckRequestSerializer):
    code = serializers.CharField(max_length=100)


class FixedSerializer(serializers.Serializer[Any]):
    """What was done."""

    code = serializers.CharField()
    kind = serializers.ChoiceField(choices=FIX_KINDS)
    data = serializers.IntegerField(  # type: ignore[assignment]
        source="data.pk", default=None, allow_null=True, help_text="the new data: the job reads it from now on"
    )
    hyperparameters = serializers.DictField(help_text="to train with; empty for a new data")
