"""What the REST API says of evaluations."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from dlmodeler_site.api import WORK_FIELDS, NullIfBlank, WorkSerializer
from dlmodeler_site.sentences import from_json
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import waiting_reason
from jobs.evaluating.evaluated import ShownSample, worst
from jobs.models import Evaluation

MISTAKES = 24
TOLD_ELSEWHERE = ("worst", "part")  # of the summary

LABEL = {"oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}], "nullable": True}


class EvaluationRequestSerializer(serializers.Serializer[Any]):
    data = serializers.IntegerField(help_text="labelled data of the same project")  # type: ignore[assignment]
    labels = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="data with label csv files, where files carry none"
    )


@extend_schema_field(LABEL)
class LabelField(serializers.Field[Any, Any, Any, Any]):
    """A class as the label data has it; of a regression a number."""

    def to_representation(self, value: Any) -> Any:
        return value


class AnswerSerializer(serializers.Serializer[Any]):
    label = LabelField()  # type: ignore[assignment]
    probability = serializers.FloatField()


class EvaluatedSampleSerializer(serializers.Serializer[Any]):
    """One sample and what the model said of it."""

    row = serializers.IntegerField(source="sample.row", help_text="its place in the data, from 0")
    name = serializers.CharField(source="sample.name")
    file = serializers.IntegerField(source="file.pk", default=None, allow_null=True)
    url = serializers.SerializerMethodField(help_text="takes the API token")
    thumbnail_url = serializers.SerializerMethodField()
    true = LabelField(source="sample.target", help_text="null: the model does not know the label")
    true_name = serializers.CharField()
    predicted = LabelField(source="sample.predicted", help_text="null: the file could not be read")
    predicted_name = serializers.CharField()
    probability = serializers.FloatField(source="sample.probability", allow_null=True)
    loss = serializers.FloatField(source="sample.loss", allow_null=True)
    top = AnswerSerializer(source="sample.top", many=True)
    error = NullIfBlank(source="sample.error", allow_null=True)
    heatmap_url = serializers.SerializerMethodField(help_text="what spoke for the predicted class; of some mistakes")

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_url(self, shown: ShownSample) -> str | None:
        return self._address("api-file-content", shown.file.pk) if shown.file else None

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_thumbnail_url(self, shown: ShownSample) -> str | None:
        return self._address("api-file-thumbnail", shown.file.pk) if shown.file and shown.file.has_thumbnail else None

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_heatmap_url(self, shown: ShownSample) -> str | None:
        if not shown.has_heatmap:
            return None
        return self._address("api-evaluation-heatmap", self.context["evaluation"].pk, shown.sample.row)

    def _address(self, name: str, *values: int) -> str:
        return reverse(name, args=values, request=self.context.get("request"))


class EvaluationSerializer(WorkSerializer):
    training = serializers.IntegerField(source="training_id", read_only=True)
    data = serializers.IntegerField(source="data_id", read_only=True, allow_null=True, help_text="null: its own")  # type: ignore[assignment]
    labels_data = serializers.IntegerField(source="labels_data_id", read_only=True, allow_null=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    error_reason = NullIfBlank(read_only=True, allow_null=True)
    samples = serializers.IntegerField(source="summary.samples", read_only=True, default=None, allow_null=True)
    accuracy = serializers.FloatField(source="summary.accuracy", read_only=True, default=None, allow_null=True)
    loss = serializers.FloatField(source="summary.loss", read_only=True, default=None, allow_null=True)
    r2 = serializers.FloatField(source="summary.r2", read_only=True, default=None, allow_null=True)

    class Meta:
        model = Evaluation
        fields: tuple[str, ...] = (
            "id",
            "training",
            "data",
            "labels_data",
            "part",
            *WORK_FIELDS,
            "error_reason",
            "creator",
            "samples",
            "accuracy",
            "loss",
            "r2",
        )


class ClassSerializer(serializers.Serializer[Any]):
    label = LabelField()  # type: ignore[assignment]
    class_name = serializers.CharField(allow_null=True)
    precision = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    f1 = serializers.FloatField(allow_null=True)
    support = serializers.IntegerField()


class ConfusedSerializer(serializers.Serializer[Any]):
    true = LabelField()
    predicted = LabelField()
    count = serializers.IntegerField()


class EvaluationDetailSerializer(EvaluationSerializer):
    """With all figures, once there are results, and the worst mistakes.

    Of a regression there are `mae`, `rmse` and `residuals` in place of what is about classes.
    """

    waiting_reason = serializers.SerializerMethodField(help_text="why it is queued; null when it is not")
    task = serializers.ChoiceField(choices=["classification", "regression"], source="summary.task", default=None)
    labels = serializers.JSONField(
        source="summary.labels", default=None, help_text="[{label, class_name}]: the order of the matrix"
    )
    confusion = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        source="summary.confusion",
        default=None,
        help_text="the confusion matrix: a row for each true class, a column for each predicted one; "
        "null with more than 500 classes",
    )
    per_class = ClassSerializer(many=True, source="summary.per_class", default=None)
    most_confused = ConfusedSerializer(many=True, source="summary.most_confused", default=None)
    mistakes = serializers.SerializerMethodField(
        help_text=f"the worst {MISTAKES}, worst first; results/ has all of them (of a regression: those furthest off)"
    )

    class Meta(EvaluationSerializer.Meta):
        fields = (
            *EvaluationSerializer.Meta.fields,
            "waiting_reason",
            "task",
            "labels",
            "confusion",
            "per_class",
            "most_confused",
            "mistakes",
        )

    def to_representation(self, evaluation: Evaluation) -> dict[str, Any]:
        told = {name: value for name, value in evaluation.summary.items() if name not in TOLD_ELSEWHERE}
        if fallback := told.get("engine", {}).get("fallback"):
            told["engine"] = {**told["engine"], "fallback": from_json(fallback)}
        return {**told, **super().to_representation(evaluation)}

    def get_waiting_reason(self, evaluation: Evaluation) -> str | None:
        return waiting_reason(evaluation) or None

    @extend_schema_field(EvaluatedSampleSerializer(many=True))
    def get_mistakes(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        if evaluation.status != Status.COMPLETED:
            return []
        context = {**self.context, "evaluation": evaluation}
        return list(EvaluatedSampleSerializer(worst(evaluation, MISTAKES), many=True, context=context).data)
