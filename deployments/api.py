"""The REST API of deployments, their tokens, and prediction jobs."""

from typing import Any

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from datasets.models import Data, File
from deployments import deploy, predictions, tokens, versions
from deployments.addresses import file_url
from deployments.models import Deployment, DeploymentToken, DeploymentVersion, PredictionJob
from deployments.results import results_file, results_lines, results_of
from deployments.serializers import (
    DeploymentCreateSerializer,
    DeploymentSerializer,
    DeploymentTokenSerializer,
    DeploymentVersionSerializer,
    DifferenceSerializer,
    ModelChangeSerializer,
    NewDeploymentTokenSerializer,
    PredictionJobSerializer,
    PredictionSerializer,
    RollbackSerializer,
    SampleRequestSerializer,
    SampleSerializer,
    TokenTextSerializer,
)
from deployments.traffic.serializers import LoggedRequestSerializer, TrafficStepSerializer
from deployments.traffic.series import DEFAULT_PERIOD, PERIODS, figures, logged_requests, series
from dlmodeler_site.access import get_editable, get_visible
from dlmodeler_site.api import ScopedViewSet, idempotent
from dlmodeler_site.errors import UserError
from jobs.models import Instance, Training


class DeploymentViewSet(ListModelMixin, ScopedViewSet):
    """Trained models behind REST addresses of their own."""

    queryset = Deployment.objects.select_related("project", "version__training__job", "next_version", "creator")
    serializer_class = DeploymentSerializer
    parents = {"project": "project", "training": "version__training"}
    search_fields = ("name", "description", "version__training__name")
    ordering_fields = ("name", "created_at", "changed_at", "status")

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(self.visible())

    @extend_schema(request=DeploymentCreateSerializer, responses={201: DeploymentSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        given = _validated(DeploymentCreateSerializer, request)
        training = get_editable(Training.objects.select_related("job__project"), request.user, pk=given["training"])
        instance = given.get("instance")
        deployment = deploy.create_deployment(
            training,
            name=given["name"],
            description=given["description"],
            creator=request.user,  # type: ignore[arg-type]
            instance=Instance(instance["kind"], instance["count"]) if instance else None,
            model_file=given.get("model_file"),
            preprocess=given["preprocess"],
        )
        return self._answer(deployment, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        form = DeploymentSerializer(deployment, data=request.data, partial=True, context={"request": request})
        form.is_valid(raise_exception=True)
        given = form.validated_data
        deploy.edit_deployment(deployment, name=given.get("name"), description=given.get("description"))
        return self._answer(deployment)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        deploy.delete_deployment(self.editable())
        return Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        deploy.start_deployment(deployment)
        return self._answer(deployment)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        deploy.stop_deployment(deployment)
        return self._answer(deployment)

    @extend_schema(responses=DeploymentVersionSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="versions")
    def versions(self, request: Request, pk: str) -> Response:
        rows = self.visible().versions.select_related("training__job", "creator")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(DeploymentVersionSerializer(page, many=True).data)

    @extend_schema(
        request=ModelChangeSerializer,
        responses={201: DeploymentVersionSerializer},
        summary="Change the model; it takes over as soon as it answers",
    )
    @versions.mapping.post
    @idempotent
    def change_model(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        training, given = self._chosen_model()
        version = versions.change_model(deployment, training, **given, creator=request.user)  # type: ignore[arg-type]
        return Response(DeploymentVersionSerializer(version).data, status=201)

    @extend_schema(
        request=ModelChangeSerializer,
        responses=DifferenceSerializer(many=True),
        summary="What clients would notice of a change of the model; nothing is changed",
    )
    @action(detail=True, methods=["post"], url_path="versions/check", pagination_class=None)
    def check_model(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        training, given = self._chosen_model()
        model = versions.fitting_model(deployment, training, **given)
        return Response(DifferenceSerializer(versions.differences(deployment.version, model), many=True).data)

    @extend_schema(
        responses={204: None}, parameters=[OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)]
    )
    @action(detail=True, methods=["delete"], url_path="versions/<int:number>")
    def delete_version(self, request: Request, pk: str, number: int) -> Response:
        versions.delete_version(get_object_or_404(DeploymentVersion, deployment=self.editable(), number=number))
        return Response(status=204)

    @extend_schema(
        request=RollbackSerializer,
        summary="Go back to a version that served before; while a change is under way, call that off",
    )
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        given = _validated(RollbackSerializer, request)
        return self._answer(versions.roll_back(deployment, number=given.get("version")))

    @extend_schema(responses=TokenTextSerializer, summary="The first token; that it was shown is audited")
    @action(detail=True, methods=["get"])
    def token(self, request: Request, pk: str) -> Response:
        return Response({"token": tokens.show_token(tokens.first_token(self.editable()))})

    @extend_schema(request=None, responses=TokenTextSerializer, summary="Replace the first token")
    @action(detail=True, methods=["post"], url_path="rotate-token")
    def rotate_token(self, request: Request, pk: str) -> Response:
        _token, text = tokens.rotate_token(self.editable(), user=request.user)  # type: ignore[arg-type]
        return Response({"token": text})

    @extend_schema(responses=DeploymentTokenSerializer(many=True))
    @action(detail=True, methods=["get"], url_path="tokens")
    def tokens(self, request: Request, pk: str) -> Response:
        rows = self.visible().tokens.select_related("creator")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(DeploymentTokenSerializer(page, many=True).data)

    @extend_schema(request=DeploymentTokenSerializer, responses={201: NewDeploymentTokenSerializer})
    @tokens.mapping.post
    @idempotent
    def create_token(self, request: Request, pk: str) -> Response:
        deployment = self.editable()
        given = _validated(DeploymentTokenSerializer, request)
        token, text = tokens.create_token(
            deployment,
            name=given["name"],
            creator=request.user,  # type: ignore[arg-type]
            expires_at=given.get("expires_at"),
        )
        token.token = text  # type: ignore[attr-defined]
        return Response(NewDeploymentTokenSerializer(token).data, status=201)

    @extend_schema(
        responses={204: None}, parameters=[OpenApiParameter("token_pk", OpenApiTypes.INT, OpenApiParameter.PATH)]
    )
    @action(detail=True, methods=["delete"], url_path="tokens/<int:token_pk>")
    def revoke_token(self, request: Request, pk: str, token_pk: int) -> Response:
        tokens.revoke_token(get_object_or_404(DeploymentToken, deployment=self.editable(), pk=token_pk))
        return Response(status=204)

    @extend_schema(request=SampleRequestSerializer, responses=SampleSerializer, summary="Predict one image or row")
    @action(detail=True, methods=["post"])
    def sample(self, request: Request, pk: str) -> Response:
        deployment = self.visible()
        given = _validated(SampleRequestSerializer, request)
        if len(given) != 1:
            raise UserError(
                _("Give one of data, file and row; received %(count)s.") % {"count": len(given)},
                reason="invalid",
                field="data",
            )
        if "row" in given:
            if not deployment.takes_tables:
                raise UserError(_("This deployment takes images: give data or file."), reason="invalid", field="row")
            row = {"number": None, "values": given["row"]}
            return Response({**predictions.predict_row(deployment, given["row"]), "file": None, "row": row})
        file = self._sample_file(deployment, given)
        about = {"id": file.pk, "name": file.name, "url": file_url(file, request)}
        if not deployment.takes_tables:
            return Response({**predictions.predict_sample(deployment, file), "file": about, "row": None})
        sample = predictions.sample_row(deployment, file)
        row = {"number": sample.number, "values": sample.values}
        return Response({**predictions.predict_row(deployment, sample.values), "file": about, "row": row})

    @extend_schema(
        responses=TrafficStepSerializer(many=True),
        parameters=[OpenApiParameter("period", OpenApiTypes.STR, enum=[*PERIODS], default=DEFAULT_PERIOD)],
        summary="Requests, errors, times, classes and confidence over time",
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def metrics(self, request: Request, pk: str) -> Response:
        deployment = self.visible()
        name = request.query_params.get("period", DEFAULT_PERIOD)
        if name not in PERIODS:
            raise UserError(
                _("period must be one of %(allowed)s; received “%(received)s”.")
                % {"allowed": ", ".join(PERIODS), "received": name[:100]},
                reason="invalid",
                field="period",
            )
        return Response([{"time": step.begins_at, **figures(step.tally)} for step in series(deployment, PERIODS[name])])

    @extend_schema(
        responses=LoggedRequestSerializer(many=True),
        parameters=[
            OpenApiParameter("failed", OpenApiTypes.BOOL, description="only requests that got no prediction"),
            OpenApiParameter("search", OpenApiTypes.STR, description="a request id, or the start of one"),
        ],
        summary="The latest requests, the newest first",
    )
    @action(detail=True, methods=["get"], filter_backends=[])
    def requests(self, request: Request, pk: str) -> Response:
        rows = logged_requests(
            self.visible(),
            failed=request.query_params.get("failed") in ("1", "true"),
            request_id=request.query_params.get("search", ""),
        )
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(LoggedRequestSerializer(page, many=True).data)

    def _chosen_model(self) -> tuple[Training, dict[str, Any]]:
        given = _validated(ModelChangeSerializer, self.request)
        trainings = Training.objects.select_related("job__project")
        return get_visible(trainings, self.request.user, pk=given.pop("training")), given

    def _sample_file(self, deployment: Deployment, given: dict[str, Any]) -> File:
        user = self.request.user
        if "file" in given:
            file: File = get_visible(
                File.objects.filter(data__dataset__project=deployment.project_id).select_related(
                    "data__dataset__project"
                ),
                user,
                pk=given["file"],
            )
            return file
        data = get_visible(Data.objects.select_related("dataset__project"), user, pk=given["data"])
        predictions.require_fitting(deployment, data)
        return predictions.random_sample(deployment, data)

    def _answer(self, deployment: Deployment, *, status: int = 200) -> Response:
        return Response(DeploymentSerializer(deployment, context={"request": self.request}).data, status=status)


class PredictionJobViewSet(ListModelMixin, ScopedViewSet):
    """Predictions of whole data."""

    queryset = PredictionJob.objects.select_related("deployment__project", "version", "creator")
    serializer_class = PredictionJobSerializer
    parents = {"project": "deployment__project", "deployment": "deployment", "data": "data"}
    search_fields = ("name", "description")
    ordering_fields = ("name", "created_at", "status")

    def retrieve(self, request: Request, pk: str) -> Response:
        return self._answer(self.visible())

    @idempotent
    def create(self, request: Request) -> Response:
        given = _validated(PredictionJobSerializer, request)
        deployments = Deployment.objects.select_related("project", "version")
        deployment = get_editable(deployments, request.user, pk=given["deployment_id"])
        every = Data.objects.select_related("dataset__project")
        data = get_visible(every, request.user, pk=given["data_id"])
        labels = given["labels_data_id"] and get_visible(every, request.user, pk=given["labels_data_id"])
        job = predictions.create_prediction_job(
            deployment,
            data=data,
            labels=labels,
            name=given["name"],
            description=given["description"],
            creator=request.user,  # type: ignore[arg-type]
        )
        return self._answer(job, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        predictions.delete_prediction_job(self.editable())
        return Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        job = self.editable()
        predictions.stop_prediction_job(job)
        return self._answer(job)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        job = self.editable()
        predictions.resume_prediction_job(job)
        return self._answer(job)

    @extend_schema(
        responses=PredictionSerializer(many=True),
        parameters=[
            OpenApiParameter("label", OpenApiTypes.STR, description="only files or rows predicted to be of this class"),
            OpenApiParameter("true", OpenApiTypes.STR, description="only files or rows that are of this class"),
            OpenApiParameter("wrong", OpenApiTypes.BOOL, description="only files or rows that are of another class"),
            OpenApiParameter("failed", OpenApiTypes.BOOL, description="only files or rows that could not be predicted"),
        ],
    )
    @action(detail=True, methods=["get"])
    def results(self, request: Request, pk: str) -> Response:
        asked = {name: request.query_params.get(name) for name in ("label", "true", "wrong", "failed")}
        rows = results_of(self.visible(), **asked)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(PredictionSerializer(page, many=True, context={"request": request}).data)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def results_csv(self, request: Request, pk: int) -> FileResponse:
        return results_file(self.visible())

    @extend_schema(responses={(200, "application/jsonl"): OpenApiTypes.STR}, summary="All results as JSON lines")
    def results_jsonl(self, request: Request, pk: int) -> StreamingHttpResponse:
        return results_lines(self.visible())

    @extend_schema(
        responses={(200, "image/png"): OpenApiTypes.BINARY},
        summary="What in an image spoke for the class that was predicted, while the version that predicted serves",
    )
    def heatmap(self, request: Request, pk: int, file_pk: int) -> HttpResponse:
        job = self.visible()
        rows = job.predictions.select_related("file__data", "prediction_job__version")
        prediction = get_object_or_404(rows, file=file_pk, row=0)
        prediction.prediction_job.deployment = job.deployment
        answer = HttpResponse(predictions.explain_prediction(prediction), content_type="image/png")
        answer["Cache-Control"] = "private, max-age=86400"
        return answer

    def _answer(self, job: PredictionJob, *, status: int = 200) -> Response:
        return Response(PredictionJobSerializer(job).data, status=status)


def _validated(serializer: type[serializers.BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    form = serializer(data=request.data, context={"request": request})
    form.is_valid(raise_exception=True)
    given: dict[str, Any] = form.validated_data
    return given
