"""The record of a training, and what differs between trainings."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.circumstances import circumstances
from jobs.models import EpochMetrics, Job, Training
from jobs.records.alignment import aligned, differences
from jobs.records.record import Section, sections
from tests.cast import Cast, make_cast
from tests.jobs.stage import make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db

RECORD: dict[str, Any] = {
    "inputs": {"images": {"id": 1, "name": "photos", "files": 12}},
    "data": {"images": "a" * 64},
    "samples": {"trained_on": 10, "held_out": 2},
    "class_counts": [6, 6],
    "gpus": 0,
    "threads": 2,
    "precision": "float32",
    "kept_epoch": 2,
    "attempts": {
        "1": {
            "code": {"version": "abc123", "sha256": "c" * 64},
            "packages": {"python": "3.11.2", "tensorflow": "2.21.0"},
            "hardware": {"cpu": "A processor", "cores": 2, "memory_gib": 8.0, "os": "Debian"},
            "seconds": {"start": 4.0, "training": 6.0},
            "memory_bytes": 1_000_000_000,
        }
    },
}
ORDER = ["hyperparameters", "results", "data", "run", "code", "hardware", "seed"]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    return make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))


def trained(job: Job, name: str, *, record: dict[str, Any] | None = None, **values: Any) -> Training:
    given = {
        "hyperparameters": {"epochs": 2, "learning_rate": 0.001},
        "result_metrics": {"loss": 0.5, "accuracy": 0.75},
        "seed": 7,
        "status": "completed",
        "labels": [{"label": 0, "class_name": "red"}, {"label": 1, "class_name": ""}],
    }
    training = Training.objects.create(
        job=job, name=name, slug=name, record_of_run={**RECORD, **(record or {})}, **{**given, **values}
    )
    for epoch in (1, 2):
        metrics = {"loss": 1 / epoch, "accuracy": 0.5, "stage": "head", "images_per_second": 10.0 * epoch}
        EpochMetrics.objects.create(
            training=training, epoch=epoch, attempt=1, time=timezone.now(), seconds=3.0, metrics=metrics
        )
    return training


def row(record: tuple[Section, ...], section: str, key: str) -> Any:
    rows = next(each for each in record if each.name == section).rows
    return next(each for each in rows if each.key == key)


def test_record_tells_all_in_its_order(job: Job) -> None:
    record = sections(trained(job, "first"))
    assert [section.name for section in record] == ORDER
    assert row(record, "hyperparameters", "learning_rate").label == "Learning rate"
    assert row(record, "results", "accuracy").value == 0.75
    assert row(record, "data", "images.sha256").value == "a" * 64
    assert row(record, "data", "class_counts").shown == "red: 6, 1: 6"
    assert row(record, "run", "epochs").value == 2
    assert row(record, "run", "epochs.head").value == 6.0
    assert row(record, "run", "images_per_second.head").value == 15.0
    assert row(record, "run", "computing").value == 10.0
    assert row(record, "hardware", "memory_gib").shown == "8.0 GiB"
    assert row(record, "code", "version").value == "abc123"


def test_record_before_the_start_tells_what_it_will_read(job: Job) -> None:
    record = sections(Training.objects.create(job=job, name="first", slug="first", hyperparameters={"epochs": 2}))
    assert [section.name for section in record] == ORDER
    images = job.input_data("images")
    assert images is not None
    assert row(record, "data", "images.sha256").value == images.manifest_sha256
    assert row(record, "data", "images.name").value == "train-image"


def test_what_differs_by_nature_is_no_difference(job: Job) -> None:
    later = {
        "inputs": {"images": {"id": 2, "name": "renamed", "files": 12}},
        "attempts": {"1": {**RECORD["attempts"]["1"], "seconds": {"start": 9.0}, "memory_bytes": 2_000_000_000}},
    }
    pair = [trained(job, "first"), trained(job, "second", record=later, finished_at=timezone.now())]
    assert differences(pair) == ()
    assert any(each.key == "computing" for part in aligned(pair) for each in part.rows)


def test_differences_are_named_and_aligned(job: Job) -> None:
    other = trained(
        job,
        "second",
        record={"attempts": {"1": {**RECORD["attempts"]["1"], "packages": {"tensorflow": "2.22.0"}}}},
        hyperparameters={"epochs": 3, "learning_rate": 0.001, "dropout_rate": 0.5},
        seed=8,
    )
    found = {
        (part.name, each.key): (each.values, each.shown)
        for part in differences([trained(job, "first"), other])
        for each in part.rows
    }
    assert found == {
        ("hyperparameters", "epochs"): ((2, 3), ("2", "3")),
        ("hyperparameters", "dropout_rate"): ((None, 0.5), ("", "0.5")),
        ("code", "python"): (("3.11.2", None), ("3.11.2", "")),
        ("code", "tensorflow"): (("2.21.0", "2.22.0"), ("2.21.0", "2.22.0")),
        ("seed", "seed"): ((7, 8), ("7", "8")),
    }


def test_every_attempt_keeps_what_it_ran_on_and_took(job: Job, tmp_path: Path) -> None:
    training = Training.objects.create(job=job, name="first", slug="first", hyperparameters={"num_types": 2})
    for attempt, version in ((1, "abc"), (2, "def")):
        training.attempt = attempt
        training.prepare(RunFolder.create(tmp_path / str(attempt), {}))
        told = {
            "type": "circumstances",
            "time": 1.0,
            **circumstances(),
            "code": {"version": version, "sha256": version},
        }
        spent = {"type": "spent", "time": 2.0, "seconds": {"start": 2.0}, "memory_bytes": 100 * attempt}
        for _again in range(2):  # events may come again after a crash
            training.collect([told, spent])
    training.refresh_from_db()
    record = sections(training)
    assert row(record, "run", "computing").value == 4.0
    assert row(record, "run", "memory_bytes").value == 200
    assert row(record, "code", "version").value == "def"
    assert row(record, "code", "same_in_all_attempts").value is False
    assert row(record, "data", "labels.files").value == 1


def test_queries_do_not_grow_with_the_trainings(job: Job) -> None:
    for number in range(6):
        trained(job, f"t{number}")

    def queries(count: int) -> int:
        trainings = list(Training.objects.select_related("job")[:count])
        with CaptureQueriesContext(
            connection,
        ) as captured:
            aligned(trainings)
        return len(captured)

    assert queries(6) == queries(2) <= 4


def test_record_speaks_the_language_of_the_reader(job: Job) -> None:
    with translation.override("ko"):
        assert row(sections(trained(job, "first")), "hyperparameters", "learning_rate").label != "Learning rate"
