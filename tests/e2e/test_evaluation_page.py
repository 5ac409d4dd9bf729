"""The evaluation of a real little training in a browser: from the empty page to the images behind a cell."""

import csv
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dlmodeler_site.demo.life_cycle import Site, upload
from tests.e2e import life
from tests.e2e.browser import browser, log_in, new_page, no_overflow
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, running_site

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(400)]

CLASSES = {"0": "red", "1": "green", "2": "blue"}
HELD_OUT = 30
MISLABELLED = 5  # of each class, so that there are mistakes
# What is the same in every language: what users gave names to, and names of formats and engines.
NAMES = re.compile(
    r"DL Modeler|REST API|OpenVINO|openvino|TensorBoard|F1|f32|bf16|[Cc]sv|English|operator|[kMG]B|\d-\d+\.jpg"
)
TEXTS = """() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (text && parent.checkVisibility() && !parent.closest("script, style, code, bdi, canvas")) found.push(text);
  }
  for (const name of ["title", "aria-label", "placeholder", "alt"])
    for (const element of document.querySelectorAll(`[${name}]`))
      if (element.checkVisibility()) found.push(element.getAttribute(name).trim());
  return found;
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def training(site: RunningSite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Just begun, on images of which some have the label of the next class."""
    client = Site.login(site.address, USERNAME, PASSWORD)
    folder = tmp_path_factory.mktemp("images")
    images, right = life.coloured_images(folder)
    wrong = folder / "some-wrong.csv"
    with open(right, newline="") as source, open(wrong, "w", newline="") as target:
        for name, label in csv.reader(source):
            is_wrong = int(name.partition("-")[2].removesuffix(".jpg")) < MISLABELLED
            csv.writer(target).writerow([name, (int(label) + 1) % 3 if is_wrong else label])
    project = client.post("/projects/", {"name": "colours", "description": "tinted noise"})
    data = {name: upload(client, project["id"], name, files) for name, files in (("pixels", images), ("tags", [wrong]))}
    upload(client, project["id"], "right-tags", [right])
    body = {"project": project["id"], "name": "colours", "description": "which tint", "kind": "basic"}
    body |= {"algorithm": "image_classification", "class_names": CLASSES}
    job = client.post("/jobs/", {**body, "inputs": {"images": data["pixels"]["id"], "labels": data["tags"]["id"]}})
    return life.start_training(client, job, "tinted", epochs=25, batch_size=10, validation_split=0.5)


def choose(page: Page, label: str, dataset: str) -> None:
    picker = page.locator("[data-path-picker]").filter(has=page.locator("label", has_text=label)).first
    picker.locator("button[data-bs-target]").click()
    dialog = picker.get_by_role("dialog")
    dialog.locator("[data-expand]", has_text=re.compile(rf"^\s*{dataset}\b")).last.click()
    dialog.locator("[data-value]", has_text=re.compile(rf"^\s*{dataset}\b")).last.click()
    dialog.get_by_role("button", name="Select").click()
    expect(dialog).to_be_hidden()


def shown_losses(page: Page) -> list[float]:
    facts = page.locator("#evaluation-samples [data-facts]").evaluate_all("all => all.map(e => e.dataset.facts)")
    return [float(re.search(r"([\d.]+)$", each)[1]) for each in facts]  # type: ignore[index]


def test_from_no_evaluation_to_the_images_behind_a_cell(
    page: Page, site: RunningSite, training: dict[str, Any]
) -> None:
    log_in(page, site.address)
    page.goto(f"{site.address}/trainings/{training['id']}/evaluation/")
    expect(page.get_by_text("No evaluation yet")).to_be_visible()
    matrix = page.locator(".dlm-matrix")
    expect(matrix).to_be_visible(timeout=180_000)  # without a click, at the end of the training
    expect(page.get_by_text("Measured on data that was held out")).to_be_visible()

    counts = [int(text) for text in matrix.locator("td:not(.dlm-matrix-sum)").all_inner_texts()]
    assert (len(counts), sum(counts)) == (9, HELD_OUT)
    wrong = HELD_OUT - sum(counts[::4])
    assert wrong, "with so many wrong labels there are mistakes"
    samples = page.locator("#evaluation-samples")
    expect(samples.get_by_role("heading", name="Worst mistakes")).to_be_visible()
    expect(samples.locator(".dlm-thumb")).to_have_count(wrong)
    assert shown_losses(page) == sorted(shown_losses(page), reverse=True)
    assert all(" → " in text.replace("\n", " ") for text in samples.locator(".dlm-answer").all_inner_texts())

    # a cell beside the diagonal: these images and no others
    place = next(place for place, count in enumerate(counts) if count and place % 4)
    true, predicted = (list(CLASSES.values())[index] for index in divmod(place, 3))
    matrix.locator("td:not(.dlm-matrix-sum)").nth(place).locator("a").click()
    expect(samples.get_by_role("heading", name=f"True: {true}, predicted: {predicted}")).to_be_visible()
    expect(samples.locator(".dlm-thumb")).to_have_count(counts[place])
    for answer in samples.locator(".dlm-answer").all():
        expect(answer).to_have_attribute("title", f"{true}, taken for {predicted}")
    samples.get_by_role("link", name="Show the worst mistakes").click()
    expect(samples.get_by_role("heading", name="Worst mistakes")).to_be_visible()

    # what spoke for the answer, over the image and enlarged
    heat = samples.locator(".dlm-heat").first
    expect(heat).to_be_hidden()
    samples.get_by_text("What spoke for it").click()
    expect(heat).to_be_visible()
    page.wait_for_function("document.querySelector('.dlm-heat').naturalWidth > 0")
    samples.locator("[data-heat-src]").first.click()
    enlarged = page.locator("[data-lightbox-image]").first
    expect(enlarged).to_have_attribute("src", re.compile("/heatmaps/"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("table").filter(has_text="Recall").get_by_role("row")).to_have_count(1 + len(CLASSES))


def test_other_data_is_evaluated_from_the_page(page: Page, site: RunningSite, training: dict[str, Any]) -> None:
    log_in(page, site.address)
    page.goto(f"{site.address}/trainings/{training['id']}/evaluation/")
    page.get_by_role("link", name="Evaluate on other data").click()
    choose(page, "Images", "pixels")
    choose(page, "Labels", "right-tags")
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator(".dlm-matrix")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Measured on pixels.")).to_be_visible()
    sums = [int(text) for text in page.locator(".dlm-matrix-sum").all_inner_texts()]
    assert sums == [20, 20, 20]
    expect(page.locator(".dlm-evaluation-choice")).to_have_count(2)
    if page.get_by_text("Not one mistake").count() == 0:
        assert shown_losses(page) == sorted(shown_losses(page), reverse=True)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_all_korean(site: RunningSite, training: dict[str, Any], width: int) -> None:
    client = Site.login(site.address, USERNAME, PASSWORD)
    client.wait(f"/trainings/{training['id']}/")
    errors: list[str] = []
    texts: dict[str, set[str]] = {}
    with browser() as chromium:
        for locale in ("en-US", "ko-KR"):
            page = new_page(chromium, width=width, locale=locale, errors=errors)
            log_in(page, site.address)
            page.goto(f"{site.address}/trainings/{training['id']}/evaluation/")
            expect(page.locator(".dlm-matrix")).to_be_visible()
            texts[locale] = set(page.evaluate(TEXTS))
            assert no_overflow(page)
    given = re.compile(r"\b(colours|pixels|tags|tinted|red|green|blue)\b")
    untranslated = {
        text
        for text in texts["en-US"] & texts["ko-KR"]
        if re.search(r"[A-Za-z]{2}", given.sub("", NAMES.sub("", text)))
    }
    assert untranslated == set()
    assert errors == []
