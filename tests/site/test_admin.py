"""The admin shows every row with all that is known of it, in the reader's language."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import BinaryField, Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from datasets.models import Connection, Export, Recipe
from deployments.models import Deployment, DeploymentToken, Prediction, PredictionJob
from dlmodeler_site.models import IdempotentAnswer
from jobs.models import EpochMetrics, Job, JobInput, Training
from tests.cast import make_cast, make_data, make_dataset, make_user, png

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
    deployment = Deployment.objects.create(project=cast.project, training=training, name="live", bundle_key="a/b")
    predicted = PredictionJob.objects.create(deployment=deployment, data=data, name="p", slug="p", bundle_key="a/b")
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
        EpochMetrics.objects.create(training=training, epoch=1, attempt=1, time=timezone.now()),
        deployment,
        DeploymentToken.objects.create(deployment=deployment, name="nightly", digest="0", ciphertext=b"secret"),
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
