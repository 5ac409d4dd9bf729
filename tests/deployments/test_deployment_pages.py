"""The pages of deployments and prediction jobs."""

from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from datasets.models import Data
from deployments.models import Deployment, PredictionJob
from deployments.modelserver.protocol import MAX_IMAGE_BYTES
from dlmodeler_site.sentences import Sentence, to_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.deployments.bundles import add_explainer
from tests.deployments.parts import BLUE, RED, activate, deploy, keeper, make_training, token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def deployment(cast: Cast, tmp_path: Path) -> Deployment:
    return deploy(cast, tmp_path, description="model deploy demo")


def client(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(user: Any, name: str, *args: int, query: str = "") -> str:
    answer = client(user).get(reverse(f"deployments:{name}", args=args) + query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_the_list_shows_what_is_deployed_and_polls_only_while_something_changes(
    cast: Cast, deployment: Deployment
) -> None:
    text = page(cast.bob, "list", cast.project.pk)
    for shown in ("deploy-cpu", "model deploy demo", f"http://testserver:8001/d/{deployment.pk}", "colours", "0.84"):
        assert shown in text
    assert "every 2s" in text
    assert reverse("deployments:stop", args=[deployment.pk]) not in text  # Bob is a viewer
    assert reverse("deployments:stop", args=[deployment.pk]) in page(cast.erin, "list", cast.project.pk)
    Deployment.objects.update(status=Deployment.Status.ACTIVE)
    assert "every 2s" not in page(cast.bob, "list", cast.project.pk)
    assert "deploy-cpu" not in page(cast.bob, "list", cast.project.pk, query="?search=other")
    assert "deploy-cpu" in page(cast.bob, "list", cast.project.pk, query="?search=colours&sort=-accuracy")


def test_the_number_of_queries_does_not_grow_with_the_list(
    cast: Cast, deployment: Deployment, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    for number in range(8):
        deploy(cast, tmp_path, training=deployment.version.training, name=f"d{number}")
    erin = client(cast.erin)
    with django_assert_max_num_queries(8):
        assert erin.get(reverse("deployments:list", args=[cast.project.pk])).status_code == 200


def test_a_model_is_deployed_from_its_training(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    url = reverse("deployments:create", args=[cast.project.pk])
    form = client(cast.erin).get(f"{url}?training={training.pk}").content.decode()
    assert "deploy-colours" in form
    assert training.model_files[0] in form
    answer = client(cast.erin).post(
        url, {"name": "deploy-cpu", "description": "", "instance": "cpu:1", "model_file": training.model_files[0]}
    )
    deployment = Deployment.objects.get()
    assert answer["Location"] == reverse("deployments:detail", args=[deployment.pk])
    assert deployment.creator == cast.erin


def test_create_keeps_what_was_typed_and_marks_the_wrong_field(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    url = reverse("deployments:create", args=[cast.project.pk])
    typed = {"name": "Typed name", "instance": "cpu:1", "model_file": training.model_files[0]}
    for wrong, shown in (
        ({"model_file": "/mnt/project/x/saved_model.pb"}, "There is no such model file"),
        ({"preprocess": "on"}, "There is no preprocessing to connect"),
        ({"instance": "gpu:1"}, "is-invalid"),
    ):
        text = client(cast.erin).post(url, {**typed, **wrong}).content.decode()
        assert "Typed name" in text
        assert shown in text
    assert not Deployment.objects.exists()


def test_the_browser_leads_from_the_job_to_the_model_file(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    top = page(cast.erin, "browse", cast.project.pk)
    assert f"/mnt/{cast.project.files_key}/model" in top
    assert "classify" in top
    assert "colours" in page(cast.erin, "browse", cast.project.pk, query=f"?job={training.job_id}")
    assert training.model_files[0] in page(cast.erin, "browse", cast.project.pk, query=f"?training={training.pk}")


def test_the_preprocessing_of_the_chosen_model_is_shown(cast: Cast, tmp_path: Path) -> None:
    dataset = make_dataset(cast.project)
    turned = Data.objects.create(
        dataset=dataset, name="t", slug="t", kind="processed", steps=[{"op": "rotate", "degrees": 90}]
    )
    training = make_training(cast, tmp_path, images=turned)
    text = page(cast.erin, "preprocessing-fragment", cast.project.pk, query=f"?model_file={training.model_files[0]}")
    assert "Rotate: Angle 90 °" in text


def test_details_have_the_originals_facts_but_not_the_token(cast: Cast, deployment: Deployment) -> None:
    token = token_of(deployment)
    text = page(cast.erin, "detail", deployment.pk)
    for shown in (
        "model deploy demo",
        "(?, 16, 16, 3)",
        "uint8",
        "Accuracy 0.84 · Loss 0.47",
        f"http://testserver:8001/d/{deployment.pk}/predict",
        "input=@image.jpg",
        deployment.version.model_file,
    ):
        assert shown in text, shown
    assert token not in text


def test_page_and_api_tell_the_engine_that_runs_and_why_it_is_another_one(cast: Cast, deployment: Deployment) -> None:
    version = deployment.version
    version.bundle_info["engine"]["precision"] = "bf16"
    version.save()
    assert "openvino (bf16)" in page(cast.erin, "detail", deployment.pk)
    why = to_json(Sentence("the CPU is %(name)s", name="old"))
    version.bundle_info["running"] = {"name": "openvino", "precision": "f32", "fallback": why}
    version.save()
    assert "openvino (f32): the CPU is old" in page(cast.erin, "detail", deployment.pk)
    told = api(cast.erin).get(f"/api/v1/deployments/{deployment.pk}/").json()["engine"]
    assert (told["precision"], told["fallback"]) == ("f32", "the CPU is old")


def test_the_token_is_shown_on_a_click_filled_into_the_examples_and_audited(cast: Cast, deployment: Deployment) -> None:
    url = reverse("deployments:token", args=[deployment.pk])
    assert client(cast.bob).post(url).status_code == 403
    assert client(cast.erin).get(url).status_code == 405
    answer = client(cast.erin).post(url)
    assert LogEntry.objects.filter(action=LogEntry.Action.ACCESS, actor=cast.erin).exists()
    assert answer["Cache-Control"] == "no-store"
    token = token_of(deployment)
    assert f"curl -H &#x27;token: {token}&#x27;" in answer.content.decode() or (
        f"curl -H 'token: {token}'" in answer.content.decode()
    )
    rotated = client(cast.erin).post(reverse("deployments:rotate-token", args=[deployment.pk])).content.decode()
    assert token not in rotated
    assert token_of(deployment) in rotated


def test_named_tokens_are_shown_once_and_revoked(cast: Cast, deployment: Deployment) -> None:
    made = client(cast.erin).post(reverse("deployments:token-create", args=[deployment.pk]), {"name": "nightly"})
    token = deployment.tokens.get(name="nightly")
    assert "nightly" in made.content.decode()
    assert "shown only once" in made.content.decode()
    client(cast.erin).post(reverse("deployments:token-revoke", args=[deployment.pk, token.pk]))
    token.refresh_from_db()
    assert token.revoked_at


def test_start_stop_edit_and_delete(cast: Cast, deployment: Deployment) -> None:
    erin = client(cast.erin)
    erin.post(reverse("deployments:stop", args=[deployment.pk]))
    deployment.refresh_from_db()
    assert deployment.is_stopping
    assert "Stopping" in page(cast.bob, "status-fragment", deployment.pk)
    erin.post(reverse("deployments:start", args=[deployment.pk]))
    erin.post(reverse("deployments:edit", args=[deployment.pk]), {"name": "renamed", "description": "d"})
    deployment.refresh_from_db()
    assert (deployment.is_wanted, deployment.name) == (True, "renamed")
    answer = erin.post(reverse("deployments:delete", args=[deployment.pk]))
    assert answer["Location"] == reverse("deployments:list", args=[cast.project.pk])
    assert not Deployment.objects.exists()


def test_a_failed_deployment_says_why_and_stops_polling(cast: Cast, deployment: Deployment) -> None:
    Deployment.objects.update(status=Deployment.Status.FAILED, error="The bundle is gone")
    text = page(cast.bob, "status-fragment", deployment.pk)
    assert "The bundle is gone" in text
    assert "hx-trigger" not in text


def test_a_prediction_is_made_after_a_look_at_samples(cast: Cast, deployment: Deployment) -> None:
    data = make_data(make_dataset(cast.project), [("blue.png", png(BLUE))])
    erin = client(cast.erin)
    assert "No data chosen" in page(cast.erin, "prediction-create", deployment.pk)
    assert "blue.png" in page(cast.erin, "sample-fragment", deployment.pk, query=f"?data={data.pk}")
    sample = {"file": data.files.get().pk}
    url = reverse("deployments:sample-prediction", args=[deployment.pk])
    assert "is starting" in erin.post(url, sample).content.decode()
    with keeper() as servers:
        activate(servers, deployment)
        assert "[30]" in erin.post(url, sample).content.decode()

    create = reverse("deployments:prediction-create", args=[deployment.pk])
    wrong = erin.post(create, {"name": "Typed name", "description": "", "data": "999999"}).content.decode()
    assert "Typed name" in wrong
    assert "This data cannot be predicted here" in wrong
    erin.post(create, {"name": "pred-demo", "description": "", "data": data.pk})
    job = PredictionJob.objects.get()
    text = page(cast.bob, "prediction", job.pk)
    assert "Waiting for a" in text
    assert "every 2s" in text
    run_work(job)
    done = client(cast.bob).get(reverse("deployments:progress-fragment", args=[job.pk]))
    assert done["HX-Refresh"] == "true"
    assert "hx-trigger" not in done.content.decode()


def test_an_image_is_tried_on_the_page_by_whoever_sees_it(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    deployment = deploy(cast, tmp_path, training=training)
    bob, url = client(cast.bob), reverse("deployments:image-prediction", args=[deployment.pk])

    def tried(content: bytes | None, **fields: str) -> str:
        sent = {} if content is None else {"input": SimpleUploadedFile("image.png", content)}
        return bob.post(url, {**sent, **fields}).content.decode()

    assert url in page(cast.bob, "detail", deployment.pk)
    assert client(cast.charlie).post(url).status_code == 404
    assert "is starting" in tried(png(BLUE))
    with keeper() as servers:
        activate(servers, deployment)
        assert "[30]" in tried(png(BLUE))
        assert "No image was received" in tried(None)
        assert "not an image" in tried(b"not one at all")
        assert "too large" in tried(bytes(MAX_IMAGE_BYTES + 1))
        unexplained = tried(png(BLUE), explain="on")
        assert "[30]" in unexplained
        assert "cannot explain its answers" in unexplained
    add_explainer(workspace().local_tree(deployment.version.bundle_key))
    with keeper() as servers:
        activate(servers, deployment)
        assert "data:image/png;base64," in tried(png(BLUE), explain="on")


def test_results_are_shown_filtered_and_downloaded(
    cast: Cast, deployment: Deployment, django_assert_max_num_queries: Any
) -> None:
    files = [("red.png", png(RED)), ("blue.png", png(BLUE)), *((f"{n}.png", png(RED)) for n in range(6))]
    data = make_data(make_dataset(cast.project), files, labels={"red.png": "10", "blue.png": "20"})
    job = PredictionJob.objects.create(
        deployment=deployment, data=data, name="p", slug="p", version=deployment.version, status=Status.QUEUED
    )
    run_work(job)
    text = page(cast.bob, "prediction", job.pk)
    assert "red.png" in text
    assert "blue.png" in text
    assert "50.00 %" in text  # accuracy
    assert "There are no heat maps now" in text
    assert f"{reverse('deployments:results-fragment', args=[job.pk])}?true=20&amp;predicted=30" in text
    assert "blue.png" not in page(cast.bob, "prediction", job.pk, query="?predicted=10")
    for cell in ("?true=20&predicted=30", "?wrong=1", "?wrong=1&view=list"):
        found = page(cast.bob, "results-fragment", job.pk, query=cell)
        assert "blue.png" in found
        assert "red.png" not in found
    assert "received “x”" in page(cast.bob, "results-fragment", job.pk, query="?true=x").replace("&quot;", "")
    bob = client(cast.bob)
    with django_assert_max_num_queries(14):
        bob.get(reverse("deployments:prediction", args=[job.pk]))
    assert "p" in page(cast.bob, "predictions", deployment.pk)
    csv = client(cast.bob).get(reverse("deployments:results-csv", args=[job.pk]))
    assert b"red.png,10,red," in csv.getvalue()


def test_every_model_is_in_the_admin_and_is_not_edited_there(cast: Cast, deployment: Deployment) -> None:
    cast.alice.is_superuser = cast.alice.is_staff = True
    cast.alice.save()
    admin = client(cast.alice)
    for name in ("deployment", "deploymenttoken", "predictionjob", "prediction"):
        assert admin.get(reverse(f"admin:deployments_{name}_changelist")).status_code == 200
        assert admin.get(reverse(f"admin:deployments_{name}_add")).status_code == 403
    detail = admin.get(reverse("admin:deployments_deploymenttoken_change", args=[deployment.tokens.get().pk]))
    assert detail.status_code == 200
    assert deployment.tokens.get().digest not in detail.content.decode()
    admin.post(
        reverse("admin:deployments_deployment_changelist"),
        {"action": "stop", "_selected_action": [deployment.pk]},
    )
    deployment.refresh_from_db()
    assert not deployment.is_wanted
