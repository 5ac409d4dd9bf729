"""What a training would take: probed for real, asked once, kept with the training."""

from typing import Any

import pytest
from django.urls import reverse

from jobs.models import Estimate, Job, Training
from tests.cast import Cast, api, make_cast, run_work
from tests.jobs.stage import image_names, make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db
SMALL = {"epochs": 2, "batch_size": 4, "image_size": 64, "validation_split": 0.25} | {
    f"filter_num{block}": 2 for block in range(1, 7)
}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    return make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))


def ask(cast: Cast, job: Job, **hyperparameters: Any) -> Any:
    return api(cast.erin).post(f"/api/v1/jobs/{job.pk}/estimate/", {"hyperparameters": hyperparameters})


def start(cast: Cast, job: Job, name: str, **hyperparameters: Any) -> Training:
    wanted = {"job": job.pk, "trainings": [{"name": name, "hyperparameters": hyperparameters}]}
    answer = api(cast.erin).post("/api/v1/trainings/", wanted)
    assert answer.status_code == 201, answer.json()
    return Training.objects.get(name=name)


def test_a_probe_foretells_time_and_memory_and_the_training_keeps_it(cast: Cast, job: Job) -> None:
    answer = ask(cast, job, **SMALL)
    assert (answer.status_code, answer.json()["status"], answer.json()["seconds"]) == (202, "queued", None)
    assert ask(cast, job, **SMALL, seed=7).json()["id"] == answer.json()["id"]
    estimate = run_work(Estimate.objects.get())
    assert estimate.status == "completed", estimate.error
    told = api(cast.bob).get(f"/api/v1/estimates/{estimate.pk}/").json()
    assert 2 < told["seconds"] < 200
    assert 1e8 < told["memory_bytes"] < 1e10
    assert {"decoding", "start", "training", "export", "measuring"} <= set(told["parts"])
    assert told["seconds"] == pytest.approx(sum(told["parts"].values()), abs=0.2)
    longer = told["parts"]["training"]
    assert ask(cast, job, **SMALL).json()["id"] == estimate.pk
    kept = start(cast, job, "foretold", **SMALL).estimate
    assert kept == {"seconds": told["seconds"], "memory_bytes": told["memory_bytes"]}
    assert start(cast, job, "other", **{**SMALL, "epochs": 3}).estimate == {}
    assert longer > 0


def test_an_estimate_is_of_the_data_that_it_was_made_with(cast: Cast, job: Job) -> None:
    first = ask(cast, job, **SMALL).json()["id"]
    job.inputs.filter(name="labels").update(data=make_csv(cast.project, right_csv(reversed(image_names()))))
    assert ask(cast, job, **SMALL).json()["id"] != first


def test_what_cannot_be_trained_cannot_be_foretold(cast: Cast, job: Job) -> None:
    answer = ask(cast, job, num_types=1)
    assert (answer.status_code, answer.json()["reason"]) == (400, "invalid_hyperparameters")
    job.inputs.filter(name="labels").update(data=make_csv(cast.project, right_csv() + "ghost.png,1\n"))
    assert ask(cast, job).json()["reason"] == "preflight_failed"
    assert not Estimate.objects.exists()


def test_strangers_see_no_estimate_and_viewers_ask_for_none(cast: Cast, job: Job) -> None:
    estimate = Estimate.objects.create(job=job, status="completed", seconds=3)
    assert api(cast.charlie).get(f"/api/v1/estimates/{estimate.pk}/").status_code == 404
    assert api(cast.charlie).get("/api/v1/estimates/").json()["count"] == 0
    assert api(cast.bob).post(f"/api/v1/jobs/{job.pk}/estimate/", {}).status_code == 403


def test_the_form_shows_the_estimate_of_each_column(cast: Cast, job: Job, client: Any) -> None:
    client.force_login(cast.erin)
    form = client.get(reverse("jobs:training-create", args=[job.pk])).text
    assert 'name="form-0-estimate"' in form
    assert 'name="form-__prefix__-estimate"' in form
    url = reverse("jobs:estimate", args=[job.pk])
    columns = {"form-0-epochs": "3", "form-1-epochs": "4", "instance_kind": "cpu"}
    asked = client.post(url, {**columns, "form-1-estimate": "1"}).text
    estimate = Estimate.objects.get()
    assert estimate.hyperparameters["epochs"] == 4
    assert "every 1s" in asked
    assert "Waiting for" in asked
    estimate.seconds, estimate.memory_bytes, estimate.status = 200.0, 1_300_000_000, "completed"
    estimate.details |= {"parts": {"decoding": 12.0, "training": 188.0}}
    estimate.save()
    told = client.get(reverse("jobs:estimate-status", args=[estimate.pk])).text
    assert "About 3 min 20 s, 1.2\xa0GB of memory" in told
    assert "Decoding: 12 s" in told
    assert "every 1s" not in told
    assert "must be" in client.post(url, {**columns, "form-0-epochs": "no", "form-0-estimate": "1"}).text
