"""How the profile of a data looks in the REST API: it is given as it is stored, the schema is made from this."""

from typing import Any

from rest_framework import serializers

_counts = serializers.DictField(child=serializers.IntegerField())
_shares = serializers.ListField(child=serializers.FloatField())
_texts = serializers.ListField(child=serializers.CharField())


class ProfileHistogramSerializer(serializers.Serializer[Any]):
    """`counts[i]` lie from `edges[i]` to below `edges[i + 1]`; the edges of dates are texts."""

    edges = serializers.ListField(child=serializers.JSONField(), help_text="numbers; dates as text")
    counts = serializers.ListField(child=serializers.IntegerField())


class SpreadSerializer(serializers.Serializer[Any]):
    min = serializers.FloatField()
    mean = serializers.FloatField()
    max = serializers.FloatField()
    histogram = ProfileHistogramSerializer()


class TotalSerializer(SpreadSerializer):
    total = serializers.IntegerField()


class ProfileLabelSerializer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()


class OtherLabelsSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="files")
    labels = serializers.IntegerField()


class ColourSerializer(serializers.Serializer[Any]):
    """Shares of the images' pixels in 32 levels, summed over the images."""

    red = _shares
    green = _shares
    blue = _shares


class DuplicateFileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]


class DuplicateGroupSerializer(serializers.Serializer[Any]):
    files = DuplicateFileSerializer(many=True, help_text="at most 20")
    count = serializers.IntegerField()
    labels = _texts


class DuplicatesSerializer(serializers.Serializer[Any]):
    groups = serializers.IntegerField()
    files = serializers.IntegerField(help_text="files beyond one of each group")
    across_labels = serializers.IntegerField(help_text="groups with several labels")
    largest = DuplicateGroupSerializer(many=True, help_text="at most 100")


class NamedFilesSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    names = _texts


class ValueCountSerializer(serializers.Serializer[Any]):
    value = serializers.CharField()
    count = serializers.IntegerField()


class ColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=["integer", "number", "boolean", "date", "text", "empty"])
    missing = serializers.IntegerField()
    mismatched = serializers.IntegerField(help_text="values that are not of the type")
    distinct = serializers.IntegerField()
    distinct_is_exact = serializers.BooleanField(help_text="false: an estimate, and counts of values may be too low")
    min = serializers.JSONField(allow_null=True, help_text="a number, or a date as text")
    max = serializers.JSONField(allow_null=True, help_text="a number, or a date as text")
    mean = serializers.FloatField(allow_null=True)
    std = serializers.FloatField(allow_null=True)
    histogram = ProfileHistogramSerializer(allow_null=True)
    values = ValueCountSerializer(many=True, help_text="the most frequent, at most 20")
    examples = _texts
    mismatched_examples = _texts


class TableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    rows = serializers.IntegerField()
    columns = ColumnSerializer(many=True)
    more_columns = serializers.IntegerField(help_text="columns that are not told")


class ProfileSerializer(serializers.Serializer[Any]):
    files = serializers.IntegerField(help_text="sound files")
    rejected = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="junk of systems that was left out")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="rejected files by reason")
    contents = _counts
    formats = _counts
    modes = _counts
    labels = ProfileLabelSerializer(many=True, help_text="the most frequent, at most 1,000")
    other_labels = OtherLabelsSerializer()
    unlabelled = serializers.IntegerField()
    size_bytes = TotalSerializer(allow_null=True)
    width = SpreadSerializer(allow_null=True)
    height = SpreadSerializer(allow_null=True)
    aspect = SpreadSerializer(allow_null=True, help_text="width / height")
    brightness = SpreadSerializer(allow_null=True, help_text="mean luma of each image, 0..255")
    saturation = SpreadSerializer(allow_null=True, help_text="mean saturation of each image, 0..255")
    colour = ColourSerializer(allow_null=True)
    duplicates = DuplicatesSerializer(allow_null=True, help_text="equal files; null while the run goes on")
    near_duplicates = DuplicatesSerializer(allow_null=True, help_text="images that look alike without being equal")
    dark = NamedFilesSerializer(
        allow_null=True, help_text="images of a mean luma up to 32; names of at most 500, the darkest first"
    )
    bright = NamedFilesSerializer(
        allow_null=True, help_text="images of a mean luma from 232; names of at most 500, the brightest first"
    )
    columns = ColumnSerializer(many=True, allow_null=True, help_text="of the only table")
    tables = TableSerializer(many=True, allow_null=True, help_text="at most 20")
    complete = serializers.BooleanField(help_text="false while the run goes on")
