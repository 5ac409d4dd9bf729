"""The prediction API, exactly as API.md says it, before a real model server."""

import io
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image

from deployments import authentication
from deployments.deploy import start_deployment, stop_deployment
from deployments.models import Deployment, DeploymentToken, DeploymentVersion
from deployments.modelserver.protocol import MAX_IMAGE_BYTES
from deployments.tokens import create_token, revoke_token, rotate_token
from tests.cast import make_cast, png
from tests.deployments.parts import BLUE, GREEN, RED, activate, deploy, keeper, token_of, until

pytestmark = [pytest.mark.django_db, pytest.mark.urls("dlmodeler_site.serving_urls")]


class Site:
    """A deployment that serves, and a client with its token."""

    def __init__(self, folder: Path) -> None:
        self.cast = make_cast()
        self.deployment = deploy(self.cast, folder)
        self.token = token_of(self.deployment)
        self.client = Client()

    def post(self, what: Any, path: str = "/predict", *, token: str | None = None, **options: Any) -> Any:
        authentication._remembered.clear()
        headers = {"token": self.token if token is None else token, **options.pop("headers", {})}
        return self.client.post(f"/d/{self.deployment.pk}{path}", what, headers=headers, **options)

    def send(self, *images: bytes, path: str = "/predict", **options: Any) -> Any:
        files = [named(image) for image in images]
        return self.post({"input": files}, path, **options)


def named(content: bytes) -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = "image.jpg"
    return file


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with keeper() as servers:
        activate(servers, site.deployment)
        yield site


def test_one_image_answers_its_class_as_text(site: Site) -> None:
    answer = site.send(png(RED))
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content == b"[10]"
    assert answer["X-Request-Id"]


def test_several_images_answer_in_order(site: Site) -> None:
    assert site.send(png(GREEN), png(RED), png(BLUE), png(RED)).content == b"[20, 10, 30, 10]"


@pytest.mark.parametrize("asked", [{"headers": {"Accept": "application/json"}}, {"path": "/predict?format=json"}])
def test_json_on_request_has_names_and_probabilities(site: Site, asked: dict[str, Any]) -> None:
    answer = site.send(png(RED), png(BLUE), **asked)
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    first, second = body["predictions"]
    assert (first["label"], first["class_name"], second["label"], second["class_name"]) == (10, "red", 30, None)
    assert first["probability"] > 0.99
    assert first["top"][0]["label"] == 10
    assert body["model"] == {
        "name": "colours",
        "algorithm": "image_classification",
        "version": 1,
        "deployment": site.deployment.pk,
    }


def test_top_k(site: Site) -> None:
    answer = site.send(png(RED), path="/predict?format=json&top_k=2")
    assert len(answer.json()["predictions"][0]["top"]) == 2
    for wrong in ("0", "4", "x", "-1"):
        answer = site.send(png(RED), path=f"/predict?top_k={wrong}")
        assert answer.status_code == 400
        assert answer.json()["reason"] == "invalid_top_k"


def test_a_raw_image_body_works(site: Site) -> None:
    assert site.post(png(GREEN), content_type="image/png").content == b"[20]"
    assert site.post(png(GREEN), content_type="application/octet-stream").content == b"[20]"


def test_tensorflow_servings_form_works(site: Site) -> None:
    pixels = [[[0, 0, 255]] * 4] * 4
    body = json.dumps({"instances": [pixels]})
    for path in (":predict", "/predict"):
        answer = site.post(body, path, content_type="application/json")
        assert answer.json()["predictions"][0]["label"] == 30
    assert site.send(png(RED), path=":predict").json()["reason"] == "unsupported_media_type"


def test_metadata(site: Site) -> None:
    answer = site.client.get(f"/d/{site.deployment.pk}/metadata", headers={"token": site.token})
    assert answer.json()["input"] == {"kind": "image", "shape": [None, 16, 16, 3], "dtype": "uint8"}
    assert answer.json()["labels"][0] == {"label": 10, "class_name": "red"}
    assert answer.json()["model"]["version"] == 1


def test_both_headers_carry_the_token(site: Site) -> None:
    assert site.send(png(RED), token="", headers={"Authorization": f"Bearer {site.token}"}).content == b"[10]"


def test_a_wrong_empty_or_another_deployments_token_is_401_and_so_is_a_session(site: Site, tmp_path: Path) -> None:
    other = deploy(site.cast, tmp_path, training=site.deployment.version.training, name="other")
    site.client.force_login(site.cast.alice)
    for wrong in ("", "wrong", "\udcff", token_of(other)):
        answer = site.send(png(RED), token=wrong)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["reason"] == "unauthorized"
    assert site.client.post("/d/999999/predict", headers={"token": site.token}).status_code == 401


def test_a_revoked_rotated_or_expired_token_is_refused_within_a_second(site: Site) -> None:
    second, text = create_token(site.deployment, name="ci", creator=None)
    expiring, expiring_text = create_token(
        site.deployment, name="short", creator=None, expires_at=timezone.now() + timedelta(hours=1)
    )
    assert site.send(png(RED), token=text).content == b"[10]"
    revoke_token(second)
    rotate_token(site.deployment, user=None)
    DeploymentToken.objects.filter(pk=expiring.pk).update(expires_at=timezone.now())
    time.sleep(1)
    for refused in (text, site.token, expiring_text):
        answer = site.client.post(
            f"/d/{site.deployment.pk}/predict", {"input": named(png(RED))}, headers={"token": refused}
        )
        assert answer.status_code == 401


def test_requests_need_no_query_while_the_token_is_remembered(
    site: Site, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REMEMBERED_S", 60)
    with django_assert_num_queries(1):
        for _ in range(3):
            url = f"/d/{site.deployment.pk}/predict"
            assert site.client.post(url, png(RED), content_type="image/png", headers={"token": site.token}).content
    authentication._remembered.clear()


def test_the_last_use_of_a_token_is_noted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uses = authentication.LastUses(authentication._write_last_uses)  # one that has seen no token of another test
    monkeypatch.setattr(authentication, "last_uses", uses)
    site.send(png(RED))
    uses.flush()
    assert site.deployment.tokens.get().last_used_at is not None


def test_what_is_no_image_says_what_was_received(site: Site) -> None:
    text = site.send(b"this is text, not an image")
    assert text.status_code in (400, 415)
    assert isinstance(text.json()["error"], str)
    whole = png(RED, size=(200, 200))
    assert site.send(png(RED), whole[: len(whole) // 2]).json()["details"]["index"] == 1
    assert site.send(b"").json()["reason"] == "no_image"
    assert "@" in site.post({"input": "photo.jpg"}).json()["error"]
    assert "picture" in site.post({"picture": named(png(RED))}).json()["error"]
    form = site.post("a=1", content_type="application/x-www-form-urlencoded")
    assert form.status_code == 415
    assert "application/x-www-form-urlencoded" in form.json()["error"]
    assert site.post(b"--x\r\n", content_type="multipart/form-data").json()["reason"] == "malformed_body"
    assert site.post("{", content_type="application/json").json()["reason"] == "malformed_body"


def test_too_large_is_413(site: Site) -> None:
    large = b"x" * (MAX_IMAGE_BYTES + 1)
    for answer in (site.send(large), site.post(large, content_type="image/png")):
        assert answer.status_code == 413
        assert answer.json()["details"]["maximum_bytes"] == MAX_IMAGE_BYTES


def test_a_decompression_bomb_is_refused(site: Site) -> None:
    bomb = io.BytesIO()
    Image.new("L", (10_000, 10_000)).save(bomb, "PNG")
    assert site.send(bomb.getvalue()).status_code == 413


def test_explain_is_answered_with_501(site: Site) -> None:
    answer = site.send(png(RED), path="/predict?explain=1")
    assert (answer.status_code, answer.json()["reason"]) == (501, "explain_unavailable")


def test_other_methods_and_addresses_are_errors_in_json(site: Site) -> None:
    base = f"/d/{site.deployment.pk}"
    assert site.client.get(f"{base}/predict", headers={"token": site.token}).status_code == 405
    for path in ("", "/", "/predict/", "/nothing"):
        assert site.client.get(f"{base}{path}").json()["reason"] == "not_found"
    for path in ("/", "/d", "/d/x/predict", "/favicon.ico", "/api/v1/projects/"):
        answer = site.client.post(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
        assert answer.json()["error"].startswith(f"There is no {path}. ")
    malformed = site.client.get("/", headers={"host": "no host"})
    assert (malformed.status_code, malformed.json()["reason"]) == (400, "bad_request")


def test_a_deployment_that_does_not_run_is_503_with_the_reason(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with keeper() as servers:
        starting = site.send(png(RED))
        assert (starting.status_code, starting.json()["reason"]) == (503, "starting")
        assert int(starting["Retry-After"]) >= 1
        activate(servers, site.deployment)
        stop_deployment(site.deployment)
        stopping = site.send(png(RED))
        assert (stopping.status_code, stopping.json()["reason"]) == (503, "stopped")
        assert int(stopping["Retry-After"]) >= 1
        until(servers, lambda: not Deployment.objects.filter(status="active").exists())
        start_deployment(site.deployment)
        activate(servers, site.deployment)
        assert site.send(png(RED)).content == b"[10]"
    Deployment.objects.update(status=Deployment.Status.ACTIVE)
    gone = site.send(png(RED))
    assert (gone.status_code, gone.json()["reason"]) == (503, "not_ready")
    assert gone["Retry-After"]


def test_the_connected_preprocessing_is_applied(tmp_path: Path) -> None:
    site = Site(tmp_path)
    # Only the left, red part of a mostly blue image remains in sight.
    DeploymentVersion.objects.update(preprocess=True, steps=[{"op": "translate", "x_percent": 70, "y_percent": 0}])
    image = Image.new("RGB", (40, 40), BLUE)
    image.paste(RED, (0, 0, 12, 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    with keeper() as servers:
        activate(servers, site.deployment)
        assert site.send(buffer.getvalue()).content == b"[10]"


@pytest.mark.django_db(transaction=True)
def test_the_originals_client_runs_unchanged(tmp_path: Path, live_server: Any, shared_data: Path) -> None:
    site = Site(tmp_path)
    client = (shared_data / "intel-demo" / "api_prediction.py").read_text()
    client = client.replace("root_path = '.'", f"root_path = {str(tmp_path / 'photos')!r}")
    client = client.replace("'token': ''", f"'token': {site.token!r}")
    client = client.replace("post(''", f"post('{live_server.url}/d/{site.deployment.pk}/predict'")
    # Its label names are for the classes 0 to 5, and it takes the first digit.
    (tmp_path / "photos").mkdir()
    for name, colour in (("a.png", RED), ("b.png", GREEN), ("c.png", BLUE)):
        (tmp_path / "photos" / name).write_bytes(png(colour))
    (tmp_path / "client.py").write_text(client)
    with keeper() as servers:
        activate(servers, site.deployment)
        done = run([sys.executable, tmp_path / "client.py"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["a.png: buildings", "b.png: glacier", "c.png: street"], done.stderr
