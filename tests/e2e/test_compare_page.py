"""Trainings compared in a browser: ticked in a list that is swapped all the time, then seen over each other."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from dlmodeler_site.work.models import Status
from jobs.models import Training
from tests.cast import make_cast
from tests.e2e.site import wait_until
from tests.jobs.test_compare import finished
from tests.jobs.test_training_pages import learn, make_training

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_trainings_ticked_while_the_list_is_swapped_are_seen_over_each_other(live_server: Any, page: Page) -> None:
    cast = make_cast()
    first = finished(cast, "first", epochs=3, accuracy=0.8, loss=0.5)
    running = make_training(cast, "running", status=Status.RUNNING)
    validated = {n: {"loss": 2 / n, "accuracy": n / 20, "val_loss": 3 / n, "val_accuracy": n / 30} for n in range(1, 5)}
    learn(running, validated)
    client = Client()
    client.force_login(cast.bob)
    cookies = [{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.goto(f"{live_server.url}{reverse('jobs:detail', args=[first.job.pk])}")

    compare = page.locator("#compare button")
    page.check(f"#compare-{first.pk}")
    expect(compare).to_be_disabled()
    page.focus(f"#compare-{running.pk}")
    swapped(page, "#job-trainings")
    expect(page.locator(f"#compare-{first.pk}")).to_be_checked()
    page.keyboard.press("Space")  # the focus is still there
    expect(page.locator(f"#compare-{running.pk}")).to_be_checked()
    expect(compare).to_have_text("Compare (2)")
    compare.click()

    expect(page.locator("[data-curves-item]")).to_have_text(["running", "first"])
    expect(page.locator(".dlm-curves-panel")).to_have_count(2)
    wait_until(lambda: points(page), timeout_s=10, what="the curves are drawn")
    assert names(page) == ["running · Training", "running · Validation", "first · Training"]
    expect(page.locator(".dlm-curves-key").first).to_have_text("TrainingValidation")
    # What is new of the running one appears, and the table stays where it was scrolled to.
    page.evaluate("document.querySelector('.dlm-compare').scrollTop = 20")
    learn(running, {5: {"loss": 0.1, "accuracy": 0.9, "val_loss": 0.2, "val_accuracy": 0.8}})
    wait_until(lambda: points(page)[0][-1][0] == 5, timeout_s=10, what="the new epoch is drawn")
    swapped(page, "#compare-table")
    assert page.evaluate("document.querySelector('.dlm-compare').scrollTop") == 20

    page.select_option("[name=parts]", "validation")
    wait_until(lambda: len(points(page)) == 2, timeout_s=10, what="only validation is drawn")
    assert names(page) == ["running · Validation", "first · Training"], "what has no validation is not left out"
    page.uncheck(f"[data-curves-run='{first.pk}']")
    wait_until(lambda: len(points(page)) == 1, timeout_s=10, what="one training is drawn")

    page.check("#compare-only")
    expect(page.locator("#compare-table tr:not([data-differs]) th[scope=row]")).to_have_count(0)
    expect(page).to_have_url(re.compile("&only=differences$"))
    Training.objects.filter(pk=running.pk).update(status=Status.COMPLETED)
    expect(page.locator("#compare-table:not([hx-trigger])")).to_be_visible()
    page.reload()
    expect(page.locator("#compare-only")).to_be_checked()


CHART = "window.echarts?.getInstanceByDom(document.querySelector('.dlm-curves-canvas'))?.getOption()?.series ?? []"


def names(page: Page) -> Any:
    """The names of the lines of the first graph."""
    return page.evaluate(f"({CHART}).map((line) => line.name)")


def points(page: Page) -> Any:
    """The points of the lines of the first graph."""
    return page.evaluate(f"({CHART}).map((line) => line.data)")


def swapped(page: Page, selector: str) -> None:
    """Wait until the element has been replaced by a poll."""
    page.evaluate("(selector) => { document.querySelector(selector).seenBefore = true; }", selector)
    is_new = "(selector) => document.querySelector(selector) && !document.querySelector(selector).seenBefore"
    wait_until(lambda: page.evaluate(is_new, selector), timeout_s=10, what=f"{selector} is swapped")
