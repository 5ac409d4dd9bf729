"""A small life of a site for tests that need one: coloured images, their labels, a training, a deployment."""

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlmodeler_site.demo.life_cycle import Site, upload

COLOURS = {0: (200, 40, 40), 1: (40, 200, 40), 2: (40, 40, 200)}


def coloured_images(folder: Path, *, per_class: int = 20, size_px: int = 64) -> tuple[list[Path], Path]:
    """JPEGs of noisy colours and a csv of their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    paths, rows = [], []
    for label, colour in COLOURS.items():
        for number in range(per_class):
            pixels = np.clip(noise.normal(colour, 30, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{label}-{number}.jpg"
            Image.fromarray(pixels).save(path, quality=90)
            paths.append(path)
            rows.append((path.name, label))
    random.Random(0).shuffle(rows)
    labels = folder / "labels.csv"
    with open(labels, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return paths, labels


def make_job(site: Site, folder: Path, *, per_class: int = 20) -> tuple[dict[str, Any], dict[str, Any]]:
    """A project with images and labels, and a job on them; answers (job, image data)."""
    paths, labels = coloured_images(folder, per_class=per_class)
    project = site.post("/projects/", {"name": "colours", "description": "coloured noise"})
    images = upload(site, project["id"], "images", paths)
    label_data = upload(site, project["id"], "labels", [labels])
    job = site.post(
        "/jobs/",
        {
            "project": project["id"],
            "name": "colours",
            "description": "which colour",
            "kind": "basic",
            "algorithm": "image_classification",
            "inputs": {"images": images["id"], "labels": label_data["id"]},
        },
    )
    return job, images


def start_training(site: Site, job: dict[str, Any], name: str, **hyperparameters: Any) -> dict[str, Any]:
    (training,) = site.post(
        "/trainings/",
        {
            "job": job["id"],
            "instance": {"kind": "cpu", "count": 1},
            "trainings": [{"name": name, "hyperparameters": hyperparameters}],
        },
    )
    return dict(training)


def deploy(site: Site, training: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """An active deployment and its token."""
    made = site.post("/deployments/", {"training": training["id"], "name": name, "description": ""})
    deployment = site.wait(f"/deployments/{made['id']}/")
    return deployment, site.get(f"/deployments/{made['id']}/token/")["token"]
