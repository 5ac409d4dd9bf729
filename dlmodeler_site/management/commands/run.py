"""`manage.py run`: the whole site in the foreground."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from dlmodeler_site.first_start import ensure_operator
from dlmodeler_site.processes import BASE_DIR
from dlmodeler_site.static_files import collect_if_changed
from dlmodeler_site.storage import WorkspaceUnavailable, workspace


class Command(BaseCommand):
    help = "Run the site in the foreground: web, serving, work queues, model servers."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--prepare", action="store_true", help="only bring database, static files and operator up to date"
        )

    def handle(self, *args: Any, prepare: bool, **options: Any) -> None:
        if prepare:
            self._prepare()
            return
        os.environ["DLM_HOME"] = str(settings.DLM_HOME)
        os.chdir(BASE_DIR)
        # The supervisor takes this process's place, so that it holds no Django.
        os.execv(sys.executable, [sys.executable, "-m", "dlmodeler_site.supervisor"])

    def _prepare(self) -> None:
        """Every start waits for this: what is up to date costs nothing."""
        try:
            workspace().check(writing=True)
        except WorkspaceUnavailable:  # which has said why
            sys.exit(1)
        executor = MigrationExecutor(connection)
        if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write(f"Bringing the database up to date: {len(plan)} migrations.")
            call_command("migrate", interactive=False, verbosity=0)
            call_command("createcachetable", verbosity=0)
        collect_if_changed()
        if message := ensure_operator():
            self.stdout.write(message)
