"""TensorBoard in a browser, from a training's page on: it draws, grows, and asks for nothing that is not the site's."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from django.test import Client
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from dlmodeler_site.work.models import Status
from jobs.watching.boards import boards
from tests.cast import make_cast
from tests.e2e.site import PASSWORD, ROOT, USERNAME, running_site, wait_until
from tests.jobs.test_training_pages import learn, make_training

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    boards.end()


@pytest.mark.django_db(transaction=True)
def test_curves_of_a_running_training_are_drawn_and_grow(live_server: Any, page: Page) -> None:
    cast = make_cast()
    training = make_training(cast, status=Status.RUNNING, attempt=1)
    learn(training, {n: {"loss": 3 / n, "val_loss": 4 / n, "accuracy": 1 - 1 / n} for n in range(1, 11)})
    client = Client()
    client.force_login(cast.bob)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{training.get_absolute_url()}")
    with page.context.expect_page() as opened:
        page.click("text=TensorBoard")
    board = opened.value
    errors: list[str] = []
    elsewhere: list[str] = []
    board.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    board.on("pageerror", lambda error: errors.append(str(error)))
    board.on(
        "response", lambda answer: errors.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    asked_of = (f"{live_server.url}/tensorboard/{training.pk}/", f"{live_server.url}/static/", "data:", "blob:")
    board.on("request", lambda asked: None if asked.url.startswith(asked_of) else elsewhere.append(asked.url))

    expect(board.locator("runs-data-table")).to_contain_text("first/validation", timeout=60_000)
    loss = board.locator("scalar-card", has_text="loss")
    expect(loss.locator("line-chart")).to_be_visible(timeout=30_000)
    expect(loss.locator("scalar-card-data-table")).to_contain_text("10")
    wait_until(lambda: coloured(loss.locator("line-chart")) > 300, timeout_s=20, what="the curve is drawn")
    learn(training, {n: {"loss": 3 / n, "val_loss": 4 / n} for n in range(11, 21)})
    board.wait_for_timeout(2_100)  # what was told so recently is not looked for again
    board.click("app-header-reload button")
    expect(loss.locator("scalar-card-data-table")).to_contain_text("20")

    board.get_by_role("tab", name="HParams").click()
    expect(board.locator("tf-hparams-table-view")).to_contain_text("0.0010000", timeout=30_000)
    assert errors == elsewhere == []


def coloured(chart: Locator) -> int:
    """How many pixels of the chart are neither white nor grey, as its grid and texts are."""
    pixels = np.asarray(Image.open(io.BytesIO(chart.screenshot())).convert("RGB")).astype(int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 60).sum())


A_TRAINING = """
from django.contrib.auth.models import User
from jobs.models import Job, Training
from projects.members import create_project
project = create_project(User.objects.get(), name="Landscapes", description="x", members=[])
job = Job.objects.create(project=project, name="classify", slug="classify", algorithm="image_classification")
Training.objects.create(job=job, name="first", slug="first", status="completed")
"""


@pytest.mark.slow
@pytest.mark.kill
def test_no_process_of_tensorboards_outlives_the_sites_whoever_is_killed(tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        environment = {**os.environ, "DLM_HOME": str(tmp_path)}
        subprocess.run([sys.executable, "manage.py", "shell", "-c", A_TRAINING], cwd=ROOT, env=environment, check=True)
        member = requests.Session()
        log_in = f"{site.address}/accounts/login/"
        member.get(log_in)
        token = next(value for name, value in member.cookies.items() if name.startswith("dlm_csrf"))
        member.post(log_in, {"login": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": token})

        def looked_at() -> psutil.Process | None:
            with contextlib.suppress(requests.RequestException):
                if member.get(f"{site.address}/tensorboard/1/data/runs").status_code == 200:
                    return site.find("jobs.boards")[0]
            return None

        for whom in ("worker", "master", "supervisor"):
            board = wait_until(looked_at, timeout_s=30, what="TensorBoard is there")
            worker = board.parent()
            assert worker
            victim = {"worker": worker, "master": worker.parent(), "supervisor": worker.parent().parent()}[whom]
            victim.kill()
            psutil.wait_procs([board], timeout=10)
            assert not board.is_running(), f"TensorBoard outlives the {whom}"
