"""Deployments, tokens and prediction jobs as the REST API shows and takes them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from deployments.addresses import address_of, file_url
from deployments.models import Deployment, DeploymentToken, Prediction, PredictionJob
from dlmodeler_site.api import WORK_FIELDS, InstanceSerializer, NullIfBlank, WorkSerializer


class InputSerializer(serializers.Serializer[Any]):
    """What the model takes; null is any number."""

    shape = serializers.ListField(child=serializers.IntegerField(allow_null=True))
    dtype = serializers.CharField()


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    training_name = serializers.CharField(source="training.name", read_only=True)
    job = serializers.IntegerField(source="training.job_id", read_only=True)
    algorithm = serializers.CharField(source="training.job.algorithm", read_only=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    instance = serializers.SerializerMethodField()  # type: ignore[assignment]
    error = NullIfBlank(read_only=True, allow_null=True)
    address = serializers.SerializerMethodField()
    input = serializers.SerializerMethodField()
    labels = serializers.SerializerMethodField(help_text="index = output of the network")
    engine = serializers.SerializerMethodField()
    preprocessing = serializers.ListField(source="steps", child=serializers.DictField(), read_only=True)
    accuracy = serializers.FloatField(source="training.accuracy", read_only=True, allow_null=True)
    loss = serializers.FloatField(source="training.loss", read_only=True, allow_null=True)

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
            "preprocess",
            "preprocessing",
            "wanted",
            "status",
            "error",
            "address",
            "input",
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
        given = deployment.bundle_info.get("input", {})
        return {"shape": given.get("shape"), "dtype": given.get("dtype")}

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_labels(self, deployment: Deployment) -> list[dict[str, Any]]:
        labels: list[dict[str, Any]] = deployment.bundle_info.get("labels", [])
        return labels

    @extend_schema_field(serializers.DictField())
    def get_engine(self, deployment: Deployment) -> dict[str, Any]:
        engine: dict[str, Any] = deployment.bundle_info.get("engine", {})
        return engine


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
    """One of both: a random image of `data`, or the image `file`."""

    data = serializers.IntegerField(min_value=1, required=False)  # type: ignore[assignment]
    file = serializers.IntegerField(min_value=1, required=False)


class CandidateSerializer(serializers.Serializer[Any]):
    label = serializers.IntegerField()  # type: ignore[assignment]
    class_name = serializers.CharField(allow_null=True)
    probability = serializers.FloatField()


class PredictedSerializer(CandidateSerializer):
    top = CandidateSerializer(many=True)


class SampleFileSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()


class SampleSerializer(serializers.Serializer[Any]):
    predictions = PredictedSerializer(many=True)
    model = serializers.DictField()
    file = SampleFileSerializer()


class PredictionJobSerializer(WorkSerializer):
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=2000, allow_blank=True, default="")
    deployment = serializers.IntegerField(source="deployment_id", min_value=1)
    data = serializers.IntegerField(source="data_id", min_value=1)  # type: ignore[assignment]
    project = serializers.IntegerField(source="deployment.project_id", read_only=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    path = serializers.CharField(read_only=True)
    run_time_s = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = PredictionJob
        fields = (
            "id",
            "project",
            "deployment",
            "data",
            "name",
            "description",
            "creator",
            "path",
            "file_count",
            "failed_count",
            "run_time_s",
            *WORK_FIELDS,
        )


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    file = serializers.CharField(source="file.name", read_only=True)
    file_id = serializers.IntegerField(read_only=True)
    url = serializers.SerializerMethodField()
    class_name = NullIfBlank(read_only=True, allow_null=True)
    error = NullIfBlank(read_only=True, allow_null=True)
    top = CandidateSerializer(many=True, read_only=True)

    class Meta:
        model = Prediction
        fields = ("file", "file_id", "url", "label", "class_name", "probability", "top", "error")

    def get_url(self, prediction: Prediction) -> str:
        return file_url(prediction.file, self.context["request"])
