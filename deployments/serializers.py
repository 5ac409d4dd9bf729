"""Deployments, tokens and prediction jobs as the REST API shows and takes them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from deployments.addresses import address_of, file_url
from deployments.models import Deployment, DeploymentToken, DeploymentVersion, Prediction, PredictionJob
from dlmodeler_site.api import WORK_FIELDS, InstanceSerializer, NullIfBlank, WorkSerializer


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})
class LabelField(serializers.Field[Any, Any, Any, Any]):
    """The integer of an image's label, or the text of a row's class where that is no integer."""

    def to_representation(self, value: Any) -> Any:
        return value


class InputColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=["number", "category", "text", "date"])
    examples = serializers.ListField(child=serializers.CharField())
    optional = serializers.BooleanField(default=False, help_text="rows may lack it; others must say null")


class InputSerializer(serializers.Serializer[Any]):
    """What the model takes; null is any number. A table has columns, and the target that it tells."""

    kind = serializers.ChoiceField(choices=["image", "table"])
    shape = serializers.ListField(child=serializers.IntegerField(allow_null=True))
    dtype = serializers.CharField()
    columns = InputColumnSerializer(many=True, required=False)
    target = serializers.CharField(required=False)


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    training = serializers.IntegerField(source="version.training_id", read_only=True)
    training_name = serializers.CharField(source="version.training.name", read_only=True)
    job = serializers.IntegerField(source="version.training.job_id", read_only=True)
    algorithm = serializers.CharField(source="version.training.job.algorithm", read_only=True)
    model_file = serializers.CharField(source="version.model_file", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True, help_text="that answers")
    next_version = serializers.IntegerField(
        source="next_version.number", read_only=True, default=None, help_text="takes over as soon as it answers"
    )
    preprocess = serializers.BooleanField(source="version.preprocess", read_only=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    instance = serializers.SerializerMethodField()  # type: ignore[assignment]
    error = NullIfBlank(read_only=True, allow_null=True)
    address = serializers.SerializerMethodField()
    input = serializers.SerializerMethodField()
    task = serializers.SerializerMethodField()
    labels = serializers.SerializerMethodField(help_text="index = output of the network; none for a regression")
    engine = serializers.SerializerMethodField()
    preprocessing = serializers.ListField(source="version.steps", child=serializers.DictField(), read_only=True)
    accuracy = serializers.FloatField(source="version.training.accuracy", read_only=True, allow_null=True)
    loss = serializers.FloatField(source="version.training.loss", read_only=True, allow_null=True)

    class Meta:
        model = Deployment
        fields = (
            "id",
            "project",
            "training",
            "training_name",
            "job",
            "algorithm",
            "name",
            "description",
            "creator",
            "instance",
            "model_file",
            "version",
            "next_version",
            "preprocess",
            "preprocessing",
            "wanted",
            "status",
            "error",
            "address",
            "input",
            "task",
            "labels",
            "engine",
            "accuracy",
            "loss",
            "created_at",
            "changed_at",
            "active_at",
        )
        read_only_fields = tuple(name for name in fields if name not in ("name", "description"))

    @extend_schema_field(InstanceSerializer)
    def get_instance(self, deployment: Deployment) -> dict[str, Any]:
        return {"kind": deployment.instance_kind, "count": deployment.instance_count}

    def get_address(self, deployment: Deployment) -> str:
        return address_of(deployment, self.context["request"])

    @extend_schema_field(InputSerializer)
    def get_input(self, deployment: Deployment) -> dict[str, Any]:
        given: dict[str, Any] = {"kind": "image", "shape": None, "dtype": None} | deployment.version.bundle_info.get(
            "input", {}
        )
        return given

    @extend_schema_field(serializers.ChoiceField(choices=["classification", "regression"]))
    def get_task(self, deployment: Deployment) -> str:
        return "regression" if deployment.version.is_regression else "classification"

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_labels(self, deployment: Deployment) -> list[dict[str, Any]]:
        labels: list[dict[str, Any]] = deployment.version.bundle_info.get("labels", [])
        return labels

    @extend_schema_field(serializers.DictField())
    def get_engine(self, deployment: Deployment) -> dict[str, Any]:
        return deployment.version.engine


class DeploymentCreateSerializer(serializers.Serializer[Any]):
    training = serializers.IntegerField(min_value=1)
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    instance = InstanceSerializer(required=False)
    model_file = serializers.CharField(max_length=600, required=False, help_text="one of the training's model_files")
    preprocess = serializers.BooleanField(
        default=False, help_text="apply the preprocessing of the training's images to requests"
    )
    replicas = serializers.IntegerField(default=1, min_value=1, max_value=1, help_text="model servers; 1 for now")


class DeploymentVersionSerializer(serializers.ModelSerializer[DeploymentVersion]):
    """`status`: current, starting (takes over next), previous (served before), failed or cancelled (never served)."""

    training_name = serializers.CharField(source="training.name", read_only=True)
    job = serializers.IntegerField(source="training.job_id", read_only=True)
    algorithm = serializers.CharField(source="training.job.algorithm", read_only=True)
    model_file = serializers.CharField(read_only=True)
    preprocessing = serializers.ListField(source="steps", child=serializers.DictField(), read_only=True)
    accuracy = serializers.FloatField(source="training.accuracy", read_only=True, allow_null=True)
    loss = serializers.FloatField(source="training.loss", read_only=True, allow_null=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    status = serializers.ChoiceField(choices=DeploymentVersion.Status.choices, read_only=True)
    error = NullIfBlank(read_only=True, allow_null=True)

    class Meta:
        model = DeploymentVersion
        fields = (
            "number",
            "training",
            "training_name",
            "job",
            "algorithm",
            "model_file",
            "preprocess",
            "preprocessing",
            "accuracy",
            "loss",
            "creator",
            "status",
            "error",
            "created_at",
            "activated_at",
        )
        read_only_fields = fields


class ModelChangeSerializer(serializers.Serializer[Any]):
    training = serializers.IntegerField(min_value=1, help_text="of the same project, and with the same kind of input")
    model_file = serializers.CharField(max_length=600, required=False, help_text="one of the training's model_files")
    preprocess = serializers.BooleanField(
        default=False, help_text="apply the preprocessing of the training's images to requests"
    )


class DifferenceSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class RollbackSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(
        min_value=1, required=False, help_text="its number; left out: the one that served before"
    )


class TokenTextSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


class DeploymentTokenSerializer(serializers.ModelSerializer[DeploymentToken]):
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)

    class Meta:
        model = DeploymentToken
        fields = (
            "id",
            "name",
            "creator",
            "created_at",
            "expires_at",
            "last_used_at",
            "rotated_at",
            "revoked_at",
        )
        read_only_fields = ("created_at", "last_used_at", "rotated_at", "revoked_at")


class NewDeploymentTokenSerializer(DeploymentTokenSerializer):
    """The answer to making a token: its text, which is shown again to editors only."""

    token = serializers.CharField(read_only=True)

    class Meta(DeploymentTokenSerializer.Meta):
        fields = (*DeploymentTokenSerializer.Meta.fields, "token")  # type: ignore[assignment]


class SampleRequestSerializer(serializers.Serializer[Any]):
    """One of them: a random image or row of `data`, of `file`, or a `row` of one's own, column -> value."""

    data = serializers.IntegerField(min_value=1, required=False)  # type: ignore[assignment]
    file = serializers.IntegerField(min_value=1, required=False)
    row = serializers.DictField(required=False)


class CandidateSerializer(serializers.Serializer[Any]):
    label = LabelField()  # type: ignore[assignment]
    class_name = serializers.CharField(allow_null=True)
    probability = serializers.FloatField()


class PredictedSerializer(serializers.Serializer[Any]):
    """A class with its probability; of a regression a value instead."""

    label = LabelField(required=False)  # type: ignore[assignment]
    class_name = serializers.CharField(allow_null=True, required=False)
    probability = serializers.FloatField(required=False)
    top = CandidateSerializer(many=True, required=False)
    value = serializers.FloatField(required=False)


class SampleFileSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()


class SampleRowSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField(allow_null=True, help_text="in its file, from 1 on")
    values = serializers.DictField(help_text="column -> value")


class SampleSerializer(serializers.Serializer[Any]):
    predictions = PredictedSerializer(many=True)
    model = serializers.DictField()
    file = SampleFileSerializer(allow_null=True)
    row = SampleRowSerializer(allow_null=True)


class PredictionJobSerializer(WorkSerializer):
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    deployment = serializers.IntegerField(source="deployment_id", min_value=1)
    data = serializers.IntegerField(source="data_id", min_value=1)  # type: ignore[assignment]
    labels = serializers.IntegerField(
        source="labels_data_id",
        min_value=1,
        allow_null=True,
        default=None,
        help_text="data of label csv files, where the images carry no labels themselves",
    )
    project = serializers.IntegerField(source="deployment.project_id", read_only=True)
    summary = serializers.DictField(
        read_only=True, help_text="accuracy, confusion and more, as of an evaluation; {} where nothing has a label"
    )
    version = serializers.IntegerField(
        source="version.number", read_only=True, help_text="of the deployment, that it predicts with"
    )
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    path = serializers.CharField(read_only=True)
    run_time_s = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = PredictionJob
        fields = (
            "id",
            "project",
            "deployment",
            "version",
            "data",
            "labels",
            "name",
            "description",
            "creator",
            "path",
            "file_count",
            "row_count",
            "failed_count",
            "summary",
            "run_time_s",
            *WORK_FIELDS,
        )


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    file = serializers.CharField(source="file.name", read_only=True)
    file_id = serializers.IntegerField(read_only=True)
    url = serializers.SerializerMethodField()
    row = serializers.SerializerMethodField(help_text="of a csv file, from 1 on; null for an image or a whole file")
    label = LabelField(read_only=True, allow_null=True)  # type: ignore[assignment]
    target = LabelField(read_only=True, allow_null=True, help_text="what it is in truth, where that is known")
    class_name = NullIfBlank(read_only=True, allow_null=True)
    error = NullIfBlank(read_only=True, allow_null=True)
    top = CandidateSerializer(many=True, read_only=True)

    class Meta:
        model = Prediction
        fields = (
            "file",
            "file_id",
            "url",
            "row",
            "label",
            "class_name",
            "probability",
            "value",
            "target",
            "top",
            "error",
        )

    def get_row(self, prediction: Prediction) -> int | None:
        return prediction.row or None

    def get_url(self, prediction: Prediction) -> str:
        return file_url(prediction.file, self.context["request"])
