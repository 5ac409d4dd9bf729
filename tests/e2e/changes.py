"""A deployment on a whole site whose model can be changed without any training."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dlmodeler_site.demo.life_cycle import Site
from tests.e2e.load import Load
from tests.e2e.site import PASSWORD, ROOT, USERNAME, RunningSite, running_site, wait_until

# What each model adds to the label of a colour; the last of them cannot be loaded.
MODELS = {"colours": 0, "other": 1, "broken": 0}
# Models that need no training, put into the site as the site itself would.
MAKE_TRAININGS = """
import json, os, sys, tempfile
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "dlmodeler_site.settings"
import django
django.setup()
from django.contrib.auth.models import User
from projects.members import create_project
from tests.cast import Cast
from tests.deployments.bundles import LABELS
from dlmodeler_site.storage import workspace
from tests.deployments.parts import make_training
operator = User.objects.get(username=sys.argv[1])
project = create_project(operator, name="colours", description="three of them")
cast = Cast(project, *[operator] * 4)
folder = Path(tempfile.mkdtemp(dir=os.environ["DLM_HOME"]))
for name, offset in json.loads(sys.argv[2]).items():
    labels = [{**each, "label": each["label"] + offset} for each in LABELS]
    training = make_training(cast, folder, name=name, labels=labels)
    if name == "broken":
        (workspace().local_tree(training.export_key) / "engine" / "model.xml").write_text("<net/>")
    print(training.pk)
"""


@dataclass
class Deployed:
    """A deployment of one of `MODELS` on a running site, and who changes it."""

    running: RunningSite
    site: Site
    trainings: dict[str, int]
    path: str
    address: str
    token: str

    def now(self) -> dict[str, Any]:
        return dict(self.site.get(self.path))

    def change(self) -> int:
        """Begin to change to the other of the two models that can serve; the number of its version."""
        return self.change_to("other" if self.now()["training_name"] == "colours" else "colours")

    def change_to(self, name: str) -> int:
        """Begin to change the model; the number of its version."""
        return int(self.site.post(f"{self.path}versions/", {"training": self.trainings[name]})["number"])

    def roll_back(self) -> int:
        """Begin to go back; the number of the version that is to serve."""
        return int(self.site.post(f"{self.path}rollback/", {})["next_version"])

    def until_serves(self, number: int) -> None:
        def serves() -> bool:
            now = self.now()
            return (now["version"], now["next_version"], now["status"]) == (number, None, "active")

        wait_until(serves, timeout_s=60, what=f"version {number} serves")

    def server_of(self, number: int) -> psutil.Process:
        """The process of a version, as soon as there is one."""
        name = f"{self.path.strip('/').rpartition('/')[2]}-{number}.sock"
        found = wait_until(
            lambda: self.running.find("-m deployments.modelserver", name), timeout_s=30, what=f"version {number} runs"
        )
        process: psutil.Process = found[0]
        return process

    def load(self, *, clients: int = 8) -> Load:
        """Load on it, once entered."""
        return Load(self.address, self.token, MODELS, clients=clients)


@contextlib.contextmanager
def deployed_on_a_site(home: Path) -> Iterator[Deployed]:
    """A site that is up inside the block, with a deployment that answers."""
    with running_site(home) as running:
        made = subprocess.run(
            [sys.executable, "-c", MAKE_TRAININGS, USERNAME, json.dumps(MODELS)],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "DLM_HOME": str(running.home)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        trainings = dict(zip(MODELS, map(int, made.stdout.split()), strict=True))
        site = Site.login(running.address, USERNAME, PASSWORD)
        made_deployment = {"training": trainings["colours"], "name": "colours", "description": ""}
        deployment = site.post("/deployments/", made_deployment)
        path = f"/deployments/{deployment['id']}/"
        site.wait(path)
        yield Deployed(running, site, trainings, path, deployment["address"], site.get(f"{path}token/")["token"])
