"""The admin shows every row with all that is known of it, in the reader's language."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.base import ContentFile
from django.db.models import BinaryField, Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from datasets.models import Connection, Data, Export, File, Recipe
from deployments.models import Deployment, DeploymentToken, LoggedRequest, Prediction, PredictionJob, Traffic
from deployments.traffic.models import Span
from dlmodeler_site.models import Gpu, IdempotentAnswer
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.models import Download, EpochMetrics, Estimate, Evaluation, Job, JobInput, Training
from projects import trash
from projects.models import Project
from tests.cast import make_cast, make_data, make_dataset, make_user, png
from tests.deployments.parts import deployment_row

OURS = ("dlmodeler_site", "projects", "datasets", "jobs", "deployments")
MODELS = [model for app in OURS for model in apps.get_app_config(app).get_models()]


def own_fields(model: type[Model]) -> list:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


@pytest.fixture
def rows(db: None) -> list[Model]:
    """One row of each model that the admin shows."""
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    job = Job.objects.create(project=cast.project, name="scenes", slug="scenes", creator=cast.alice)
    JobInput.objects.create(job=job, name="images", data=data)
    training = Training.objects.create(job=job, name="first", slug="first")
    deployment = deployment_row(training, name="live")
    predicted = PredictionJob.objects.create(
        deployment=deployment, version=deployment.version, data=data, name="p", slug="p"
    )
    connection = Connection.objects.create(project=cast.project, name="bucket", access_key="AK", ciphertext=b"secret")
    return [
        cast.project,
        connection,
        Recipe.objects.create(project=cast.project, name="gray", steps=[{"op": "grayscale"}]),
        Export.objects.create(data=data, connection=connection, prefix="bucket/photos"),
        data.dataset,
        data,
        data.files.get(),
        job,
        training,
        Evaluation.objects.create(training=training, status=Status.COMPLETED),
        Estimate.objects.create(job=job, status=Status.COMPLETED),
        Download.objects.create(training=training, format=Download.Format.ONNX, status=Status.COMPLETED),
        Gpu.objects.create(name="0"),
        EpochMetrics.objects.create(training=training, epoch=1, attempt=1, time=timezone.now()),
        deployment,
        deployment.version,
        DeploymentToken.objects.create(deployment=deployment, name="nightly", digest="0", ciphertext=b"secret"),
        LoggedRequest.objects.create(
            deployment=deployment, at=timezone.now(), request_id="ab", status=200, latency_ms=4
        ),
        Traffic.objects.create(deployment=deployment, span=Span.HOUR, begins_at=timezone.now()),
        predicted,
        Prediction.objects.create(prediction_job=predicted, file=data.files.get(), label=1),
        IdempotentAnswer.objects.create(user=cast.alice, digest="0"),
    ]


def test_every_model_and_field_has_a_korean_name() -> None:
    with translation.override("ko"):
        names = {
            f"{model._meta.label}.{place}": str(name)
            for model in MODELS
            for place, name in [
                ("verbose_name", model._meta.verbose_name),
                ("verbose_name_plural", model._meta.verbose_name_plural),
                *((field.name, field.verbose_name) for field in own_fields(model)),
                *((f"{field.name}.help_text", field.help_text) for field in own_fields(model) if field.help_text),
            ]
        }
    assert {place: name for place, name in names.items() if not re.search("[가-힣]", name)} == {}


def test_operator_reads_every_row(client: Client, rows: list[Model]) -> None:
    assert {type(row) for row in rows} == {model for model in MODELS if model in admin.site._registry}
    client.force_login(make_user("operator", is_staff=True, is_superuser=True))
    for row in rows:
        meta = row._meta
        assert client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")).status_code == 200
        page = client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
        assert page.status_code == 200, meta.label
        assert not any(
            isinstance(field, BinaryField) and f"field-{field.name}" in page.text for field in own_fields(type(row))
        )
        if not {"status", "error"} - {field.name for field in own_fields(type(row))}:
            assert "field-status" in page.text
            assert "field-error" in page.text


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(make_user("operator", is_staff=True, is_superuser=True))
    return client


def deletion(model: type[Model], row: Model | None = None) -> str:
    """Where one row is deleted, or several are."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    return reverse(f"{name}_delete", args=[row.pk]) if row else reverse(f"{name}_changelist")


def selected(*rows: Model) -> dict[str, object]:
    return {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}


def test_a_project_is_deleted_as_on_its_page(operator: Client) -> None:
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    key = data.files.get().key_in(data)
    Data.objects.update(status=Status.RUNNING)
    for url, sent in (deletion(Project, cast.project), {"post": "yes"}), (deletion(Project), selected(cast.project)):
        answer = operator.post(url, sent, follow=True)
        assert "data in work “photos”" in answer.text
        assert "was moved to the trash" not in answer.text
    Data.objects.update(status=Status.COMPLETED)
    asked = operator.post(deletion(Project), selected(cast.project) | {"post": ""})
    assert "Are you sure" in asked.text
    assert Project.objects.exists()
    answer = operator.post(deletion(Project), selected(cast.project), follow=True)
    assert "“Landscapes” was moved to the trash" in answer.text
    assert [entry.name for entry in trash.entries(cast.alice)] == ["Landscapes"]
    assert workspace().exists(key)
    trash.restore_project(cast.project)
    operator.post(deletion(Project, cast.project), {"post": "yes"})
    assert not Project.objects.exists()
    assert Project.everything.get() == cast.project


def test_what_has_files_is_deleted_by_its_own_function(operator: Client, rows: list[Model]) -> None:
    of = {type(row): row for row in rows}
    training, deployment, job, predicted = (of[model] for model in (Training, Deployment, Job, PredictionJob))
    PredictionJob.objects.update(status=Status.RUNNING)
    for row, why in (
        (training, "deployment “live”"),
        (job, "deployment “live”"),
        (deployment, "prediction job “p”"),
        (predicted, "Stop it first"),
    ):
        for url, sent in (deletion(type(row), row), {"post": "yes"}), (deletion(type(row)), selected(row)):
            answer = operator.post(url, sent, follow=True)
            assert why in answer.text
            assert "was deleted" not in answer.text
    PredictionJob.objects.update(status=Status.COMPLETED)
    Training.objects.update(status=Status.COMPLETED)
    keys = [f"{row.files_key}/result" for row in (training, predicted)]  # type: ignore[attr-defined]
    for key in keys:
        workspace().save(key, ContentFile(b"x"))  # type: ignore[attr-defined]
    for row in (predicted, deployment, training, job):
        answer = operator.post(deletion(type(row)), selected(row), follow=True)
        assert f"“{row}” was deleted" in answer.text
        assert not type(row)._default_manager.exists()
    assert not any(workspace().exists(key) for key in keys)


def test_files_and_what_was_predicted_of_them_are_not_deleted_alone(operator: Client, rows: list[Model]) -> None:
    for row in rows:
        if isinstance(row, File | Prediction | EpochMetrics | Export):
            assert operator.post(deletion(type(row), row), {"post": "yes"}).status_code == 403
            operator.post(deletion(type(row)), selected(row))
            assert type(row)._default_manager.filter(pk=row.pk).exists()
