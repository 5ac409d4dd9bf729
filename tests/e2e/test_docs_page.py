"""The page of the REST API in a browser, under our content policy."""

from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.cast import make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_the_api_can_be_read_and_tried_without_breaking_the_content_policy(live_server: Any, page: Page) -> None:
    client = Client()
    client.force_login(make_user("alice"))
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}/api/v1/docs/")
    page.locator(".opblock-summary-control", has_text="/algorithms/").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
