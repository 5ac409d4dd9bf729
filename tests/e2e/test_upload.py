"""An upload in a browser goes on after the server died and after its tab was closed; nothing is sent twice."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from dlmodeler_site.demo.life_cycle import Site
from tests.e2e.browser import browser, drop_files, log_in, new_page
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, running_site, wait_until
from tests.e2e.tus import sha256

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(300)]

FILES, LARGE_PX, BYTES_PER_S = 300, 2600, 2_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    home = tmp_path / "home"
    home.mkdir()
    with running_site(home) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """300 small images in two folders, and a large one of 20 MB."""
    folder = tmp_path / "landscapes"
    noise = np.random.default_rng(0)
    for number in range(FILES):
        path = folder / ("forest" if number % 2 else "sea") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    large = Image.fromarray(noise.integers(0, 256, (LARGE_PX, LARGE_PX, 3), dtype=np.uint8))
    large.save(folder / "sea" / "large.bmp")
    (folder / ".DS_Store").write_bytes(b"junk")
    return folder


def slow_down(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": BYTES_PER_S}
    session.send("Network.emulateNetworkConditions", limits)


def note_words(page: Page) -> None:
    """Keeps all that the upload says of itself: what shows for half a second only is missed by looking now and then."""
    page.evaluate(
        """() => {
            const words = document.querySelector("[data-upload-words]");
            window.words = [];
            new MutationObserver(() => window.words.push(words.textContent)).observe(
                words, {childList: true, characterData: true, subtree: true});
        }"""
    )


def has_said(page: Page, words: str) -> bool:
    return any(words in said for said in page.evaluate("window.words"))


def large_part(page: Page) -> float:
    """The share of the large file that its progress bar shows."""
    return float(page.locator("[data-upload-large] progress").first.evaluate("bar => bar.value"))


def test_an_upload_goes_on_after_a_kill_and_a_closed_tab(site: RunningSite, folder: Path) -> None:
    client = Site.login(site.address, USERNAME, PASSWORD)
    project = client.post("/projects/", {"name": "landscapes", "description": "photos"})
    errors: list[str] = []
    with browser() as chromium:
        page = new_page(chromium, errors=errors)
        log_in(page, site.address)
        page.goto(f"{site.address}/projects/{project['id']}/data/new/")
        page.fill("input[name=dataset_name]", "landscapes")
        page.fill("input[name=name]", "photos")
        drop_files(page, folder)
        expect(page.locator("[data-picked-summary]")).to_contain_text(f"{FILES + 1} files")
        expect(page.locator("[data-picked-junk]")).to_contain_text("1")
        page.get_by_label("Folder names are labels").check()
        slow_down(page)
        page.get_by_role("button", name="Upload", exact=True).click()

        wait_until(lambda: large_part(page) > 0.15, timeout_s=30, what="a part of the large file is sent")
        note_words(page)
        for process in site.find("gunicorn", "dlmodeler_site.wsgi"):
            process.kill()
        wait_until(lambda: has_said(page, "The connection is lost."), timeout_s=30, what="the page tells of the loss")
        expect(page.get_by_text("Uploading…")).to_be_visible(timeout=30_000)
        wait_until(lambda: large_part(page) > 0.35, timeout_s=30, what="it goes on by itself")
        context = page.context
        page.close()

        (data,) = client.get(f"/data/?project={project['id']}")["results"]
        assert data["status"] == "uploading"
        (unfinished,) = client.get(f"/data/{data['id']}/uploads/")["results"]
        assert unfinished["name"] == "sea/large.bmp"
        assert unfinished["offset_bytes"] > 0.1 * unfinished["size_bytes"]

        page = context.new_page()
        requests: list[Request] = []
        page.on("request", lambda request: requests.append(request))
        page.goto(f"{site.address}/data/{data['id']}/")
        expect(page.locator("[data-unfinished-list]")).to_contain_text("sea/large.bmp")
        drop_files(page, folder)
        expect(page.get_by_label("Folder names are labels")).to_be_checked()
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.locator(".dlm-status[data-state=completed]").first).to_be_visible(timeout=60_000)

    posts = [request.url for request in requests if request.method == "POST"]
    assert not any(url.endswith("/files/") for url in posts), "the small files were there already"
    first = next(request for request in requests if request.method == "PATCH")
    assert int(first.headers["upload-offset"]) >= unfinished["offset_bytes"]
    ended = client.get(f"/data/{data['id']}/")
    assert (ended["file_count"], ended["rejected_count"]) == (FILES + 1, 0)
    (large,) = client.get(f"/data/{data['id']}/files/?search=large")["results"]
    assert (large["sha256"], large["label"]) == (sha256(folder / "sea" / "large.bmp"), "sea")
    assert [error for error in errors if "Failed to load resource" not in error] == []
