"""The whole life cycle in a browser, as the tutorial of the original goes through it: real site, real training."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.e2e import life
from tests.e2e.browser import log_in
from tests.e2e.site import RunningSite, running_site

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


def create_data(page: Page, name: str, files: list[Path]) -> None:
    """Make a dataset with one raw data of these files, and wait until it is inspected."""
    page.get_by_role("link", name="Create data").first.click()
    page.fill("input[name=dataset_name]", name)
    page.fill("input[name=name]", name)
    page.locator("input[data-pick]").first.set_input_files([str(path) for path in files])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".dlm-status[data-state=completed]").first).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Data", exact=True).first.click()


def choose_path(page: Page, label: str, dataset: str, data: str) -> None:
    """Pick a data in a path browser, opening the dataset's folder."""
    picker = page.locator("[data-path-picker]").filter(has=page.locator("label", has_text=label)).first
    picker.locator("button[data-bs-target]").click()
    dialog = picker.get_by_role("dialog")
    dialog.locator("[data-expand]", has_text=dataset).last.click()
    dialog.locator("[data-value]", has_text=data).click()
    dialog.get_by_role("button", name="Select").click()
    expect(dialog).to_be_hidden()


def test_from_the_login_to_a_prediction(page: Page, site: RunningSite, tmp_path: Path) -> None:
    images, labels = life.coloured_images(tmp_path / "train")
    to_predict, _labels = life.coloured_images(tmp_path / "predict", per_class=3)

    page.goto(site.address)
    page.get_by_role("link", name="Get started").click()
    log_in(page, site.address)
    page.get_by_role("link", name="Create project").first.click()
    create = page.get_by_role("button", name="Create")
    page.fill("input[name=name]", "image-classification")
    page.fill("textarea[name=description]", "demo project")
    create.click()

    create_data(page, "train-image", images)
    create_data(page, "train-label", [labels])
    create_data(page, "pred-image", to_predict)

    # preprocessing: flip up-down and grayscale
    page.get_by_role("link", name="pred-image").click()
    page.get_by_role("link", name="pred-image").last.click()
    page.get_by_role("link", name="Preprocess").click()
    for step in ("Flip up-down", "Grayscale"):
        page.get_by_role("button", name="Add a step").click()
        page.get_by_role("button", name=step, exact=True).click()
    page.fill("input[name=name]", "processed-pred-image")
    page.get_by_role("button", name="Start preprocessing").click()
    expect(page.get_by_role("heading", name="processed-pred-image")).to_be_visible()
    expect(page.locator(".dlm-status[data-state=completed]").first).to_be_visible(timeout=30_000)

    # a job and its training
    page.get_by_role("link", name="Jobs").first.click()
    page.get_by_role("link", name="Create job").first.click()
    page.get_by_role("link", name="Choose basic").click()
    page.fill("input[name=name]", "image-classification")
    choose_path(page, "Images", "train-image", "train-image")
    choose_path(page, "Labels", "train-label", "train-label")
    page.fill("textarea[name=class_names]", "0=red\n1=green\n2=blue")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("60 images in 3 classes")).to_be_visible()
    page.get_by_role("link", name="Create training").first.click()
    page.get_by_role("link", name="Start with the defaults instead").click()
    page.get_by_role("textbox", name="epochs").fill("12")
    page.get_by_role("textbox", name="batch_size").fill("10")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("canvas").first).to_be_visible(timeout=60_000)
    expect(page.locator(".dlm-status[data-state=completed]").first).to_be_visible(timeout=120_000)

    # deploy, then predict over REST as any client would
    page.get_by_role("link", name="Deploy", exact=True).click()
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#deployment-status .dlm-status[data-state=active]").first).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Show the token").click()
    curl = page.locator("pre", has_text="curl -H")
    expect(curl).not_to_contain_text("your-token")
    command = curl.inner_text()
    found = re.search(r"'token: ?([^']+)' -X POST (\S+)/predict", command)
    assert found, command
    token, address_text = found.groups()
    with open(to_predict[0], "rb") as image:
        answer = requests.post(f"{address_text}/predict", headers={"token": token}, files={"input": image}, timeout=10)
    assert answer.text == f"[{to_predict[0].name[0]}]"

    # sample prediction and a prediction job
    page.get_by_role("link", name="Create prediction").first.click()
    page.fill("input[name=name]", "first prediction")
    choose_path(page, "Test data", "pred-image", "processed-pred-image")
    page.get_by_role("button", name="Sample prediction").click()
    expect(page.get_by_text(re.compile(r"red|green|blue")).first).to_be_visible()
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".dlm-status[data-state=completed]").first).to_be_visible(timeout=30_000)
    expect(page.locator("[data-lightbox]")).to_have_count(9)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download csv").click()
    rows = Path(download.value.path()).read_text().splitlines()
    assert rows[0] == "file,label,class_name,probability,error"
    assert len(rows) == 10
