"""Objects chosen in a browser: found, opened, marked, taken back, imported."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from datasets.models import Data
from tests.cast import make_cast
from tests.ceph import Ceph
from tests.datasets.test_connections import make_connection, put_many

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_objects_are_chosen_in_a_tree_and_by_search(live_server: Any, page: Page, ceph: Ceph, settings: Any) -> None:
    settings.DLM_S3_ENDPOINTS = [ceph.endpoint]
    cast, bucket = make_cast(), ceph.new_bucket()
    put_many(ceph, bucket, iter(["photos/sea/1.jpg", "photos/forest/2.jpg", "labels.csv"]))
    put_many(ceph, bucket, (f"many/{number:04}.txt" for number in range(1002)))
    connection = make_connection(cast, ceph, bucket)
    client = Client()
    client.force_login(cast.erin)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{reverse('datasets:create', args=[cast.project.pk])}")
    page.fill("[name=dataset_name]", "typed before")
    page.click("text=From object storage")
    expect(page.locator("[name=dataset_name]")).to_have_value("typed before")
    page.fill("[name=name]", "imported")
    submit = page.locator("button", has_text="Import")
    expect(submit).to_be_disabled()

    page.locator(".dlm-browser").scroll_into_view_if_needed()
    open_folder(page, "ceph")
    open_folder(page, "photos")
    row(page, "sea").click()
    expect(row(page, "sea")).to_have_attribute("aria-selected", "true")
    expect(submit).to_be_enabled()
    open_folder(page, "many")
    expect(page.locator("text=1001.txt")).to_have_count(0)
    page.click("text=Show more")
    expect(page.locator("text=1001.txt")).to_have_count(1)

    page.fill("[name=search]", "lab")
    expect(row(page, "many")).to_have_count(0)
    row(page, "labels.csv").click()
    chosen = page.locator("[data-browser-chosen] li")
    expect(chosen).to_have_text(["ceph/photos/sea/", "ceph/labels.csv"])
    page.fill("[name=search]", "photos/s")
    expect(row(page, "sea")).to_have_attribute("aria-selected", "true")
    chosen.nth(1).locator("button").click()
    expect(chosen).to_have_text(["ceph/photos/sea/"])
    submit.click()
    page.wait_for_url("**/data/*/")
    data = Data.objects.get()
    assert (data.name, data.connection, data.source_keys) == ("imported", connection, ["photos/sea/"])


def row(page: Page, label: str) -> Any:
    return page.locator(".dlm-node-row", has=page.get_by_text(label, exact=True))


def open_folder(page: Page, label: str) -> None:
    row(page, label).scroll_into_view_if_needed()
    row(page, label).locator(".dlm-node-twist").click()
