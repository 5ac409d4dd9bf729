"""The REST API of evaluations."""

from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.models import LARGE_OF_DATA, Data
from dlmodeler_site.access import get_visible
from dlmodeler_site.api import FileNegotiation, ScopedViewSet, idempotent
from jobs.evaluating import evaluations
from jobs.evaluating.evaluated import asked_for, heatmap_file, samples, shown
from jobs.evaluating.rows import as_csv
from jobs.evaluating.serializers import (
    EvaluatedSampleSerializer,
    EvaluationDetailSerializer,
    EvaluationRequestSerializer,
    EvaluationSerializer,
)
from jobs.models import Evaluation

CELL = [
    OpenApiParameter("true", str, description="only samples of this class"),
    OpenApiParameter("predicted", str, description="only samples that were predicted to be of this class"),
    OpenApiParameter("mistakes", bool, description="only samples that were predicted wrongly"),
    OpenApiParameter("failed", bool, description="only samples that could not be read"),
]
EVALUATIONS = Evaluation.objects.select_related(
    "training__job__project", "data__dataset__project", "labels_data", "creator"
).defer(*LARGE_OF_DATA)


class EvaluationActions:
    """Actions of the trainings' view set."""

    @extend_schema(
        operation_id="trainings_evaluation",
        parameters=CELL,
        responses=PolymorphicProxySerializer(
            component_name="EvaluationOrSamples",
            serializers=[EvaluationDetailSerializer, EvaluatedSampleSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        filters=False,
    )
    @action(detail=True)
    def evaluation(self, request: Request, pk: str) -> Response:
        """How good the model is: confusion matrix, precision, recall and support of each class, worst mistakes.

        With `?true=` and `?predicted=`, a page of the samples in that cell of the matrix, worst first.
        """
        evaluation = evaluations.own_evaluation(self.visible())  # type: ignore[attr-defined]
        if any(request.query_params.get(each.name) for each in CELL):
            return _samples(self, evaluation)
        return Response(EvaluationDetailSerializer(evaluation, context={"request": request}).data)

    @extend_schema(operation_id="trainings_evaluations", responses=EvaluationSerializer(many=True), filters=False)
    @action(detail=True)
    def evaluations(self, request: Request, pk: str) -> Response:
        """Every evaluation of the model, newest first."""
        rows = EVALUATIONS.filter(training=self.visible())  # type: ignore[attr-defined]
        page = self.paginate_queryset(rows)  # type: ignore[attr-defined]
        return self.get_paginated_response(EvaluationSerializer(page, many=True).data)  # type: ignore[attr-defined, no-any-return]

    @extend_schema(
        operation_id="trainings_evaluate",
        request=EvaluationRequestSerializer,
        responses={201: EvaluationDetailSerializer},
    )
    @evaluations.mapping.post
    @idempotent
    def evaluate(self, request: Request, pk: str) -> Response:
        """Measure the model on other labelled data."""
        training = self.editable()  # type: ignore[attr-defined]
        form = EvaluationRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        every = Data.objects.select_related("dataset__project")
        data = get_visible(every, request.user, pk=given["data"])
        labels = get_visible(every, request.user, pk=given["labels"]) if given["labels"] else None
        evaluation = evaluations.create_evaluation(
            training,
            data=data,
            labels=labels,
            creator=request.user,  # type: ignore[arg-type]
        )
        return Response(EvaluationDetailSerializer(evaluation, context={"request": request}).data, status=201)


class EvaluationViewSet(ListModelMixin, ScopedViewSet):
    """What finished models answered to labelled data."""

    queryset = EVALUATIONS
    serializer_class = EvaluationDetailSerializer
    parents = {"training": "training", "project": "training__job__project", "data": "data"}
    search_fields = ("training__name", "data__name")
    ordering_fields = ("status", "created_at", "finished_at")

    def get_serializer_class(self) -> Any:
        return EvaluationSerializer if self.action == "list" else EvaluationDetailSerializer

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(self.visible())

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        evaluations.delete_evaluation(self.editable())
        return Response(status=204)

    @extend_schema(request=None, responses=EvaluationDetailSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Stop it; it can be resumed later."""
        evaluation = self.editable()
        evaluations.stop_evaluation(evaluation)
        return self._answer(evaluation)

    @extend_schema(request=None, responses=EvaluationDetailSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with a cancelled or failed evaluation."""
        evaluation = self.editable()
        evaluations.resume_evaluation(evaluation)
        return self._answer(evaluation)

    @extend_schema(parameters=CELL, responses=EvaluatedSampleSerializer(many=True), filters=False)
    @action(detail=True)
    def results(self, request: Request, pk: str) -> Response:
        """The samples, worst first: all of them, or those of a cell of the confusion matrix."""
        return _samples(self, self.visible())

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def results_csv(self, request: Request, pk: int) -> StreamingHttpResponse:
        """Every sample in the order of the data."""
        evaluation = self.visible()
        evaluations.require_results(evaluation)
        name = content_disposition_header(
            as_attachment=True, filename=f"{evaluation.training.slug}-evaluation-{evaluation.pk}.csv"
        )
        return StreamingHttpResponse(
            as_csv(evaluation), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": name}
        )

    @extend_schema(
        parameters=[OpenApiParameter("row", int, "path", description="a mistake's `row`")],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    @action(detail=True, url_path="heatmaps/<int:row>", content_negotiation_class=FileNegotiation)
    def heatmap(self, request: Request, pk: str, row: int) -> FileResponse:
        """The image with what spoke for the predicted class laid over it."""
        return heatmap_file(self.visible(), row)

    def _answer(self, evaluation: Evaluation) -> Response:
        return Response(EvaluationDetailSerializer(evaluation, context={"request": self.request}).data)


def _samples(view: Any, evaluation: Evaluation) -> Response:
    found = samples(evaluation, asked_for(evaluation, view.request.query_params))
    page = shown(evaluation, view.paginate_queryset(found))
    context = {"request": view.request, "evaluation": evaluation}
    answer: Response = view.get_paginated_response(EvaluatedSampleSerializer(page, many=True, context=context).data)
    return answer
