"""The files of a data in a browser: enlarged and walked by keys, chosen, changed into a new version."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from datasets.models import Data
from tests.cast import Cast, make_cast, make_data, make_dataset, png
from tests.e2e.browser import no_overflow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    files = [(f"{n:02}.png", png((n * 9, 90, 0), size=(40 + n, 30))) for n in range(14)]
    labels = {name: "sea" for name, _content in files}
    return make_data(make_dataset(cast.project), [*files, ("copy.png", files[3][1]), ("x.jpg", b"no")], labels=labels)


@pytest.fixture
def opened(live_server: Any, page: Page, cast: Cast, photos: Data) -> Page:
    """The files of the data, ten on a page."""
    client = Client()
    client.force_login(cast.erin)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{reverse('datasets:data-files', args=[photos.pk])}?per_page=10&sort=name&state=ok")
    return page


def test_keys_walk_through_enlarged_files_and_over_the_borders_of_pages(opened: Page) -> None:
    page, name = opened, opened.locator("[data-lightbox-name]")
    page.locator("[data-lightbox]").nth(8).focus()
    page.keyboard.press("Enter")
    expect(name).to_have_text("08.png")
    expect(page.locator("[data-lightbox-facts]")).to_contain_text("48 × 30")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(name).to_have_text("10.png")
    assert "page=2" in page.url
    page.keyboard.press("x")
    page.keyboard.press("ArrowLeft")
    expect(name).to_have_text("09.png")
    expect(page.locator("[data-lightbox-image]")).to_have_js_property("complete", True)
    for _press in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('dialog, body').tagName") in ("DIALOG", "BODY")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(":focus")).to_have_attribute("data-name", "09.png")
    expect(page.locator("[data-mend-selected]")).to_have_text("1 selected")


def test_swipes_walk_through_enlarged_files(opened: Page) -> None:
    page, name = opened, opened.locator("[data-lightbox-name]")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("[data-lightbox]").nth(8).click()
    expect(name).to_have_text("08.png")
    for x, y, shown in ((-150, 10, "09.png"), (-150, -20, "10.png"), (30, 0, "10.png"), (60, 200, "10.png")):
        swipe(page, x, y)
        expect(name).to_have_text(shown)
    swipe(page, 150, 0)
    expect(name).to_have_text("09.png")


def swipe(page: Page, x: int, y: int) -> None:
    """With one finger from the middle of the window."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, share in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0)):
        point = {"x": 195 + share * x, "y": 400 + share * y}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_files_are_chosen_changed_and_made_a_new_version(opened: Page, photos: Data) -> None:
    page, boxes = opened, opened.locator("[data-choose]")
    boxes.nth(1).click()
    boxes.nth(3).click(modifiers=["Shift"])
    expect(page.locator("[data-mend-selected]")).to_have_text("3 selected")
    page.click("[data-mend-do=exclude]")
    expect(page.locator("[data-change=excluded]")).to_have_count(3)
    page.click("a[rel=next]")
    page.wait_for_url("**page=2**")
    boxes.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-mend-selected]")).to_have_text("2 selected")
    page.click("[data-bs-target='#relabel']")
    page.fill("#relabel-to", "lake")
    page.keyboard.press("Enter")
    expect(page.locator("[data-change=relabelled] [data-label-shown]").first).to_have_text("lake")
    expect(page.locator("[data-mend-summary]")).to_have_text("3 excluded · 2 relabelled")
    page.reload()
    expect(page.locator("[data-mend-summary]")).to_have_text("3 excluded · 2 relabelled")

    page.goto(page.url.partition("/files/")[0] + "/explore/")
    page.click("text=Keep one of each")
    expect(page.locator("#mend-body")).to_contain_text("of 15 files stay")
    expect(page.locator("#id_name")).to_have_value("photos-2")
    page.click("[data-mend-remove='2']")
    expect(page.locator("#mend-body")).to_contain_text("12 of 15 files stay")
    expect(page.locator("[data-mend-remove]")).to_have_count(2)
    page.fill("#id_name", "mended")
    page.click("text=Make the new data")
    page.wait_for_url("**/data/*/")
    made = Data.objects.get(name="mended")
    assert page.url.endswith(reverse("datasets:data", args=[made.pk]))
    assert (made.parent, made.creator.username if made.creator else "") == (photos, "erin")
    assert [step["op"] for step in made.steps] == ["exclude", "relabel"]
    assert made.steps[0]["files"] == ["01.png", "02.png", "03.png"]
    page.go_back()
    expect(page.locator("[data-mend]")).to_be_hidden()


def test_all_that_match_are_chosen_and_everything_fits_a_phone(opened: Page) -> None:
    page = opened
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("[data-choose-matching]")
    expect(page.locator("[data-mend-selected]")).to_have_text("15 selected")
    page.click("[data-mend-do=exclude]")
    page.click("[data-mend-do=make]")
    expect(page.locator("#mend-body")).to_contain_text("0 of 15 files stay")
    expect(page.locator("[name=make]")).to_be_disabled()
    assert no_overflow(page)
