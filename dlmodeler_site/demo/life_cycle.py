"""The life cycle as a client of the REST API sees it, from the project to the predictions."""

import itertools
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from dlmodeler_site.demo.images import DemoImages

POLL_S = 0.5
FILES_A_CALL = 200
FINAL = ("completed", "failed", "cancelled", "active", "stopped")


class LifeCycleError(Exception):
    """A step ended otherwise than it should."""


def checked(answer: requests.Response) -> requests.Response:
    """The answer; where it is a refusal, an HTTPError with what the API says of it."""
    if answer.ok:
        return answer
    try:
        sentence = answer.json()["error"]
    except (ValueError, KeyError, TypeError):  # not from our API: a proxy, a page
        sentence = answer.text[:2000] or answer.reason
    text = f"{answer.request.method} {answer.url}: {answer.status_code}: {sentence}"
    raise requests.HTTPError(text, response=answer)


@dataclass(frozen=True)
class Site:
    """A logged-in client."""

    address: str
    session: requests.Session

    @classmethod
    def login(cls, address: str, username: str, password: str) -> "Site":
        session = requests.Session()
        answer = session.post(
            f"{address}/api/v1/auth/token/", json={"username": username, "password": password}, timeout=30
        )
        session.headers["Authorization"] = f"Token {checked(answer).json()['token']}"
        return cls(address, session)

    def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> Any:
        answer = checked(self.session.post(f"{self.address}/api/v1{path}", json=body, timeout=120, **options))
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        answer = self.session.get(f"{self.address}/api/v1{path}", timeout=30)
        return checked(answer).json()

    def wait(self, path: str) -> Any:
        """Poll the object until its state is final; raise LifeCycleError unless it ended well."""
        while (state := self.get(path))["status"] not in FINAL:
            time.sleep(POLL_S)
        if state["status"] not in ("completed", "active"):
            raise LifeCycleError(f"{path} is {state['status']}: {state['error']}")
        return state


def upload(site: Site, project_id: int, name: str, files: Iterable[Path]) -> Any:
    """Make a dataset with one raw data of these files and wait until they are inspected."""
    dataset = site.post("/datasets/", {"project": project_id, "name": name, "description": f"{name} of the demo"})
    data = site.post("/data/", {"dataset": dataset["id"], "name": name, "description": f"{name} as uploaded"})
    remaining = iter(files)
    while batch := list(itertools.islice(remaining, FILES_A_CALL)):
        with ExitStack() as opened:
            parts = [("files", (path.name, opened.enter_context(open(path, "rb")))) for path in batch]
            for result in site.post(f"/data/{data['id']}/files/", files=parts):
                if result["state"] == "rejected":
                    raise LifeCycleError(f"{result['name']}: {result['error']}")
    site.post(f"/data/{data['id']}/commit/")
    return site.wait(f"/data/{data['id']}/")


def run_life_cycle(site: Site, images: DemoImages, *, say: Callable[[str], object]) -> None:
    """Every step once, each told with what came of it and how long it took."""
    started = time.monotonic()

    def told(text: str) -> None:
        say(f"[{time.monotonic() - started:5.1f} s] {text}")

    project = site.post("/projects/", {"name": "image-classification", "description": "demo project"})
    told(f"project   {project['path']}")
    train = upload(site, project["id"], "train-image", images.train)
    labels = upload(site, project["id"], "train-label", [images.labels])
    predict = upload(site, project["id"], "pred-image", images.predict)
    for data in (train, labels, predict):
        told(f"data      {data['path']}: {data['file_count']} files, {data['rejected_count']} refused")
    processed = site.post(
        f"/data/{predict['id']}/preprocess/",
        {"name": "processed-pred-image", "description": "grayscale", "steps": [{"op": "grayscale"}]},
    )
    processed = site.wait(f"/data/{processed['id']}/")
    told(f"data      {processed['path']}: {processed['file_count']} files made grayscale")
    job = site.post(
        "/jobs/",
        {
            "project": project["id"],
            "name": "image-classification",
            "description": "image classification demo",
            "kind": "basic",
            "algorithm": "image_classification",
            "inputs": {"images": train["id"], "labels": labels["id"]},
        },
    )
    findings = site.get(f"/jobs/{job['id']}/check/")
    told(f"job       {job['name']}: {len(findings)} findings before the start")
    training = train_job(site, job["id"], images.hyperparameters, told)
    deployment = site.post(
        "/deployments/",
        {"training": training["id"], "name": f"deploy-{training['id']}", "description": "model deploy demo"},
    )
    deployment = site.wait(f"/deployments/{deployment['id']}/")
    token = site.get(f"/deployments/{deployment['id']}/token/")["token"]
    told(f"deployed  {deployment['address']}")
    predict_files(deployment["address"], token, images, told)
    prediction_job = site.post(
        "/predictions/",
        {"deployment": deployment["id"], "name": "prediction", "description": "", "data": processed["id"]},
    )
    site.wait(f"/predictions/{prediction_job['id']}/")
    results = site.get(f"/predictions/{prediction_job['id']}/results/?page_size=200")
    told(f"predicted {results['count']} files of {processed['name']} in a prediction job")


def train_job(site: Site, job_id: int, hyperparameters: dict[str, Any], told: Callable[[str], None]) -> Any:
    """Start a training and tell its progress until it is completed."""
    name = f"image-train-{int(time.time())}"
    (training,) = site.post(
        "/trainings/",
        {
            "job": job_id,
            "instance": {"kind": "cpu", "count": 1},
            "trainings": [{"name": name, "hyperparameters": hyperparameters}],
        },
    )
    path, last = f"/trainings/{training['id']}/", 0
    while (state := site.get(path))["status"] not in FINAL:
        epochs = site.get(f"{path}metrics/?since={last}")
        if epochs:
            last = epochs[-1]["epoch"]
            told(f"training  epoch {last}: accuracy {epochs[-1]['accuracy']:.3f}, loss {epochs[-1]['loss']:.3f}")
        time.sleep(2)
    if state["status"] != "completed":
        raise LifeCycleError(f"The training is {state['status']}: {state['error']}")
    told(f"trained   accuracy {state['accuracy']:.3f}, loss {state['loss']:.3f}: {state['model_files'][0]}")
    return state


def predict_files(address: str, token: str, images: DemoImages, told: Callable[[str], None]) -> None:
    """Send each image to the deployment as any client would, and print what it answers."""
    right = 0
    for path in images.predict:
        with open(path, "rb") as file:
            answer = requests.post(f"{address}/predict", headers={"token": token}, files={"input": file}, timeout=30)
        label = checked(answer).text.strip("[]")
        truth = images.truth.get(path.name)
        right += label == truth
        told(f"predict   {path.name}: [{label}]" + (f" (it is {truth})" if truth else ""))
    if images.truth:
        told(f"predict   {right} of {len(images.predict)} right")
