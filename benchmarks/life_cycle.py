"""The whole life cycle on a running site of its own, through the API.

python -m benchmarks.life_cycle [--images DIR --labels CSV --predict DIR]

Upload, flip up-down and grayscale, training with all defaults on the result, deployment with that preprocessing,
every prediction over HTTP. Without folders it takes the digits that the demo draws, and the demo's few epochs.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import requests

from benchmarks.site import Measured, machine, measured_site
from dlmodeler_site.demo.images import DemoImages, digits, given
from dlmodeler_site.demo.life_cycle import upload

STEPS = [{"op": "flip_up_down"}, {"op": "grayscale"}]
MAX_TRAINING_S, MIN_ACCURACY = 45, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of images to train with")
    parser.add_argument("--labels", type=Path, help="csv with a file name and a class in each row")
    parser.add_argument("--predict", type=Path, help="folder of images to predict")
    arguments = parser.parse_args()
    folders = (arguments.images, arguments.labels, arguments.predict)
    if any(folders) and not all(folders):
        parser.error("--images, --labels and --predict go together")
    with measured_site() as measured:
        if all(folders):
            images = given(arguments.images, arguments.labels, arguments.predict)
        else:
            (measured.folder / "digits").mkdir()
            images = digits(measured.folder / "digits")
        return _run(measured, images)


def _run(measured: Measured, images: DemoImages) -> int:
    client, began = measured.client, time.monotonic()
    project = client.post("/projects/", {"name": "life cycle", "description": "benchmark"})
    train = upload(client, project["id"], "train-image", images.train)
    labels = upload(client, project["id"], "train-label", [images.labels])
    upload(client, project["id"], "pred-image", images.predict)
    _tell("upload and inspection", f"{time.monotonic() - began:.1f} s for {len(images.train)} + {len(images.predict)}")

    began = time.monotonic()
    body: dict[str, Any] = {"name": "processed", "description": "", "steps": STEPS}
    made = client.post(f"/data/{train['id']}/preprocess/", body)
    processed = client.wait(f"/data/{made['id']}/")
    _tell("preprocessing", f"{time.monotonic() - began:.1f} s for {processed['file_count']}")

    training, training_s = _train(measured, project["id"], processed, labels, images.hyperparameters)
    epochs = client.get(f"/trainings/{training['id']}/metrics/")
    _tell("training, click to deployable", f"{training_s:.1f} s ({machine()})")
    _tell("epochs with metrics", str(len(epochs)))
    _tell("training accuracy", f"{training['accuracy']:.3f}")

    began = time.monotonic()
    body = {"training": training["id"], "name": "life cycle", "description": "", "preprocess": True}
    deployment = client.wait(f"/deployments/{client.post('/deployments/', body)['id']}/")
    _tell("deployment, click to active", f"{time.monotonic() - began:.1f} s")

    token = client.get(f"/deployments/{deployment['id']}/token/")["token"]
    began = time.monotonic()
    answers = [_predict(deployment["address"], token, path) for path in images.predict]
    _tell("predictions over HTTP", f"{len(answers)} in {time.monotonic() - began:.1f} s")
    is_well = len(epochs) == training["hyperparameters"]["epochs"] and training["accuracy"] >= MIN_ACCURACY
    return 0 if is_well and (training_s <= MAX_TRAINING_S or images.hyperparameters) else 1


def _train(
    measured: Measured, project: int, images: dict[str, Any], labels: dict[str, Any], hyperparameters: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """The completed training, and the seconds from the POST that starts it until it can be deployed."""
    client = measured.client
    job = client.post(
        "/jobs/",
        {
            "project": project,
            "name": "life cycle",
            "description": "",
            "kind": "basic",
            "algorithm": "image_classification",
            "inputs": {"images": images["id"], "labels": labels["id"]},
        },
    )
    began = time.monotonic()
    (training,) = client.post(
        "/trainings/",
        {
            "job": job["id"],
            "instance": {"kind": "cpu", "count": 1},
            "trainings": [{"name": "defaults", "hyperparameters": hyperparameters}],
        },
    )
    ended: dict[str, Any] = client.wait(f"/trainings/{training['id']}/")
    return ended, time.monotonic() - began


def _predict(address: str, token: str, path: Path) -> str:
    with open(path, "rb") as file:
        answer = requests.post(f"{address}/predict", headers={"token": token}, files={"input": file}, timeout=30)
    answer.raise_for_status()
    return answer.text


def _tell(what: str, figure: str) -> None:
    print(f"{what:32}{figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
