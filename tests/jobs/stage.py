"""What the tests of jobs start from: images of two classes, their labels, a job."""

import io
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from datasets.models import Data
from jobs.models import Job, JobInput
from projects.models import Project
from tests.cast import make_data, make_dataset, png

COLOURS = {"0": (200, 30, 30), "1": (30, 30, 200)}


def image_names(count: int = 12) -> list[str]:
    return [f"{number}.png" for number in range(count)]


def label_of(name: str) -> str:
    return str(int(name.partition(".")[0]) % 2)


def make_images(project: Project, names: Iterable[str] | None = None, **options: object) -> Data:
    """Red images of class 0 and blue ones of class 1, each a little different."""
    files = [
        (name, png(COLOURS[label_of(name)], size=(40, 30 + int(name.partition(".")[0]))))
        for name in names or image_names()
    ]
    return make_data(make_dataset(project, "train-image"), files, name="train-image", **options)  # type: ignore[arg-type]


def drawn(seed: object) -> Image.Image:
    """A coarse pattern by chance, that no other seed's looks like."""
    coarse = np.random.default_rng(list(str(seed).encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, subsampling=0)
    return content.getvalue()


def make_patterns(project: Project, names: Iterable[str] | None = None) -> Data:
    """As `make_images`, but no image looks like another."""
    files = [(name, jpeg(drawn(name))) for name in names or image_names()]
    return make_data(make_dataset(project, "train-image"), files, name="train-image")


def make_csv(project: Project, *contents: str) -> Data:
    """A data with one label csv for each text: labels-0.csv, labels-1.csv, ..."""
    files = [(f"labels-{number}.csv", content.encode()) for number, content in enumerate(contents)]
    return make_data(make_dataset(project, "train-label"), files, name="train-label")


def right_csv(names: Iterable[str] | None = None) -> str:
    return "".join(f"{name},{label_of(name)}\n" for name in names or image_names())


def make_job(
    project: Project, images: Data, labels: Data | None = None, *, class_names: Mapping[str, str] | None = None
) -> Job:
    job = Job.objects.create(
        project=project,
        name="classify",
        slug="classify",
        algorithm="image_classification",
        class_names=dict(class_names or {}),
    )
    for name, data in (("images", images), ("labels", labels)):
        if data is not None:
            JobInput.objects.create(job=job, name=name, data=data)
    return job
