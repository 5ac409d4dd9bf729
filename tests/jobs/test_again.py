"""Running a training again exactly."""

import io
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from jobs.algorithms.circumstances import circumstances
from jobs.models import Job, Training
from jobs.records.again import changes, outcome
from tests.cast import Cast, api, make_cast, make_data, make_dataset, run_work
from tests.jobs.stage import image_names, label_of, make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db
URL = "/api/v1/trainings/"
SMALL = {
    "epochs": 2,
    "batch_size": 4,
    "image_size": 64,
    "validation_split": 0.25,
    "dropout_rate": 0.3,
    "flip_horizontal": True,
    **{f"filter_num{block}": 4 for block in range(1, 7)},
}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    return make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))


def started(cast: Cast, job: Job, name: str = "first", **hyperparameters: Any) -> Training:
    given = {"job": job.pk, "trainings": [{"name": name, "hyperparameters": {**SMALL, **hyperparameters}}]}
    answer = api(cast.erin).post(URL, given)
    assert answer.status_code == 201, answer.json()
    return Training.objects.get(pk=answer.json()[0]["id"])


def begun(cast: Cast, job: Job, name: str = "first", **hyperparameters: Any) -> Training:
    """As after its end, without having trained."""
    training = started(cast, job, name, **hyperparameters)
    training.record_of_run = {"data": {key: data.manifest_sha256 for key, data in job.data_by_input().items()}}
    training.status = "completed"
    training.save()
    return training


def again(user: Any, training: Training, **given: Any) -> Any:
    return api(user).post(f"{URL}{training.pk}/again/", given)


def page_of(user: Any, url: str) -> str:
    client = Client()
    client.force_login(user)
    return client.get(url).text


def losses(training: Training) -> list[dict[str, float]]:
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    rows = training.epoch_metrics.order_by("epoch").values_list("metrics", flat=True)
    return [{name: row[name] for name in names} for row in rows]


def noise(seed: int) -> bytes:
    """A picture like no other."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


@pytest.fixture
def noise_job(cast: Cast) -> Job:
    """Images of which some can be held out: no two of them look alike."""
    names = image_names()
    files = [(name, noise(seed)) for seed, name in enumerate(names)]
    labels = {name: label_of(name) for name in names}
    return make_job(cast.project, make_data(make_dataset(cast.project), files, labels=labels))


@pytest.mark.slow
def test_the_second_run_comes_to_the_numbers_of_the_first(cast: Cast, noise_job: Job) -> None:
    first = run_work(started(cast, noise_job))
    answer = again(cast.erin, first)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["again_of"] == first.pk
    second = run_work(Training.objects.get(pk=answer.json()["id"]))
    assert second.name == "first-again"
    assert (second.seed, second.hyperparameters) == (first.seed, first.hyperparameters)
    assert len(losses(first)) == 2
    assert losses(second) == losses(first)
    assert second.result_metrics == first.result_metrics
    came_to = outcome(second)
    assert came_to is not None
    assert came_to.is_same
    assert came_to.others == ()
    assert changes(second) == ()
    record = api(cast.bob).get(f"{URL}{first.pk}/record/").json()
    rows = {(part["name"], row["key"]): row["value"] for part in record["sections"] for row in part["rows"]}
    assert rows["data", "samples.trained_on"] == 9
    assert rows["data", "class_counts"] == [6, 6]
    assert rows["seed", "seed"] == first.seed
    assert rows["run", "memory_bytes"] > 100e6
    spent = [rows["run", f"seconds.{name}"] for name in ("decoding", "start", "training", "export", "measuring")]
    assert min(spent) >= 0
    assert sum(spent) <= rows["run", "computing"] <= rows["run", "run_time"]
    assert rows["code", "tensorflow"].startswith("2.")
    assert rows["hardware", "cores"] >= 1


def test_name_is_derived_from_the_original_or_given(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    assert again(cast.erin, training).json()["name"] == "first-again"
    assert again(cast.erin, training).json()["name"] == "first-again-2"
    third = again(cast.erin, begun(cast, job, "other-again")).json()
    assert third["name"] == "other-again-2"
    assert again(cast.erin, training, name="mine").json()["name"] == "mine"
    refused = again(cast.erin, training, name="mine")
    assert (refused.status_code, refused.json()["reason"]) == (409, "name_exists")
    assert again(cast.erin, training, name="x" * 101).status_code == 400
    assert again(cast.erin, begun(cast, job, "x" * 100)).status_code == 201


def test_recorded_seed_is_used_and_not_a_new_one(cast: Cast, job: Job) -> None:
    for name, given in (("drawn", {}), ("given", {"seed": 5})):
        training = begun(cast, job, name, **given)
        repeated = again(cast.erin, training).json()
        assert repeated["seed"] == training.seed
        assert repeated["hyperparameters"] == training.hyperparameters


def test_what_was_recorded_under_older_defaults_is_used_as_it_is(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    older = {**training.hyperparameters, "patience": 99, "learning_rate": 0.02}
    del older["label_smoothing"]  # which did not exist yet
    Training.objects.filter(pk=training.pk).update(hyperparameters=older)
    training.refresh_from_db()
    repeated = again(cast.erin, training).json()["hyperparameters"]
    assert repeated == {**older, "label_smoothing": 0.0}
    assert [(row.key, row.values) for row in changes(training)] == [("label_smoothing", (None, 0.0))]


def test_recorded_value_that_is_not_allowed_any_more_is_named(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    Training.objects.filter(pk=training.pk).update(hyperparameters={**training.hyperparameters, "image_size": 8})
    refused = again(cast.erin, training)
    assert (refused.status_code, refused.json()["reason"]) == (400, "invalid_hyperparameters")
    assert "received 8" in refused.json()["error"]


def test_changed_data_and_what_never_began_are_refused(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    url = reverse("jobs:training-again", args=[training.pk])
    assert 'name="name" value="first-again"' in page_of(cast.erin, url)
    job.inputs.filter(name="labels").delete()
    refused = again(cast.erin, training)
    assert (refused.status_code, refused.json()["reason"]) == (409, "data_changed")
    asked = page_of(cast.erin, url)
    assert "data_changed" in asked
    assert "<form" not in asked
    unbegun = Training.objects.create(job=job, name="new", slug="new")
    assert again(cast.erin, unbegun).json()["reason"] == "wrong_state"


def test_dialog_tells_what_is_not_as_it_was(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    url = reverse("jobs:training-again", args=[training.pk])
    assert "What it ran on is not recorded" in page_of(cast.erin, url)
    now = circumstances()
    training.record_of_run["attempts"] = {"1": now}
    training.save()
    assert "are as they were" in page_of(cast.erin, url)
    # The same code under another commit is the same code.
    now["code"]["version"] = "0123456789ab"
    training.save()
    assert changes(training) == ()
    now["code"]["sha256"] = "0" * 64
    now["packages"]["keras"] = "2.0.0"
    now["hardware"]["cores"] = 1000
    training.save()
    assert [row.key for row in changes(training)] == ["version", "sha256", "keras", "cores"]
    asked = page_of(cast.erin, url)
    for shown in ("0123456789ab", "2.0.0", "1000"):
        assert shown in asked


def test_page_tells_what_is_run_again_and_whether_it_came_to_the_same(cast: Cast, job: Job) -> None:
    first = begun(cast, job)
    second = Training.objects.get(pk=again(cast.erin, first).json()["id"])
    page = page_of(cast.bob, second.get_absolute_url())
    assert first.get_absolute_url() in page
    assert "its result" not in page
    assert first.name in page_of(cast.bob, f"{second.get_absolute_url()}?tab=record")
    assert second.get_absolute_url() in page_of(cast.bob, f"{first.get_absolute_url()}?tab=record")
    for training in (first, second):
        training.status, training.result_metrics = "completed", {"loss": 0.25, "accuracy": 0.5}
        training.save()
    assert "to the last digit" in page_of(cast.bob, second.get_absolute_url())
    second.result_metrics = {"loss": 0.2500001, "accuracy": 0.5}
    second.save()
    page = page_of(cast.bob, second.get_absolute_url())
    assert "Loss 0.25 → 0.25 (+1e-07)." in page
    assert "Accuracy 0.5" not in page
    first.delete()
    assert "Runs again" not in page_of(cast.bob, second.get_absolute_url())


def test_record_tab_shows_all_sections_and_its_json(cast: Cast, job: Job) -> None:
    training = begun(cast, job)
    page = page_of(cast.bob, f"{training.get_absolute_url()}?tab=record")
    for shown in ("Hyperparameters", "Filters of block 6", "SHA-256 of the manifest", f"{URL}{training.pk}/record/"):
        assert shown in page
    record = api(cast.bob).get(f"{URL}{training.pk}/record/").json()
    assert [section["name"] for section in record["sections"]][:3] == ["hyperparameters", "results", "data"]
    assert "&quot;sections&quot;" in page
    assert 'data-bs-target="#run-again"' not in page  # Bob views
    assert 'data-bs-target="#run-again"' in page_of(cast.erin, training.get_absolute_url())
