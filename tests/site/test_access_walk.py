"""Every route, walked as a stranger and as a viewer: no route may be forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from datasets.models import Connection, Data, Export, File, Recipe
from datasets.trash import delete_data, delete_dataset
from deployments.models import DeploymentToken, PredictionJob
from dlmodeler_site.access import Role
from dlmodeler_site.work.models import Status
from jobs.models import Download, Estimate, Evaluation, Job, JobInput, Training
from projects.members import Member, create_project
from projects.trash import delete_project
from tests.cast import Cast, make_cast, make_dataset
from tests.deployments.parts import deployment_row

pytestmark = pytest.mark.django_db

# Routes that are everybody's, or that have their own rules and tests.
OPEN = (
    *("accounts/", "admin/", "i18n/", "favicon.ico", "metrics/"),
    *(f"api/v1/{name}/" for name in ("auth", "health", "schema", "docs", "metrics", "algorithms")),
)
WRITING = ("post", "put", "patch", "delete")
# Reading by POST: nothing is changed, so a viewer may.
READING_POSTS = (
    "api-data-preview",
    "api-data-selection",
    "api-deployment-sample",
    "api-job-check",
    "datasets:preprocess-preview",
    "deployments:image-prediction",
    "deployments:sample-prediction",
    "jobs:tensorboard",
    "jobs:tensorboard-part",
)


@dataclass(frozen=True)
class Route:
    pattern: str
    name: str
    methods: tuple[str, ...]

    def path(self, keys: dict[str, Any]) -> str:
        """The route with the ids of real objects, each chosen by the word before it."""
        words = self.pattern.split("/")
        filled = []
        for position, word in enumerate(words):
            if word.startswith("<"):
                parameter = word.strip("<>").split(":")[-1]
                kind = parameter.removesuffix("_pk") if parameter.endswith("_pk") else words[position - 1]
                kind = f"trashed {kind}" if "trash" in words[:position] else kind
                assert kind in keys, f"the walk has no object for {self.pattern}: add one for “{kind}”"
                word = str(keys[kind])
            filled.append(word)
        return "/" + "/".join(filled)


def routes() -> list[Route]:
    def walk(patterns: list[Any], prefix: str, namespace: str) -> Iterator[Route]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern).lstrip("^").replace("$", "")
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route, pattern.namespace or namespace)
            elif isinstance(pattern, URLPattern):
                actions = getattr(pattern.callback, "actions", None)
                name = f"{namespace}:{pattern.name}" if namespace else str(pattern.name)
                yield Route(route, name, tuple(actions) if actions else ("get", "post"))

    return [route for route in walk(get_resolver().url_patterns, "", "") if not route.pattern.startswith(OPEN)]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def keys(cast: Cast) -> dict[str, Any]:
    """The ids of one object of every kind in Alice's project."""
    dataset = make_dataset(cast.project)
    data = Data.objects.create(dataset=dataset, name="raw", slug="raw", status=Status.COMPLETED, content="image")
    file = File.objects.create(data=data, name="a.png", state=File.State.OK, sha256="0" * 64)
    job = Job.objects.create(project=cast.project, name="job", slug="job", algorithm="image_classification")
    JobInput.objects.create(job=job, name="images", data=data)
    training = Training.objects.create(job=job, name="training", slug="training", status=Status.COMPLETED)
    estimate = Estimate.objects.create(job=job, status=Status.COMPLETED, seconds=1)
    evaluation = Evaluation.objects.create(training=training, status=Status.COMPLETED)
    download = Download.objects.create(training=training, format="onnx", status=Status.COMPLETED)
    deployment = deployment_row(training, wanted="stopped", status="stopped")
    token = DeploymentToken.objects.create(deployment=deployment, name="first", digest="0" * 64, ciphertext=b"")
    prediction_job = PredictionJob.objects.create(
        deployment=deployment,
        version=deployment.version,
        data=data,
        name="prediction",
        slug="prediction",
        status=Status.COMPLETED,
    )
    connection = Connection.objects.create(project=cast.project, name="store", access_key="x", ciphertext=b"")
    export = Export.objects.create(data=data, connection=connection, prefix="a/", status=Status.COMPLETED)
    recipe = Recipe.objects.create(project=cast.project, name="gray", steps=[{"op": "grayscale"}])
    trashed_dataset = make_dataset(cast.project, "old")
    trashed_data = Data.objects.create(dataset=dataset, name="old", slug="old")
    trashed_project = create_project(cast.alice, name="old", description="x", members=[Member("bob", Role.VIEWER)])
    delete_dataset(trashed_dataset)
    delete_data(trashed_data)
    delete_project(trashed_project)
    return {
        "connections": connection.pk,
        "exports": export.pk,
        "trashed datasets": trashed_dataset.pk,
        "trashed data": trashed_data.pk,
        "trashed projects": trashed_project.pk,
        "trashed trash": trashed_project.pk,
        "recipes": recipe.pk,
        "project": cast.project.pk,
        "projects": cast.project.pk,
        "dataset": dataset.pk,
        "datasets": dataset.pk,
        "data": data.pk,
        "file": file.pk,
        "files": file.pk,
        "uploads": uuid4(),
        "job": job.pk,
        "jobs": job.pk,
        "estimates": estimate.pk,
        "evaluations": evaluation.pk,
        "heatmaps": 0,
        "downloads": download.pk,
        "model": "onnx",
        "training": training.pk,
        "trainings": training.pk,
        "tensorboard": training.pk,
        "<slug:ids>": "data/runs",  # what is asked of TensorBoard
        "deployment": deployment.pk,
        "deployments": deployment.pk,
        "versions": deployment.version.number,
        "token": token.pk,
        "tokens": token.pk,
        "prediction": prediction_job.pk,
        "predictions": prediction_job.pk,
    }


def call(user: Any, route: Route, method: str, keys: dict[str, Any]) -> int:
    client = Client()
    client.force_login(user)
    path = route.path(keys)
    options: dict[str, Any] = {}
    if route.pattern.startswith("api/"):
        options = {"data": {}, "content_type": "application/json"}
    return int(getattr(client, method)(path, **options).status_code)


def test_a_stranger_gets_404_on_every_route_of_an_object(cast: Cast, keys: dict[str, Any]) -> None:
    walked = [route for route in routes() if "<" in route.pattern]
    wrong = {
        f"{method} {route.pattern}": status
        for route in walked
        for method in route.methods
        if (status := call(cast.charlie, route, method, keys)) not in (404, 405)
    }
    assert len(walked) > 40
    assert wrong == {}


def test_a_viewer_gets_403_on_every_writing_route_of_an_object(cast: Cast, keys: dict[str, Any]) -> None:
    wrong = {}
    for route in routes():
        if "<" not in route.pattern or route.name in READING_POSTS:
            continue
        for method in set(route.methods) & set(WRITING):
            status = call(cast.bob, route, method, keys)
            if status not in (403, 405):
                wrong[f"{method} {route.name} {route.pattern}"] = status
    assert wrong == {}


def test_anonymous_visitors_see_nothing(keys: dict[str, Any]) -> None:
    wrong = {}
    for route in routes():
        if route.name == "intro":
            continue
        for method in route.methods:
            answer = getattr(Client(), method)(route.path(keys))
            to_login = answer.status_code == 302 and answer["Location"].startswith("/accounts/login/")
            if not to_login and answer.status_code not in (401, 403, 404, 405):
                wrong[f"{method} {route.pattern}"] = answer.status_code
    assert wrong == {}
