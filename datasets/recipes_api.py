"""The REST API of recipes."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.models import Recipe
from datasets.preprocess_api import StepsField
from datasets.recipes import save_recipe, update_recipe
from dlmodeler_site.access import get_editable
from dlmodeler_site.api import ScopedViewSet, idempotent
from projects.models import Project


class RecipeSerializer(serializers.ModelSerializer[Recipe]):
    project = serializers.IntegerField(source="project_id")
    name = serializers.CharField(max_length=100)
    steps = StepsField(help_text="as of /data/{id}/preprocess/, but none that names files")
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)

    class Meta:
        model = Recipe
        fields = ("id", "project", "name", "steps", "creator", "created_at", "changed_at")


class RecipeChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    steps = StepsField()


class RecipeViewSet(ListModelMixin, ScopedViewSet):
    """Recipes: preprocessing steps under a name, to be used again."""

    queryset = Recipe.objects.select_related("project", "creator")
    serializer_class = RecipeSerializer
    parents: ClassVar = {"project": "project"}
    search_fields = ("name",)
    ordering_fields = ("name", "created_at", "changed_at")

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        form = RecipeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        project = get_editable(Project.objects.all(), request.user, pk=given["project_id"])
        recipe = save_recipe(project, request.user, name=given["name"], steps=given["steps"])  # type: ignore[arg-type]
        return Response(self.get_serializer(recipe).data, status=201)

    @extend_schema(request=RecipeChangeSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        recipe = self.editable()
        form = RecipeChangeSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        update_recipe(recipe, **form.validated_data)
        return Response(self.get_serializer(recipe).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        self.editable().delete()
        return Response(status=204)
