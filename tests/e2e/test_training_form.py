"""The form of several trainings in a browser: each column shows what applies to its network."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.cast import make_cast
from tests.jobs.stage import make_csv, make_images, make_job, right_csv

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_each_column_shows_and_starts_with_what_applies_to_its_network(live_server: Any, page: Page) -> None:
    cast = make_cast()
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))
    client = Client()
    client.force_login(cast.erin)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{reverse('jobs:training-create', args=[job.pk])}")

    def field(column: int, name: str) -> Any:
        return page.locator(f"[name=form-{column}-{name}]")

    field(0, "network").select_option("original")
    expect(field(0, "filter_num1")).to_be_visible()
    expect(field(0, "fine_tune_blocks")).to_be_hidden()
    field(0, "batch_size").fill("7")
    page.click("text=Augmentation")
    expect(field(0, "rotation")).to_be_visible()
    field(0, "network").select_option("transfer")
    expect(field(0, "filter_num1")).to_be_hidden()
    expect(field(0, "rotation")).to_be_visible()  # both networks learn from varied images
    expect(field(0, "fine_tune_blocks")).to_be_visible()
    transfer_epochs = field(0, "epochs").input_value()
    assert transfer_epochs != "100"
    expect(field(0, "batch_size")).to_have_value("7")  # what was typed stays

    page.click("[data-columns-add]")
    expect(field(1, "network")).to_have_value("transfer")
    expect(field(1, "epochs")).to_have_value(transfer_epochs)
    field(1, "network").select_option("original")
    expect(field(1, "epochs")).to_have_value("100")
    expect(field(1, "filter_num1")).to_be_visible()
    expect(field(0, "filter_num1")).to_be_hidden()
