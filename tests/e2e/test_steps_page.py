"""The list of preprocessing steps in a browser: by mouse, by keyboard, by dragging."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from datasets.models import Recipe
from tests.cast import make_cast, make_data, make_dataset, png

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_steps_are_added_moved_removed_and_previewed(live_server: Any, page: Page) -> None:
    cast = make_cast()
    photos = make_data(make_dataset(cast.project), [("0.png", png((10, 200, 30))), ("1.png", png())])
    Recipe.objects.create(project=cast.project, name="upside down", steps=[{"op": "flip_up_down"}])
    client = Client()
    client.force_login(cast.alice)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{reverse('datasets:preprocess', args=[cast.project.pk])}?data={photos.pk}")
    for operation in ("rotate", "grayscale", "exclude"):
        page.click("#add-step")
        page.click(f"[data-step-add={operation}]")
    expect(page.locator(":focus")).to_have_attribute("name", "step-2-files")
    page.keyboard.type("1.png")
    expect(page.locator("#preview")).to_contain_text("Files: 1 of 2 stay")
    expect(page.locator("#preview img")).to_have_count(2)

    page.locator("[data-step]", has_text="Exclude").locator("[data-step-move='-1']").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert operations(page) == ["exclude", "rotate", "grayscale"]
    assert page.input_value("[name=step-0-files]") == "1.png"
    expect(page.locator("[data-steps-told]")).to_have_text("Now step 1 of 3")
    page.locator("[data-step-grip]").nth(2).drag_to(
        page.locator("[data-step]").first, target_position={"x": 99, "y": 3}
    )
    assert operations(page) == ["grayscale", "exclude", "rotate"]
    page.locator("[data-step-remove]").nth(1).click()
    assert operations(page) == ["grayscale", "rotate"]

    page.click("#recipes > button")
    page.click("text=upside down")
    expect(page.locator("[data-step]")).to_have_count(1)
    assert operations(page) == ["flip_up_down"]


def operations(page: Page) -> list[str]:
    count = page.locator("[data-step]").count()
    return [page.input_value(f"[name=step-{place}-op]") for place in range(count)]
