"""The REST API of algorithms, jobs and trainings."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.api import ScopedViewSet, idempotent
from dlmodeler_site.errors import UserError
from jobs import submit
from jobs.algorithms.base import Manifest
from jobs.algorithms.registry import manifests
from jobs.checking.api import CheckActions
from jobs.checking.recommend import recommend
from jobs.comparing.api import CompareActions
from jobs.definition import JobDraft, algorithm, create_job, delete_job, update_job
from jobs.downloading.api import ModelActions
from jobs.estimating.api import EstimateActions
from jobs.evaluating.api import EvaluationActions
from jobs.models import Instance, Job, Training
from jobs.records.api import RecordActions
from jobs.serializers import (
    AdviceSerializer,
    AlgorithmSerializer,
    JobSerializer,
    RecommendationSerializer,
    RecommendRequestSerializer,
    TrainingDetailSerializer,
    TrainingSerializer,
    TrainingsRequestSerializer,
)
from jobs.watching.api import WatchActions
from projects.models import Project


class AlgorithmViewSet(GenericViewSet[Any]):
    """The built-in algorithms: what they read and can be told."""

    serializer_class = AlgorithmSerializer
    lookup_field = "name"
    lookup_value_converter = "str"
    filter_backends = ()

    @extend_schema(operation_id="algorithms_list", responses=AlgorithmSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset([_translated(each) for each in manifests()])
        return self.get_paginated_response(AlgorithmSerializer(page, many=True).data)

    @extend_schema(operation_id="algorithms_retrieve", responses=AlgorithmSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        return Response(AlgorithmSerializer(_translated(algorithm(name))).data)

    @extend_schema(request=RecommendRequestSerializer, responses=AdviceSerializer)
    @action(detail=False, methods=["post"])
    def recommend(self, request: Request) -> Response:
        """Which algorithms fit the data, best first, and why."""
        form = RecommendRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        project = get_visible(Project.objects.all(), request.user, pk=form.validated_data["project"])
        advice = recommend(project, form.validated_data["data"])
        results = RecommendationSerializer(advice.recommendations, many=True).data
        return Response(
            {"count": len(results), "next": None, "previous": None, "results": results, "reason": advice.reason}
        )


class JobViewSet(CheckActions, EstimateActions, ListModelMixin, ScopedViewSet):
    """Jobs of the user's projects."""

    queryset = Job.objects.with_state().select_related("project", "creator").prefetch_related("inputs")
    serializer_class = JobSerializer
    parents = {"project": "project"}
    search_fields = ("name", "description", "algorithm")
    ordering_fields = ("name", "kind", "algorithm", "created_at", "changed_at")

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(self.get_serializer(self.visible()).data)

    @idempotent
    def create(self, request: Request) -> Response:
        given = self._validated(request)
        project = get_editable(Project.objects.all(), request.user, pk=given["project_id"])
        job = create_job(
            project,
            request.user,  # type: ignore[arg-type]
            JobDraft(
                name=given["name"],
                description=given["description"],
                kind=given["kind"],
                algorithm=given["algorithm"],
                inputs=given.get("input_ids", {}),
                class_names=given.get("class_names", {}),
                instance=Instance(**given.get("instance", {})),
            ),
        )
        return self._answer(job, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        job = self.editable()
        given = self._validated(request, partial=True)
        if fixed := sorted({"project_id", "kind", "algorithm", "instance"} & set(given)):
            names = ", ".join(name.removesuffix("_id") for name in fixed)
            raise UserError(
                _("%(names)s of a job cannot be changed. Make a new job.") % {"names": names},
                reason="fixed",
                field=fixed[0].removesuffix("_id"),
            )
        update_job(
            job,
            name=given.get("name"),
            description=given.get("description"),
            inputs=given.get("input_ids"),
            class_names=given.get("class_names"),
        )
        return self._answer(job)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        delete_job(self.editable())
        return Response(status=204)

    def _validated(self, request: Request, **options: Any) -> Mapping[str, Any]:
        form = self.get_serializer(data=request.data, **options)
        form.is_valid(raise_exception=True)
        return form.validated_data  # type: ignore[no-any-return]

    def _answer(self, job: Job, *, status: int = 200) -> Response:
        return Response(self.get_serializer(self.queryset.get(pk=job.pk)).data, status=status)


class TrainingViewSet(
    CompareActions, WatchActions, EvaluationActions, ModelActions, RecordActions, ListModelMixin, ScopedViewSet
):
    """Trainings of the user's projects."""

    queryset = Training.objects.select_related("job__project", "creator")
    serializer_class = TrainingDetailSerializer
    parents = {"job": "job", "project": "job__project"}
    search_fields = ("name", "job__name")
    ordering_fields = ("name", "status", "accuracy", "loss", "created_at", "started_at", "finished_at")

    def get_serializer_class(self) -> Any:
        return TrainingSerializer if self.action == "list" else TrainingDetailSerializer

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(self.visible())

    @extend_schema(request=TrainingsRequestSerializer, responses={201: TrainingDetailSerializer(many=True)})
    @idempotent
    def create(self, request: Request) -> Response:
        """Start one or several trainings: all of them, or none."""
        form = TrainingsRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        job = get_editable(Job.objects.select_related("project"), request.user, pk=given["job"])
        trainings = submit.create_trainings(
            request.user,  # type: ignore[arg-type]
            job,
            Instance(**given["instance"]),
            [submit.TrainingRequest(each["name"], each["hyperparameters"]) for each in given["trainings"]],
        )
        return Response(self.get_serializer(trainings, many=True).data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        submit.delete_training(self.editable())
        return Response(status=204)

    @extend_schema(request=None, responses=TrainingDetailSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Stop it; it can be resumed later."""
        training = self.editable()
        submit.stop(training)
        return self._answer(training)

    @extend_schema(request=None, responses=TrainingDetailSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with a cancelled or failed training."""
        training = self.editable()
        submit.resume(training)
        return self._answer(training)

    def _answer(self, training: Training) -> Response:
        return Response(self.get_serializer(training).data)


def _translated(each: Manifest) -> dict[str, Any]:
    """The manifest with its titles and helps in the language of the request."""

    def words(part: Any, *names: str) -> dict[str, Any]:
        return {**vars(part), **{name: _(text) if (text := getattr(part, name)) else "" for name in names}}

    return {
        **words(each, "title", "summary"),
        "inputs": [words(part, "title", "help") for part in each.inputs],
        "hyperparameters": [
            {**words(part, "title", "help", "unit", "group"), "required": part.required}
            for part in each.hyperparameters
        ],
    }
