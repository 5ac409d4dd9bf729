"""The REST API of projects."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from dlmodeler_site.access import Role, get_owned
from dlmodeler_site.api import FOREVER, ScopedViewSet, TrashEntrySerializer, idempotent, is_forever
from projects import trash
from projects.members import Member, create_project, update_project
from projects.models import Membership, Project


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)

    class Meta:
        model = Membership
        fields = ("username", "role")


class ProjectSerializer(serializers.ModelSerializer[Project]):
    members = MemberSerializer(source="memberships", many=True, required=False)
    creator = serializers.CharField(source="creator.username", read_only=True, default=None)
    path = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = ("id", "name", "description", "creator", "members", "path", "created_at", "changed_at")

    def get_path(self, project: Project) -> str:
        return f"/mnt/{project.files_key}"

    def members_given(self) -> list[Member] | None:
        given = self.validated_data.get("memberships")
        return None if given is None else [Member(each["user"]["username"], each["role"]) for each in given]


class ProjectViewSet(ListModelMixin, ScopedViewSet):
    """Projects that the user is a member of."""

    queryset = Project.objects.select_related("creator").prefetch_related("memberships__user")
    serializer_class = ProjectSerializer
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at", "changed_at")

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        form = self._validated(request)
        project = create_project(
            request.user,  # type: ignore[arg-type]
            name=form.validated_data["name"],
            description=form.validated_data["description"],
            members=form.members_given() or (),
        )
        return Response(self.get_serializer(project).data, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        project = get_owned(Project.objects.all(), request.user, pk=pk)
        form = self._validated(request, partial=True)
        given = form.validated_data
        update_project(
            project, name=given.get("name"), description=given.get("description"), members=form.members_given()
        )
        return Response(self.get_serializer(project).data)

    @extend_schema(parameters=[FOREVER], responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Move the project with everything in it to the trash; 409 while something in it runs."""
        trash.delete_project(get_owned(Project.objects.all(), request.user, pk=pk), forever=is_forever(request))
        return Response(status=204)

    def _validated(self, request: Request, **options: Any) -> ProjectSerializer:
        form = ProjectSerializer(data=request.data, context=self.get_serializer_context(), **options)
        form.is_valid(raise_exception=True)
        return form


class TrashedProjectViewSet(ScopedViewSet):
    """The projects in the trash that the user is an owner of."""

    queryset = Project.objects.none()
    serializer_class = TrashEntrySerializer
    filter_backends = ()

    @extend_schema(operation_id="trash_projects_list", responses=TrashEntrySerializer(many=True))
    def list(self, request: Request) -> Response:
        """What can be restored, newest first."""
        page = self.paginate_queryset(trash.entries(request.user))  # type: ignore[arg-type]
        return self.get_paginated_response(TrashEntrySerializer(page, many=True).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete the project for ever."""
        trash.end_project(trash.get_trashed(request.user, pk))  # type: ignore[arg-type]
        return Response(status=204)

    @extend_schema(request=None, responses=ProjectSerializer)
    def restore(self, request: Request, pk: int) -> Response:
        """Take the project out of the trash with everything that was in it."""
        trash.restore_project(trash.get_trashed(request.user, pk))  # type: ignore[arg-type]
        restored = ProjectViewSet.queryset.get(pk=pk)
        return Response(ProjectSerializer(restored, context=self.get_serializer_context()).data)
