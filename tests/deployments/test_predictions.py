"""Prediction jobs: real ones, in a process of their own, as the queue runs them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets.models import Data
from deployments import results
from deployments.models import Deployment, DeploymentVersion, PredictionJob
from dlmodeler_site.registry import dependants
from dlmodeler_site.sentences import to_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.deployments.bundles import add_explainer
from tests.deployments.parts import BLUE, GREEN, RED, activate, deploy, keeper, make_training

pytestmark = pytest.mark.django_db
URL = "/api/v1/predictions/"
FILES = [("a.png", png(RED)), ("b.png", png(GREEN)), ("folder/c.png", png(BLUE)), ("=d.png", png(RED))]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def data(cast: Cast) -> Data:
    return make_data(make_dataset(cast.project), FILES)


@pytest.fixture
def deployment(cast: Cast, tmp_path: Path) -> Deployment:
    return deploy(cast, tmp_path)


def create(cast: Cast, deployment: Deployment, data: Data, **fields: Any) -> Any:
    return api(cast.erin).post(URL, {"deployment": deployment.pk, "data": data.pk, "name": "pred demo", **fields})


def completed(cast: Cast, deployment: Deployment, data: Data) -> PredictionJob:
    job = PredictionJob.objects.get(pk=create(cast, deployment, data).json()["id"])
    run_work(job)
    assert job.status == Status.COMPLETED, job.error
    return job


def test_every_file_is_predicted_and_shown(cast: Cast, deployment: Deployment, data: Data) -> None:
    made = create(cast, deployment, data)
    assert (made.status_code, made.json()["status"]) == (201, "queued"), made.json()
    url = f"{URL}{made.json()['id']}/"
    assert api(cast.bob).get(f"{url}results/").json()["results"] == []
    for name in ("results.csv", "results.jsonl"):
        assert api(cast.bob).get(f"{url}{name}").json()["reason"] == "not_completed"
    run_work(PredictionJob.objects.get())

    body = api(cast.bob).get(url).json()
    assert (body["status"], body["progress"], body["file_count"], body["failed_count"]) == ("completed", 1.0, 4, 0)
    assert body["path"] == f"/mnt/{cast.project.files_key}/predict/pred-demo"
    results = api(cast.bob).get(f"{url}results/").json()
    assert [(row["file"], row["label"], row["class_name"]) for row in results["results"]] == [
        ("a.png", 10, "red"),
        ("b.png", 20, "green"),
        ("folder/c.png", 30, None),
        ("=d.png", 10, "red"),
    ]
    assert results["results"][0]["probability"] > 0.99
    assert api(cast.bob).get(f"{url}results/?label=10").json()["count"] == 2
    assert api(cast.bob).get(f"{url}results/?page_size=1&page=3").json()["results"][0]["label"] == 30
    assert api(cast.bob).get(f"{url}results/?label=x").status_code == 400


def test_the_csv_has_every_file_and_no_formula(cast: Cast, deployment: Deployment, data: Data) -> None:
    job = completed(cast, deployment, data)
    answer = api(cast.bob).get(f"{URL}{job.pk}/results.csv")
    assert answer["Content-Type"] == "text/csv"
    assert 'filename="pred-demo.csv"' in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(row["file"], row["label"], row["class_name"]) for row in rows] == [
        ("a.png", "10", "red"),
        ("b.png", "20", "green"),
        ("folder/c.png", "30", ""),
        ("'=d.png", "10", "red"),
    ]


def test_a_file_that_cannot_be_predicted_is_listed_and_harms_no_other(
    cast: Cast, deployment: Deployment, data: Data
) -> None:
    broken = data.files.get(name="b.png")
    workspace().local_path(broken.key, broken.sha256).write_bytes(b"gone bad")
    job = completed(cast, deployment, data)
    assert (job.file_count, job.failed_count) == (4, 1)
    failed = api(cast.bob).get(f"{URL}{job.pk}/results/?failed=1").json()["results"]
    assert [(row["file"], row["label"]) for row in failed] == [("b.png", None)]
    assert "not an image" in failed[0]["error"]
    row = job.predictions.get(label__isnull=True)
    assert to_json(row.error) == {"template": failed[0]["error"], "values": {}}
    table = csv.DictReader(io.StringIO(api(cast.bob).get(f"{URL}{job.pk}/results.csv").getvalue().decode()))
    assert [line["error"] for line in table] == ["", row.error, "", ""]


def test_the_deployments_preprocessing_goes_over_the_files(cast: Cast, deployment: Deployment, data: Data) -> None:
    # All that remains in sight is what lies right of the edge: nothing, which is black, and no colour wins by far.
    DeploymentVersion.objects.update(preprocess=True, steps=[{"op": "translate", "x_percent": 100, "y_percent": 0}])
    job = completed(cast, deployment, data)
    assert {round(row.probability or 0, 2) for row in job.predictions.all()} == {0.33}


def test_labels_on_the_files_tell_how_right_the_predictions_are(cast: Cast, deployment: Deployment) -> None:
    truth = {"a.png": "10", "b.png": "RED", "folder/c.png": "30", "=d.png": "violet"}
    data = make_data(make_dataset(cast.project), [*FILES, ("e.png", png(RED))], labels=truth)
    job = completed(cast, deployment, data)
    summary = api(cast.bob).get(f"{URL}{job.pk}/").json()["summary"]
    assert (summary["of"], summary["samples"], summary["accuracy"]) == (4, 3, pytest.approx(2 / 3))
    assert [each["label"] for each in summary["labels"]] == [10, 20, 30]
    assert summary["confusion"] == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert summary["unknown_labels"] == {"count": 1, "labels": [{"label": "violet", "count": 1}]}

    def names(query: str) -> list[str]:
        return [row["file"] for row in api(cast.bob).get(f"{URL}{job.pk}/results/{query}").json()["results"]]

    assert names("?true=10&label=20") == ["b.png"]
    assert names("?true=10") == ["a.png", "b.png"]
    assert names("?wrong=1") == ["b.png"]


def test_labels_of_a_csv_file_do_too_and_are_kept_while_the_job_is(
    cast: Cast, deployment: Deployment, data: Data
) -> None:
    labels = make_data(make_dataset(cast.project, "labels"), [("labels.csv", b"a.png,10\nb.png,20\nfolder/c.png,20\n")])
    other = make_data(make_dataset(cast.project, "other"), [("labels.csv", b"x.png,10\ny.png,20\n")], name="other")
    refused = create(cast, deployment, data, labels=other.pk)
    assert (refused.status_code, refused.json()["reason"]) == (400, "rows_without_image")
    job = PredictionJob.objects.get(pk=create(cast, deployment, data, labels=labels.pk).json()["id"])
    run_work(job)
    assert job.summary["accuracy"] == pytest.approx(2 / 3)
    assert [row.target for row in job.predictions.all()] == [10, 20, 20, None]
    assert dependants(labels)


def test_without_labels_nothing_is_measured(cast: Cast, deployment: Deployment, data: Data) -> None:
    assert completed(cast, deployment, data).summary == {}


def test_the_results_come_as_json_lines_some_at_a_time(
    cast: Cast, deployment: Deployment, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LINES_AT_ONCE", 3)
    job = completed(cast, deployment, data)
    answer: Any = api(cast.bob).get(f"{URL}{job.pk}/results.jsonl")
    assert 'filename="pred-demo.jsonl"' in answer["Content-Disposition"]
    sent = list(answer.streaming_content)
    assert len(sent) == 2
    lines = [json.loads(line) for line in b"".join(sent).splitlines()]
    assert [(row["file"], row["label"], row["class_name"], row["error"]) for row in lines] == [
        ("a.png", 10, "red", None),
        ("b.png", 20, "green", None),
        ("folder/c.png", 30, None, None),
        ("=d.png", 10, "red", None),
    ]
    assert lines[0]["top"][0]["label"] == 10


def test_a_result_is_explained_by_the_version_that_predicted_while_it_serves(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    add_explainer(workspace().local_tree(training.export_key))
    deployment = deploy(cast, tmp_path, training=training)
    data = make_data(make_dataset(cast.project), FILES)
    job = completed(cast, deployment, data)
    url = f"{URL}{job.pk}/files/{data.files.get(name='a.png').pk}/heatmap/"
    waiting = api(cast.bob).get(url)
    assert (waiting.status_code, waiting.json()["reason"]) == (503, "starting")
    with keeper() as servers:
        activate(servers, deployment)
        answer = api(cast.bob).get(url)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/png"), answer.content
        assert Image.open(io.BytesIO(answer.content)).size == (40, 30)
    assert api(cast.charlie).get(url).status_code == 404
    other = DeploymentVersion.objects.create(
        deployment=deployment, number=2, training=training, bundle_key="a/b", bundle_info=deployment.version.bundle_info
    )
    Deployment.objects.update(version=other)
    changed = api(cast.bob).get(url)
    assert (changed.status_code, changed.json()["reason"]) == (409, "other_version")


def test_what_cannot_be_predicted_is_refused_before_anything_starts(
    cast: Cast, deployment: Deployment, data: Data
) -> None:
    table = make_data(make_dataset(cast.project, "labels"), [("labels.csv", b"a.png,1\nb.png,2\n")])
    assert create(cast, deployment, table).json()["reason"] == "no_images"
    unfinished = Data.objects.create(dataset=data.dataset, name="u", slug="u")
    assert create(cast, deployment, unfinished).json()["reason"] == "data_not_completed"
    assert create(cast, deployment, data, name=" ").status_code == 400
    assert not PredictionJob.objects.exists()


def test_data_of_another_project_is_refused(cast: Cast, deployment: Deployment) -> None:
    from projects.members import create_project

    other = create_project(cast.erin, name="Other", description="x")
    data = make_data(make_dataset(other), FILES[:1])
    assert create(cast, deployment, data).json()["reason"] == "other_project"
    hidden = make_data(make_dataset(create_project(cast.charlie, name="Hidden", description="x")), FILES[:1])
    assert create(cast, deployment, hidden).status_code == 404


def test_two_jobs_of_one_name_have_folders_of_their_own(cast: Cast, deployment: Deployment, data: Data) -> None:
    paths = [create(cast, deployment, data).json()["path"] for _ in range(2)]
    assert paths[1] == f"{paths[0]}-2"


def test_a_queued_job_is_stopped_resumed_and_deleted_with_its_files(
    cast: Cast, deployment: Deployment, data: Data
) -> None:
    made = create(cast, deployment, data).json()
    url = f"{URL}{made['id']}/"
    assert api(cast.erin).delete(url).json()["reason"] == "in_use"
    assert api(cast.erin).delete(f"/api/v1/deployments/{deployment.pk}/").json()["reason"] == "in_use"
    assert api(cast.erin).post(f"{url}stop/").json()["status"] == "cancelled"
    assert api(cast.erin).post(f"{url}stop/").json()["reason"] == "wrong_state"
    assert api(cast.erin).post(f"{url}resume/").json()["status"] == "queued"
    job = PredictionJob.objects.get()
    run_work(job)
    assert workspace().exists(job.results_key)
    assert dependants(data)
    assert api(cast.erin).delete(url).status_code == 204
    assert not workspace().exists(job.results_key)
    assert not dependants(data)


def test_a_deleted_deployment_takes_its_results_with_it(cast: Cast, deployment: Deployment, data: Data) -> None:
    key = completed(cast, deployment, data).results_key
    assert workspace().exists(key)
    assert api(cast.erin).delete(f"/api/v1/deployments/{deployment.pk}/").status_code == 204
    assert not workspace().exists(key)


def test_strangers_see_nothing_and_viewers_change_nothing(cast: Cast, deployment: Deployment, data: Data) -> None:
    made = create(cast, deployment, data).json()
    url = f"{URL}{made['id']}/"
    for path in (url, f"{url}results/", f"{url}results.csv", f"{url}results.jsonl"):
        assert api(cast.charlie).get(path).status_code == 404
    for method, path in (("post", f"{url}stop/"), ("post", f"{url}resume/"), ("delete", url)):
        assert getattr(api(cast.charlie), method)(path).status_code == 404
        assert getattr(api(cast.bob), method)(path).status_code == 403
    asked = {"deployment": deployment.pk, "data": data.pk, "name": "x"}
    assert api(cast.bob).post(URL, asked).status_code == 403
    assert api(cast.charlie).post(URL, asked).status_code == 404
