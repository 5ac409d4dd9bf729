"""`make demo`: starts the site and drives the whole life cycle through its public REST API."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from dlmodeler_site.demo.images import DemoImages, digits, given
from dlmodeler_site.demo.life_cycle import LifeCycleError, Site, run_life_cycle
from dlmodeler_site.processes import BASE_DIR

START_TIMEOUT_S = 120


class Command(BaseCommand):
    help = "Start the site and drive the whole life cycle through its REST API. IMAGES, LABELS, PREDICT, ONCE=1."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        username, password = self._account()
        environment = {**os.environ, "DLM_HOME": str(settings.DLM_HOME)}
        site = subprocess.Popen(
            [sys.executable, "-m", "dlmodeler_site.supervisor", "--stop-with-parent"], env=environment, cwd=BASE_DIR
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _pass_on(site))
        try:
            address = settings.DLM_PUBLIC_URL or f"http://localhost:{settings.DLM_PORT}"
            _wait_until_ready(site, address)
            with tempfile.TemporaryDirectory() as folder:
                run_life_cycle(Site.login(address, username, password), _images(Path(folder)), say=self.stdout.write)
            self.stdout.write(f"\nThe site is up at {address}/ — log in as “{username}”, password “{password}”.")
            if os.environ.get("ONCE") != "1":
                self.stdout.write("It stays up until Ctrl-C.")
                site.wait()
        except (requests.HTTPError, LifeCycleError) as error:
            raise CommandError(str(error)) from error
        finally:
            site.terminate()
            site.wait()

    def _account(self) -> tuple[str, str]:
        """The account that the demo works with: the operator on a first start, else a user of its own."""
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        username, password = "demo", secrets.token_urlsafe(9)
        user_model = get_user_model()
        first = not user_model.objects.filter(is_superuser=True).exists()
        user, _made = user_model.objects.get_or_create(
            username=username, defaults={"is_superuser": first, "is_staff": first}
        )
        user.set_password(password)
        user.save()
        return username, password


def _images(folder: Path) -> DemoImages:
    if images := os.environ.get("IMAGES"):
        labels, predict = os.environ.get("LABELS"), os.environ.get("PREDICT")
        if not labels or not predict:
            raise CommandError("IMAGES needs LABELS (a csv of file name and label) and PREDICT (a folder) beside it.")
        return given(Path(images), Path(labels), Path(predict))
    return digits(folder)


def _wait_until_ready(site: "subprocess.Popen[bytes]", address: str) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if site.poll() is not None:
            raise CommandError("The site did not start; what it said stands above.")
        try:
            if requests.get(f"{address}/api/v1/health/ready/", timeout=5).status_code == 200:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.3)
    raise CommandError(f"The site was not ready after {START_TIMEOUT_S} s; see {settings.DLM_LOGS}.")


def _pass_on(site: "subprocess.Popen[bytes]") -> Any:
    def stop(number: int, _frame: FrameType | None) -> None:
        site.send_signal(number)
        raise SystemExit(130)

    return stop
