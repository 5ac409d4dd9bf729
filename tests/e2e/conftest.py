"""A failing browser test leaves a picture of its page in build/e2e/."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.e2e.browser import browser, new_page

PICTURES = Path(__file__).resolve().parents[2] / "build" / "e2e"
failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[failed] = report.failed
    return report


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a browser of its own; an error on its console or a broken content policy fails the test."""
    errors: list[str] = []
    with browser() as chromium:
        opened = new_page(chromium, errors=errors)
        opened.set_default_timeout(20_000)
        yield opened
        if request.node.stash.get(failed, False):
            PICTURES.mkdir(parents=True, exist_ok=True)
            opened.screenshot(path=PICTURES / f"{request.node.name}.png", full_page=True)
    assert errors == []
