"""The API's form of traffic."""

from typing import ClassVar

from rest_framework import serializers

from deployments.models import LoggedRequest


class TrafficStepSerializer(serializers.Serializer):
    """One step of a period. Times are in milliseconds, null where nothing was asked."""

    time = serializers.DateTimeField(help_text="when the step began")
    requests = serializers.IntegerField()
    errors = serializers.IntegerField(  # type: ignore[assignment]
        help_text="answered with a status of 400 or more"
    )
    statuses = serializers.DictField(child=serializers.IntegerField())
    samples = serializers.IntegerField(help_text="images or rows that were predicted")
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)
    queue_p95_ms = serializers.FloatField(allow_null=True, help_text="wait for a turn in the model server")
    samples_per_request = serializers.FloatField(allow_null=True)
    classes = serializers.DictField(child=serializers.IntegerField(), help_text="predictions of each class")
    confidence = serializers.FloatField(allow_null=True, help_text="mean probability of the predicted classes")


class LoggedRequestSerializer(serializers.ModelSerializer):
    token = serializers.CharField(source="token.name", default=None, allow_null=True)

    class Meta:
        model = LoggedRequest
        fields: ClassVar = [
            "id",
            "at",
            "request_id",
            "token",
            "version",
            "status",
            "reason",
            "latency_ms",
            "samples",
            "label",
            "confidence",
        ]
