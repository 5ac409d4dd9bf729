"""Comparing trainings over the REST API."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.comparing.chosen import LEAST, MOST, chosen, require_enough
from jobs.comparing.comparison import Comparison, best
from jobs.serializers import TrainingSerializer


class ComparedRowSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    values = serializers.ListField(
        child=serializers.JSONField(), help_text="in the order of the trainings; null = none"
    )
    differs = serializers.BooleanField(help_text="never of what differs by nature: names, moments, seconds, memory")
    best = serializers.ListField(
        child=serializers.IntegerField(), help_text="ids of the trainings that did best; empty where none did"
    )


class ComparedSectionSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="hyperparameters, results, data, run, code, hardware, seed")
    title = serializers.CharField()
    rows = ComparedRowSerializer(many=True)


class ComparisonSerializer(serializers.Serializer[Any]):
    """Trainings side by side."""

    trainings = TrainingSerializer(many=True)
    sections = ComparedSectionSerializer(many=True)


class CompareActions:
    """Actions of the trainings' view set."""

    @extend_schema(
        operation_id="trainings_compare",
        parameters=[
            OpenApiParameter("ids", str, required=True, description=f"{LEAST} to {MOST} ids of trainings: 1,2,3"),
        ],
        responses=ComparisonSerializer,
        filters=False,
    )
    @action(detail=False, pagination_class=None)
    def compare(self, request: Request) -> Response:
        """Trainings side by side: what each was told and came to, and where they differ."""
        given = [text for text in request.query_params.get("ids", "").split(",") if text.strip()]
        trainings = chosen(request.user, given, parameter="ids")
        require_enough(trainings, parameter="ids")
        comparison = Comparison.of(trainings)
        sections = [
            {
                "name": section.name,
                "title": section.title,
                "rows": [
                    {
                        "key": row.key,
                        "label": row.label,
                        "values": row.values,
                        "differs": row.differs,
                        "best": [trainings[place].pk for place in best(section, row)],
                    }
                    for row in section.rows
                ],
            }
            for section in comparison.sections
        ]
        return Response(ComparisonSerializer({"trainings": trainings, "sections": sections}).data)
