"""`manage.py run`: the whole site in the foreground."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from dlmodeler_site.processes import BASE_DIR


class Command(BaseCommand):
    help = "Run the site in the foreground: web, serving, work queues, model servers."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--prepare", action="store_true", help="only bring database, operator and static files up to date"
        )
        parser.add_argument(
            "--stop-with-parent", action="store_true", help="stop when the process that started this ends"
        )

    def handle(self, *args: Any, prepare: bool, stop_with_parent: bool, **options: Any) -> None:
        if prepare:
            self._prepare()
            return
        os.environ["DLM_HOME"] = str(settings.DLM_HOME)
        os.chdir(BASE_DIR)
        # The supervisor takes this process's place, so that it holds no Django.
        flags = ["--stop-with-parent"] if stop_with_parent else []
        os.execv(sys.executable, [sys.executable, "-m", "dlmodeler_site.supervisor", *flags])

    def _prepare(self) -> None:
        from dlmodeler_site.first_start import ensure_operator

        call_command("migrate", interactive=False, verbosity=1, stdout=self.stdout)
        call_command("createcachetable", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if message := ensure_operator():
            self.stdout.write(message)
