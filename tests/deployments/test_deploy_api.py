"""Deploying over the REST API: what is taken, what is refused, who may do what."""

from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from datasets.models import Data
from deployments.models import Deployment, DeploymentToken
from dlmodeler_site.registry import counts, dependants
from dlmodeler_site.work.models import Status
from jobs.models import Training
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png
from tests.deployments.parts import BLUE, RED, activate, deploy, keeper, make_training, spoil, token_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/deployments/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def training(cast: Cast, tmp_path: Path) -> Training:
    return make_training(cast, tmp_path)


def create(cast: Cast, to_deploy: Training, **fields: Any) -> Any:
    return api(cast.erin).post(URL, {"training": to_deploy.pk, "name": "deploy-cpu", "description": "demo", **fields})


def test_a_deployment_has_address_input_and_model(cast: Cast, training: Training) -> None:
    made = create(cast, training)
    assert made.status_code == 201, made.json()
    body = made.json()
    assert body["status"] == "starting"
    assert body["address"] == f"http://testserver:8001/d/{body['id']}"
    assert body["input"] == {"kind": "image", "shape": [None, 16, 16, 3], "dtype": "uint8"}
    assert (body["accuracy"], body["loss"]) == (0.84, 0.47)
    assert body["instance"] == {"kind": "cpu", "count": 1}
    assert body["model_file"] == training.model_files[0]
    assert (body["preprocess"], body["preprocessing"], body["error"], body["creator"]) == (False, [], None, "erin")
    assert api(cast.bob).get(f"{URL}{body['id']}/").json() == body
    assert api(cast.bob).get(f"{URL}?project={cast.project.pk}").json()["results"] == [body]


def test_the_address_is_as_configured(cast: Cast, training: Training, settings: Any) -> None:
    settings.DLM_SERVING_URL = "https://models.example.org"
    body = create(cast, training).json()
    assert body["address"] == f"https://models.example.org/d/{body['id']}"


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"instance": {"kind": "gpu", "count": 1}}, 400, "no_gpu"),
        ({"instance": {"kind": "cpu", "count": 2}}, 400, "instance_unavailable"),
        ({"model_file": "/mnt/project/other/saved_model.pb"}, 400, "unknown_model_file"),
        ({"preprocess": True}, 400, "no_preprocessing"),
        ({"name": ""}, 400, "invalid"),
        ({"replicas": 2}, 400, "invalid"),
        ({"training": 999999}, 404, "not_found"),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    cast: Cast, training: Training, fields: dict[str, Any], status: int, reason: str
) -> None:
    answer = create(cast, training, **fields)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not Deployment.objects.exists()


def test_a_training_without_a_model_is_refused(cast: Cast, training: Training) -> None:
    Training.objects.update(status=Status.RUNNING)
    answer = create(cast, training)
    assert (answer.status_code, answer.json()["reason"]) == (409, "no_model")
    assert "running" in answer.json()["error"]


def test_a_damaged_bundle_is_refused(cast: Cast, training: Training, tmp_path: Path) -> None:
    spoil(training.export_key)
    assert create(cast, training).json()["reason"] == "model_damaged"


def test_what_every_image_went_through_is_connected_oldest_step_first(cast: Cast, tmp_path: Path) -> None:
    dataset = make_dataset(cast.project)
    raw = make_data(dataset, [("a.png", png(RED))])
    flipped = Data.objects.create(
        dataset=dataset, name="f", slug="f", parent=raw, kind="processed", steps=[{"op": "flip_up_down"}]
    )
    steps = [{"op": "exclude", "files": ["b.png"]}, {"op": "grayscale"}, {"op": "augment", "copies": 1}]
    gray = Data.objects.create(dataset=dataset, name="g", slug="g", parent=flipped, kind="processed", steps=steps)
    training = make_training(cast, tmp_path, images=gray)
    body = create(cast, training, preprocess=True).json()
    assert body["preprocessing"] == [{"op": "flip_up_down"}, {"op": "grayscale"}]
    assert create(cast, training).json()["preprocessing"] == []


def test_the_same_idempotency_key_makes_one_deployment(cast: Cast, training: Training) -> None:
    fields = {"training": training.pk, "name": "once"}
    first, second = (api(cast.alice).post(URL, fields, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert Deployment.objects.count() == 1


def test_name_and_description_can_be_changed_and_nothing_else(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    answer = api(cast.erin).patch(
        f"{URL}{deployment.pk}/", {"name": "renamed", "description": "new", "status": "active", "bundle_key": "x"}
    )
    assert (answer.json()["name"], answer.json()["description"]) == ("renamed", "new")
    assert answer.json()["status"] == "starting"


def test_stop_start_and_delete(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    url = f"{URL}{deployment.pk}/"
    assert api(cast.erin).post(f"{url}stop/").json()["wanted"] == "stopped"
    started = api(cast.erin).post(f"{url}start/").json()
    assert (started["wanted"], started["status"]) == ("running", "starting")
    assert api(cast.erin).delete(url).status_code == 204
    assert not DeploymentToken.objects.exists()


def test_the_first_token_is_shown_to_editors_only_and_that_is_audited(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    url = f"{URL}{deployment.pk}/token/"
    assert api(cast.bob).get(url).status_code == 403
    assert api(cast.charlie).get(url).status_code == 404
    before = LogEntry.objects.filter(action=LogEntry.Action.ACCESS).count()
    text = api(cast.erin).get(url).json()["token"]
    assert LogEntry.objects.filter(action=LogEntry.Action.ACCESS).count() == before + 1
    stored = DeploymentToken.objects.get()
    assert text not in stored.digest
    assert text.encode() not in bytes(stored.ciphertext)


def test_a_rotated_token_replaces_the_first(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    before = token_of(deployment)
    answer = api(cast.erin).post(f"{URL}{deployment.pk}/rotate-token/").json()["token"]
    assert answer != before
    assert token_of(deployment) == answer
    assert DeploymentToken.objects.count() == 1


def test_named_tokens_are_made_listed_and_revoked(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    url = f"{URL}{deployment.pk}/tokens/"
    made = api(cast.erin).post(url, {"name": "ci", "expires_at": "2099-01-01T00:00:00Z"})
    assert made.status_code == 201
    assert made.json()["token"]
    listed = api(cast.bob).get(url).json()["results"]
    assert [token["name"] for token in listed] == ["default", "ci"]
    assert "token" not in listed[1]
    assert api(cast.erin).post(url, {"name": "old", "expires_at": timezone.now()}).json()["reason"] == "invalid"
    assert api(cast.erin).delete(f"{url}{made.json()['id']}/").status_code == 204
    assert api(cast.bob).get(url).json()["results"][1]["revoked_at"]


def test_strangers_see_nothing_and_viewers_change_nothing(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    url = f"{URL}{deployment.pk}/"
    token = deployment.tokens.get().pk
    writing = [("patch", url), ("delete", url), ("post", f"{url}tokens/"), ("delete", f"{url}tokens/{token}/")]
    writing += [("post", f"{url}{name}/") for name in ("start", "stop", "rotate-token")]
    for method, path in writing:
        assert getattr(api(cast.charlie), method)(path, {"name": "x"}).status_code == 404, path
        assert getattr(api(cast.bob), method)(path, {"name": "x"}).status_code == 403, path
    assert api(cast.charlie).get(url).status_code == 404
    assert api(cast.charlie).get(URL).json()["count"] == 0
    assert api(cast.charlie).post(URL, {"training": deployment.version.training_id, "name": "x"}).status_code == 404
    assert api(cast.bob).post(URL, {"training": deployment.version.training_id, "name": "x"}).status_code == 403


def test_what_is_deployed_is_in_use_and_is_counted(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    for row in (deployment.version.training, deployment.version.training.job, cast.project):
        assert "deploy-cpu" in " ".join(map(str, dependants(row)))
    assert counts([cast.project.pk])["deployments"] == {cast.project.pk: 1}
    Deployment.objects.update(status=Deployment.Status.STOPPED)
    assert not dependants(cast.project)
    assert api(cast.alice).delete(f"/api/v1/projects/{cast.project.pk}/").status_code == 204


def test_a_sample_is_predicted_as_the_rest_api_does(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    data = make_data(make_dataset(cast.project), [("blue.png", png(BLUE))])
    url = f"{URL}{deployment.pk}/sample/"
    waiting = api(cast.bob).post(url, {"data": data.pk})
    assert (waiting.status_code, waiting.json()["reason"]) == (503, "starting")
    with keeper() as servers:
        activate(servers, deployment)
        for asked in ({"data": data.pk}, {"file": data.files.get().pk}):
            body = api(cast.bob).post(url, asked).json()
            assert body["predictions"][0]["label"] == 30
            assert body["file"]["name"] == "blue.png"
            assert api(cast.bob).get(body["file"]["url"]).status_code == 200
    assert api(cast.bob).post(url, {}).status_code == 400
    assert api(cast.charlie).post(url, {"data": data.pk}).status_code == 404


def test_the_list_takes_a_constant_number_of_queries(
    cast: Cast, training: Training, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        deploy(cast, tmp_path, training=training, name=f"d{number}")
    with django_assert_max_num_queries(2):
        assert api(cast.bob).get(URL).json()["count"] == 5
