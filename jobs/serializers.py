"""What the REST API says of algorithms, jobs and trainings."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dlmodeler_site.api import WORK_FIELDS, InstanceSerializer, NullIfBlank, WorkSerializer
from dlmodeler_site.work.models import Status
from dlmodeler_site.work.queue import Waiting, waiting
from jobs.models import Job, Training
from jobs.watching.monitoring import Progress, progress_of


class AlgorithmInputSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    content = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    title = serializers.CharField()
    help = serializers.CharField()


class HyperparameterSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=["int", "float", "bool", "choice", "column"])
    default = serializers.JSONField(help_text="null: it must be given, follows from the data, or is optional")
    defaults = serializers.DictField(help_text="value of the algorithm's variant -> default there, where it is another")
    applies_to = serializers.ListField(
        child=serializers.CharField(), source="variants", help_text="values of the variant; empty = always"
    )
    required = serializers.BooleanField()  # type: ignore[assignment]
    range = serializers.SerializerMethodField(help_text="[minimum, maximum], null where there is none")
    choices = serializers.ListField(child=serializers.CharField())
    title = serializers.CharField()
    help = serializers.CharField()
    unit = serializers.CharField()
    group = serializers.CharField()

    @extend_schema_field(serializers.ListField(child=serializers.FloatField(allow_null=True), allow_null=True))
    def get_range(self, hyperparameter: dict[str, Any]) -> list[float | None] | None:
        limits = [hyperparameter["minimum"], hyperparameter["maximum"]]
        return None if limits == [None, None] else limits


class AlgorithmSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    reads = serializers.CharField()
    variant = serializers.CharField(help_text="the hyperparameter that `defaults` and `applies_to` go by; empty = none")
    inputs = AlgorithmInputSerializer(many=True)
    hyperparameters = HyperparameterSerializer(many=True)


class RecommendRequestSerializer(serializers.Serializer[Any]):
    project = serializers.IntegerField()
    data = serializers.ListField(child=serializers.IntegerField(), min_length=1)  # type: ignore[assignment]


class RecommendationSerializer(serializers.Serializer[Any]):
    algorithm = serializers.CharField()
    title = serializers.CharField()
    reason = serializers.CharField()
    inputs = serializers.DictField(child=serializers.IntegerField())
    hyperparameters = serializers.DictField()
    reasons = serializers.DictField(
        child=serializers.CharField(), help_text="hyperparameter -> why it is set so; the others are at their defaults"
    )


class AdviceSerializer(serializers.Serializer[Any]):
    """A page of recommendations, best first; `reason` says why there is none."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = RecommendationSerializer(many=True)
    reason = serializers.CharField(allow_blank=True)


class JobSerializer(serializers.ModelSerializer[Job]):
    project = serializers.IntegerField(source="project_id")
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False, default="")
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    kind = serializers.ChoiceField(choices=Job.Kind.choices, default=Job.Kind.BASIC)
    algorithm = serializers.CharField(max_length=50, allow_blank=True, required=False, default="")
    inputs = serializers.DictField(child=serializers.IntegerField(), required=False, source="input_ids")
    class_names = serializers.DictField(child=serializers.CharField(max_length=200, allow_blank=True), required=False)
    instance = InstanceSerializer(required=False)  # type: ignore[assignment]
    status = serializers.SerializerMethodField(help_text="of its trainings; null without any")
    training_count = serializers.IntegerField(read_only=True)
    path = serializers.CharField(read_only=True)

    class Meta:
        model = Job
        fields = (
            "id",
            "project",
            "name",
            "description",
            "kind",
            "algorithm",
            "inputs",
            "class_names",
            "instance",
            "status",
            "training_count",
            "path",
            "creator",
            "created_at",
            "changed_at",
        )

    @extend_schema_field(serializers.ChoiceField(choices=Status.choices, allow_null=True))
    def get_status(self, job: Job) -> str | None:
        return job.status or None


class TrainingRequestSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(allow_blank=True)
    hyperparameters = serializers.DictField(
        required=False,
        default=dict,
        help_text="defaults stand for what is left out; num_types is the number of classes of the labels then",
    )


class TrainingsRequestSerializer(serializers.Serializer[Any]):
    job = serializers.IntegerField()
    instance = InstanceSerializer(required=False, default=lambda: {"kind": "cpu", "count": 1})
    trainings = TrainingRequestSerializer(many=True)


class TrainingSerializer(WorkSerializer):
    job = serializers.IntegerField(source="job_id", read_only=True)
    project = serializers.IntegerField(source="job.project_id", read_only=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    algorithm = serializers.CharField(source="job.algorithm", read_only=True)
    instance = InstanceSerializer(read_only=True)
    hyperparameters = serializers.DictField(read_only=True)
    run_time_s = serializers.FloatField(read_only=True, allow_null=True)
    model_files = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Training
        fields: tuple[str, ...] = (
            "id",
            "job",
            "project",
            "name",
            *WORK_FIELDS,
            "creator",
            "algorithm",
            "instance",
            "hyperparameters",
            "accuracy",
            "loss",
            "run_time_s",
            "model_files",
        )


class TrainingDetailSerializer(TrainingSerializer):
    error_reason = NullIfBlank(read_only=True, allow_null=True)
    metrics = serializers.SerializerMethodField(help_text="of the newest epoch; empty before the first")
    eta_seconds = serializers.SerializerMethodField(help_text="null while it is not known")
    queue_position = serializers.SerializerMethodField(help_text="1 = it is next; null when it is not queued")
    waiting_reason = serializers.SerializerMethodField(help_text="why it is queued; null when it is not")
    labels = serializers.ListField(child=serializers.DictField(), read_only=True, help_text="index = output")
    record = serializers.DictField(source="record_of_run", read_only=True)
    again_of = serializers.IntegerField(
        source="again_of_id", read_only=True, allow_null=True, help_text="the training that it runs again exactly"
    )

    class Meta(TrainingSerializer.Meta):
        fields = (
            *TrainingSerializer.Meta.fields,
            "error_reason",
            "metrics",
            "eta_seconds",
            "queue_position",
            "waiting_reason",
            "seed",
            "labels",
            "record",
            "again_of",
        )

    def to_representation(self, training: Training) -> dict[str, Any]:
        self._progress: Progress = progress_of(training)
        self._waiting: Waiting = waiting(training)
        represented: dict[str, Any] = super().to_representation(training)
        return represented

    @extend_schema_field(serializers.DictField())
    def get_metrics(self, training: Training) -> dict[str, Any]:
        return self._progress.metrics

    def get_eta_seconds(self, training: Training) -> float | None:
        return self._progress.eta_seconds

    def get_waiting_reason(self, training: Training) -> str | None:
        return self._waiting.reason or None

    def get_queue_position(self, training: Training) -> int | None:
        return self._waiting.position or None
