"""How datasets, data and files look in the REST API."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from datasets.models import Data, Dataset, File
from dlmodeler_site.api import WORK_FIELDS, NullIfBlank, WorkSerializer


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    project = serializers.IntegerField(source="project_id")
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    path = serializers.SerializerMethodField()

    class Meta:
        model = Dataset
        fields = ("id", "project", "name", "description", "creator", "path", "created_at", "changed_at")

    def get_path(self, dataset: Dataset) -> str:
        return f"/mnt/{dataset.files_key}"


class DatasetChangeSerializer(serializers.ModelSerializer[Dataset]):
    class Meta:
        model = Dataset
        fields = ("name", "description")


class DataSerializer(WorkSerializer):
    dataset = serializers.IntegerField(source="dataset_id")
    project = serializers.IntegerField(source="dataset.project_id", read_only=True)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    content = NullIfBlank(read_only=True, allow_null=True, help_text="image, table, text or mixed; null before")
    algorithm = serializers.CharField(read_only=True, help_text="rawData or image_preprocessing")
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent_id", read_only=True, allow_null=True
    )
    path = serializers.CharField(read_only=True)
    connection = serializers.IntegerField(
        source="connection_id", read_only=True, allow_null=True, help_text="that the files were imported from"
    )
    keys = serializers.ListField(source="source_keys", child=serializers.CharField(), read_only=True)
    steps = serializers.ListField(child=serializers.DictField(), read_only=True)
    size_bytes = serializers.IntegerField(read_only=True, help_text="of the sound files")
    shared_bytes = serializers.IntegerField(
        read_only=True, help_text="of these: lie on the disk once for this data and its parent, and stay with it"
    )
    thumbnail_bytes = serializers.IntegerField(read_only=True, help_text="taken by thumbnails besides")
    manifest_sha256 = NullIfBlank(read_only=True, allow_null=True)

    class Meta:
        model = Data
        fields = (
            "id",
            "dataset",
            "project",
            "name",
            "description",
            "creator",
            "kind",
            "content",
            "algorithm",
            "steps",
            "on_error",
            "parent",
            "path",
            "connection",
            "keys",
            "file_count",
            "rejected_count",
            "size_bytes",
            "shared_bytes",
            "thumbnail_bytes",
            "manifest_sha256",
            "changed_at",
            *WORK_FIELDS,
        )
        read_only_fields = ("status", "kind", "on_error", "started_at", "finished_at")


class DataInListSerializer(DataSerializer):
    """Without what is large."""

    steps = serializers.ListField(
        source="steps_in_brief",
        child=serializers.DictField(),
        read_only=True,
        help_text="of more than 20 `files` only the first 20, with `files_count` beside them; all are in /data/{id}/",
    )

    class Meta(DataSerializer.Meta):
        fields = tuple(name for name in DataSerializer.Meta.fields if name != "keys")  # type: ignore[assignment]


class FileSerializer(serializers.ModelSerializer[File]):
    content = NullIfBlank(read_only=True, allow_null=True)
    label = NullIfBlank(read_only=True, allow_null=True)  # type: ignore[assignment]
    error = NullIfBlank(read_only=True, allow_null=True)
    mode = NullIfBlank(read_only=True, allow_null=True)
    format = NullIfBlank(read_only=True, allow_null=True)
    sha256 = NullIfBlank(read_only=True, allow_null=True)
    url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()

    class Meta:
        model = File
        fields = (
            "id",
            "name",
            "state",
            "error",
            "content",
            "size_bytes",
            "sha256",
            "width",
            "height",
            "mode",
            "format",
            "label",
            "url",
            "thumbnail_url",
        )
        read_only_fields: ClassVar = fields

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_url(self, file: File) -> str | None:
        return self._address("api-file-content", file) if file.state == File.State.OK else None

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_thumbnail_url(self, file: File) -> str | None:
        return self._address("api-file-thumbnail", file) if file.has_thumbnail else None

    def _address(self, name: str, file: File) -> str:
        return reverse(name, args=[file.pk], request=self.context.get("request"))


class UploadedFileSerializer(serializers.Serializer[Any]):
    """`ok`: taken, inspected after the commit; `rejected`: refused at once, with the reason."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["ok", "rejected"])
    error = NullIfBlank(allow_null=True)


UPLOAD_REQUEST: dict[str, Any] = {
    "multipart/form-data": {
        "type": "object",
        "properties": {
            "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "paths": {"type": "array", "items": {"type": "string"}, "description": "a relative path for each file"},
            "labels_from_folders": {"type": "boolean", "description": "the last folder's name becomes the label"},
            "unzip": {
                "type": "boolean",
                "description": "every file is an archive (zip, tar, tar.gz, tar.bz2, tar.xz) to be unpacked",
            },
        },
        "required": ["files"],
    }
}
BINARY = OpenApiTypes.BINARY
