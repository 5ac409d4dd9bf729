"""The client code of a deployment's page does what it says when it is pasted."""

import ast
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client, override_settings
from django.urls import reverse

from deployments import authentication
from deployments.deploy import create_deployment
from deployments.models import Deployment
from tests.cast import Cast, make_cast, png
from tests.deployments.parts import BLUE, activate, deploy, keeper, make_table_training
from tests.deployments.table_bundles import make_table_bundle

pytestmark = pytest.mark.django_db(transaction=True)
SNIPPET = re.compile(r"<figcaption><span>(.*?)</span>.*?<pre[^>]*><code>(.*?)</code></pre>", re.DOTALL)


@pytest.fixture
def cast() -> Cast:
    authentication._remembered.clear()
    return make_cast()


def snippets(cast: Cast, deployment: Deployment) -> dict[str, str]:
    """Title -> code, with the token that an editor lets the page show."""
    erin = Client()
    erin.force_login(cast.erin)
    text = erin.post(reverse("deployments:token", args=[deployment.pk])).content.decode()
    return {html.unescape(title): html.unescape(code) for title, code in SNIPPET.findall(text)}


def run(title: str, code: str, folder: Path) -> str:
    """What the code prints, run by what would run it."""
    if title == "Python":
        command = [sys.executable, "-c", code]
    elif title == "JavaScript":
        (folder / "predict.mjs").write_text(code)
        command = ["node", "predict.mjs"]
    else:
        command = ["bash", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (title, done.stderr)
    return done.stdout


def outputs(cast: Cast, deployment: Deployment, live_server: Any, folder: Path) -> dict[str, str]:
    with keeper() as servers:
        activate(servers, deployment)
        code = snippets(cast, deployment)
        with override_settings(ROOT_URLCONF="dlmodeler_site.serving_urls"):
            return {title: run(title, text, folder) for title, text in code.items() if can_run(title)}


def can_run(title: str) -> bool:
    return title != "JavaScript" or shutil.which("node") is not None


def test_the_code_for_images_predicts_when_pasted(
    cast: Cast, tmp_path: Path, live_server: Any, settings: LazySettings
) -> None:
    settings.DLM_SERVING_URL = live_server.url
    (tmp_path / "image.jpg").write_bytes(png(BLUE))
    printed = outputs(cast, deploy(cast, tmp_path), live_server, tmp_path)
    assert printed["curl"] == "[30]"
    assert ast.literal_eval(printed["Python"])[0]["label"] == 30
    if can_run("JavaScript"):
        assert "label: 30" in printed["JavaScript"]


def test_the_code_for_rows_predicts_when_pasted(
    cast: Cast, tmp_path: Path, live_server: Any, settings: LazySettings
) -> None:
    settings.DLM_SERVING_URL = live_server.url
    (tmp_path / "rows.csv").write_text("size,colour,fresh\n1,red,yes\n")
    bundle = make_table_bundle(tmp_path / "table")
    deployment = create_deployment(make_table_training(cast, bundle), name="fruit", creator=cast.alice)
    printed = outputs(cast, deployment, live_server, tmp_path)
    assert {"curl", "curl with a csv file", "Python"} <= set(printed)
    predicted = ast.literal_eval(printed["Python"])[0]["label"]
    assert predicted in printed["curl"]
    assert "1,red,yes,apple" in printed["curl with a csv file"]
    if can_run("JavaScript"):
        assert f"label: '{predicted}'" in printed["JavaScript"]
