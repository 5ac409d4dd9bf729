"""Debian's Chromium, driven by Playwright; nothing it does leaves the machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.site import PASSWORD, USERNAME

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    chromium = shutil.which("chromium")
    assert chromium, "Debian's chromium is missing: `make setup-dev` installs it"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


def new_page(running: Browser, *, width: int = 1440, locale: str = "en-US", errors: list[str] | None = None) -> Page:
    """A page whose console errors, content policy violations and failed requests are added to `errors`."""
    context: BrowserContext = running.new_context(viewport={"width": width, "height": 900}, locale=locale)
    page = context.new_page()
    if errors is not None:
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "response", lambda answer: errors.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None
        )
    return page


def log_in(page: Page, address: str, *, username: str = USERNAME, password: str = PASSWORD) -> None:
    page.goto(f"{address}/accounts/login/")
    page.fill("input[name=login]", username)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/projects/**")


def no_overflow(page: Page) -> Any:
    """Whether the page is no wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


def drop_files(page: Page, *paths: Path) -> None:
    """Drop files and folders onto the page's upload, as a file manager does."""
    zone = page.locator(".dlm-drop")
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    assert box
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **at})
