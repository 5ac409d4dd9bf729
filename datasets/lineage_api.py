"""How a lineage looks in the REST API."""

from typing import Any

from drf_spectacular.helpers import lazy_serializer
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from datasets.lineage import KINDS


class LineageNodeSerializer(serializers.Serializer[Any]):
    """Something that data were made from, or that was made from data."""

    kind = serializers.CharField(help_text=", ".join(KINDS))
    id = serializers.IntegerField()
    name = serializers.CharField()
    status = serializers.CharField()
    url = serializers.URLField(help_text="its page")
    detail = serializers.CharField(help_text="a few words beside its name")
    steps = serializers.ListField(child=serializers.CharField(), help_text="of a processed data, in words")


class LineageBranchSerializer(LineageNodeSerializer):
    children = serializers.SerializerMethodField()

    @extend_schema_field(lazy_serializer("datasets.lineage_api.LineageBranchSerializer")(many=True))
    def get_children(self, branch: dict[str, Any]) -> list[dict[str, Any]]:
        children: list[dict[str, Any]] = branch["children"]
        return children


class LineageSerializer(serializers.Serializer[Any]):
    """`ancestors`: what the data was made from, the first first. `is_cut`: there is more than is answered."""

    ancestors = LineageNodeSerializer(many=True)
    descendants = LineageBranchSerializer(many=True)
    is_cut = serializers.BooleanField()
