"""Requests to a running site, each measured: time to the whole answer, CPU time of the web process, queries."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.site import Measured, cpu_seconds
from tests.e2e.site import PASSWORD, ROOT, USERNAME


@dataclass(frozen=True)
class Ask:
    """A page, or with `form` or `body` (JSON) a POST; {} in path and form values stands for the id of a data."""

    name: str
    path: str
    form: dict[str, str] | None = None
    body: dict[str, Any] | None = None

    def of(self, data: int) -> "Ask":
        """The same for this data."""
        form = {name: value.replace("{}", str(data)) for name, value in self.form.items()} if self.form else self.form
        return Ask(self.name, self.path.replace("{}", str(data)), form, self.body)


@dataclass(frozen=True)
class Took:
    first_ms: float
    median_ms: float
    worst_ms: float
    cpu_ms: float


class Browser:
    """A logged-in session, as a browser has it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        page = self.session.get(f"{address}/accounts/login/", timeout=30)
        page.raise_for_status()
        form = {"login": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": self._token()}
        answer = self.session.post(page.url, data=form, headers={"Referer": page.url}, timeout=30)
        answer.raise_for_status()
        if "/accounts/login/" in answer.url:
            raise SystemExit("the operator could not log in")

    def ask(self, wanted: Ask) -> requests.Response:
        """The whole answer; SystemExit unless it is one that was hoped for."""
        address = self.address + wanted.path
        if wanted.form is None and wanted.body is None:
            answer = self.session.get(address, timeout=120)
        else:
            headers = {"Referer": address, "X-CSRFToken": self._token()}
            answer = self.session.post(address, data=wanted.form, json=wanted.body, headers=headers, timeout=120)
        if answer.status_code != 200:
            raise SystemExit(f"{wanted.path} answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def _token(self) -> str:
        (token,) = [value for name, value in self.session.cookies.items() if "csrf" in name]
        return str(token)


def measure(measured: Measured, browser: Browser, wanted: Ask, *, rounds: int) -> Took:
    """Ask so many times, one after the other."""
    web_s = cpu_seconds(measured.site)["web"]
    times = []
    for _round in range(rounds):
        began = time.monotonic()
        browser.ask(wanted)
        times.append((time.monotonic() - began) * 1000)
    cpu_ms = (cpu_seconds(measured.site)["web"] - web_s) * 1000 / rounds
    return Took(times[0], statistics.median(times), max(times), cpu_ms)


def count_queries(measured: Measured, asked: list[Ask]) -> list[int]:
    """The database queries that each takes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.queries"],
        cwd=ROOT,
        env={**os.environ, "DLM_HOME": str(measured.site.home), "DLM_PORT": str(measured.site.port)},
        input=json.dumps([(each.path, each.form, each.body) for each in asked]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    counted: list[int] = json.loads(done.stdout.splitlines()[-1])
    return counted
