"""The process that deletes for ever is killed at random moments; what it began is gone on with by the next one."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = 20_000

FILL = f"""
from django.contrib.auth.models import User
from datasets import trash
from datasets.models import Data, File
from datasets.versions import create_dataset, create_raw_data
from dlmodeler_site.storage import workspace
from projects.members import create_project
alice = User.objects.create(username="alice")
project = create_project(alice, name="p", description="d")
dataset = create_dataset(project, alice, name="many")
for name, count in (("gone", {FILES}), ("kept", 10)):
    data = create_raw_data(dataset, alice, name=name)
    File.objects.bulk_create(File(data=data, name=f"{{n}}.png", state="ok") for n in range(count))
    folder = workspace().local_tree(data.files_key)
    folder.mkdir(parents=True)
    for n in range(count):
        (folder / f"{{n}}.png").write_bytes(b"x")
trash.delete_data(Data.objects.get(name="gone"), forever=True)
"""
COUNT = """
from datasets.models import Data, File
from dlmodeler_site.storage import workspace
print(Data.everything.count(), File.objects.count(), sum(1 for key in workspace().keys("project")))
"""
PURGE = "print('begun', flush=True); from datasets.purge import purge; purge()"


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_deletion_is_gone_on_with_and_touches_nothing_else(tmp_path: Path) -> None:
    environment = {**os.environ, "DLM_HOME": str(tmp_path)}
    environment.pop("DATABASE_URL", None)

    def manage(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def said(*arguments: str) -> str:
        process = manage(*arguments)
        output, _errors = process.communicate(timeout=100)
        assert process.returncode == 0
        return output.splitlines()[-1] if output else ""

    said("migrate", "-v0")
    said("shell", "-v0", "-c", FILL)
    for _kill in range(4):
        purging = manage("shell", "-v0", "-c", PURGE)
        assert purging.stdout is not None
        assert purging.stdout.readline() == "begun\n"
        time.sleep(random.uniform(0.05, 1))
        purging.kill()
        purging.wait()
    said("shell", "-v0", "-c", PURGE)
    assert said("shell", "-v0", "-c", COUNT) == "1 10 10"
