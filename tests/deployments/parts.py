"""A trained model and its deployment, made without training, and the model servers that the keeper would run."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

from datasets.models import Data
from deployments import authentication
from deployments.deploy import create_deployment
from deployments.models import Deployment, DeploymentVersion
from deployments.servers import ModelServers, Timing
from deployments.sockets import client_of
from deployments.tokens import first_token, show_token
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.models import Job, JobInput, Training
from tests.cast import Cast
from tests.deployments.bundles import make_bundle

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
QUICK = Timing(backoff_first_s=0.05, backoff_max_s=0.1, health_every_s=0.2)


def make_training(
    cast: Cast, folder: Path, *, images: Data | None = None, name: str = "colours", **described: Any
) -> Training:
    """A completed training whose bundle answers 10 for red, 20 for green and 30 for blue images."""
    job, _made = Job.objects.get_or_create(
        project=cast.project, name="classify", slug="classify", algorithm="image_classification"
    )
    if images is not None:
        JobInput.objects.create(job=job, name="images", data=images)
    training = Training.objects.create(
        job=job,
        name=name,
        slug=name,
        status=Status.COMPLETED,
        accuracy=0.84,
        loss=0.47,
        creator=cast.alice,
    )
    training.export_key = f"{training.files_key}/export/1700000000"
    training.save()
    workspace().put_tree(training.export_key, make_bundle(folder / name, **described))
    return training


def make_table_training(cast: Cast, bundle: Path, *, name: str = "fruit", **values: Any) -> Training:
    """A completed training with a bundle of a model that reads tables."""
    job, _made = Job.objects.get_or_create(project=cast.project, name="tables", slug="tables", algorithm="tabular")
    training = Training.objects.create(
        job=job, name=name, slug=name, status=Status.COMPLETED, creator=cast.alice, **values
    )
    training.export_key = f"{training.files_key}/export/1700000000"
    training.save()
    with TemporaryDirectory(dir=bundle.parent) as folder:  # putting takes it away
        workspace().put_tree(training.export_key, Path(copytree(bundle, Path(folder) / "b")))
    return training


def deploy(cast: Cast, folder: Path, **options: Any) -> Deployment:
    training = options.pop("training", None) or make_training(cast, folder)
    return create_deployment(training, name=options.pop("name", "deploy-cpu"), creator=cast.alice, **options)


def deployment_row(training: Training, *, name: str = "deployment", **values: Any) -> Deployment:
    """The rows of a deployment and its version, without a bundle that could be served."""
    deployment = Deployment.objects.create(project=training.job.project, name=name, **values)
    deployment.version = DeploymentVersion.objects.create(
        deployment=deployment, number=1, training=training, bundle_key="a/b"
    )
    deployment.save()
    return deployment


def ask(deployment: Deployment, image: bytes) -> int:
    """The label that the model server of the version that serves gives the image."""
    client = client_of(deployment.pk, deployment.version.number)
    return int(client.predict([image])["predictions"][0]["label"])


def token_of(deployment: Deployment) -> str:
    return show_token(first_token(deployment))


@contextmanager
def keeper(timing: Timing = QUICK) -> Iterator[ModelServers]:
    """The model servers under a keeper that the test lets go round by round."""
    servers = ModelServers(timing)
    try:
        yield servers
    finally:
        servers.close()


def until(servers: ModelServers, reached: Callable[[], bool], *, timeout_s: float = 30) -> None:
    """Let the keeper go round until `reached`."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, list(Deployment.objects.values_list("name", "wanted", "status", "error"))
        servers.reconcile()
        time.sleep(0.05)
    authentication._remembered.clear()


def is_in(deployment: Deployment, status: str) -> bool:
    deployment.refresh_from_db()
    return deployment.status == status


def activate(servers: ModelServers, deployment: Deployment) -> None:
    until(servers, lambda: is_in(deployment, Deployment.Status.ACTIVE))


def spoil(bundle_key: str) -> None:
    """Make the bundle unservable."""
    path = workspace().local_tree(bundle_key) / "bundle.json"
    path.write_text(json.dumps({"schema": 99}))
