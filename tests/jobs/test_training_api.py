"""Starting, watching, stopping, resuming and deleting trainings over the API."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dlmodeler_site.registry import counts, dependants
from dlmodeler_site.sentences import to_json
from dlmodeler_site.storage import workspace
from jobs.instances import gpu_count
from jobs.models import EpochMetrics, Job, Training
from tests.cast import Cast, api, make_cast, run_work
from tests.jobs.stage import make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db
URL = "/api/v1/trainings/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    return make_job(
        cast.project,
        make_images(cast.project),
        make_csv(cast.project, right_csv()),
        class_names={"0": "red", "1": "blue"},
    )


def start(cast: Cast, job: Job, *trainings: dict[str, Any], **values: Any) -> Any:
    return api(cast.erin).post(URL, {"job": job.pk, "trainings": trainings or [{"name": "first"}], **values})


def made(cast: Cast, job: Job, name: str = "first") -> Training:
    answer = start(cast, job, {"name": name})
    assert answer.status_code == 201, answer.json()
    return Training.objects.get(pk=answer.json()[0]["id"])


def test_several_trainings_are_queued_with_defaults_and_the_classes_of_the_labels(cast: Cast, job: Job) -> None:
    answer = start(cast, job, {"name": "a"}, {"name": "b", "hyperparameters": {"epochs": 3, "num_types": 4}})
    assert answer.status_code == 201, answer.json()
    first, second = answer.json()
    assert (first["status"], first["hyperparameters"]["num_types"], first["hyperparameters"]["epochs"]) == (
        "queued",
        2,
        100,
    )
    assert (second["hyperparameters"]["num_types"], second["hyperparameters"]["epochs"]) == (4, 3)
    assert first["seed"] != second["seed"]
    (third,) = start(cast, job, {"name": "c", "hyperparameters": {"seed": 5}}).json()
    assert third["seed"] == third["hyperparameters"]["seed"] == 5
    assert first["waiting_reason"]
    assert first["metrics"] == {}
    assert first["eta_seconds"] is None
    assert counts([cast.project.pk])["running"] == {cast.project.pk: 3}


def test_wrong_hyperparameters_are_named_for_each_training_and_nothing_is_made(cast: Cast, job: Job) -> None:
    refused = start(
        cast,
        job,
        {"name": "a", "hyperparameters": {"epochs": 0, "colour": 1}},
        {"name": "b"},
        {"name": "c", "hyperparameters": {"learning_rate": "fast"}},
    )
    assert (refused.status_code, refused.json()["reason"]) == (400, "invalid_hyperparameters")
    wrong = refused.json()["details"]["trainings"]
    assert {index: set(names) for index, names in wrong.items()} == {"0": {"epochs", "colour"}, "2": {"learning_rate"}}
    assert "from 1 to" in wrong["0"]["epochs"]
    assert not Training.objects.exists()


def test_num_types_below_the_classes_is_refused_naming_them(cast: Cast) -> None:
    names = [f"{number}.png" for number in range(12)]
    csv = "".join(f"{name},{number % 3}\n" for number, name in enumerate(names))
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, csv))
    refused = start(cast, job, {"name": "a", "hyperparameters": {"num_types": 2}})
    assert (refused.status_code, refused.json()["reason"]) == (400, "num_types_too_small")
    assert "0, 1, 2" in refused.json()["error"]
    refused = start(
        cast,
        job,
        {"name": "a", "hyperparameters": {"num_types": 2}},
        {"name": "b", "hyperparameters": {"epochs": 0}},
    )
    assert refused.json()["details"]["trainings"].keys() == {"0", "1"}, "all that is wrong is told at once"


def test_name_is_unique_in_the_whole_system_and_in_the_request(cast: Cast, job: Job) -> None:
    made(cast, job)
    refused = start(cast, job, {"name": "new"}, {"name": "first"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "name_exists")
    assert list(refused.json()["details"]["trainings"]) == ["1"]
    twice = start(cast, job, {"name": "twin"}, {"name": "twin"})
    assert (twice.status_code, twice.json()["reason"]) == (409, "name_exists")
    assert Training.objects.count() == 1


def test_failed_check_refuses_the_training_and_names_the_files(cast: Cast) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv() + "ghost.png,1\n"))
    refused = start(cast, job)
    assert (refused.status_code, refused.json()["reason"]) == (400, "preflight_failed")
    assert "ghost.png" in refused.json()["error"]
    assert refused.json()["details"]["findings"][0]["files"] == ["ghost.png"]
    assert not Training.objects.exists()


def test_gpu_is_refused_where_there_is_none(cast: Cast, job: Job) -> None:
    refused = start(cast, job, instance={"kind": "gpu", "count": gpu_count() + 1})
    assert (refused.status_code, refused.json()["reason"]) == (400, "no_gpu")
    assert "GPU" in refused.json()["error"]


def test_same_idempotency_key_starts_one_training(cast: Cast, job: Job) -> None:
    client, body = api(cast.erin), {"job": job.pk, "trainings": [{"name": "once"}]}
    first = client.post(URL, body, headers={"Idempotency-Key": "k"})
    second = client.post(URL, body, headers={"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())


def test_stop_resume_and_delete_follow_the_states(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    url = f"{URL}{training.pk}/"
    editor = api(cast.erin)
    assert editor.delete(url).json()["reason"] == "wrong_state"
    assert [each.name for each in dependants(job)] == ["first"]
    assert editor.delete(f"/api/v1/jobs/{job.pk}/").json()["reason"] == "in_use"
    assert editor.post(f"{url}resume/").json()["reason"] == "wrong_state"
    assert editor.post(f"{url}stop/").json()["status"] == "cancelled"
    assert editor.post(f"{url}stop/").status_code == 409
    assert editor.post(f"{url}resume/").json()["status"] == "queued"
    editor.post(f"{url}stop/")
    assert editor.delete(url).status_code == 204
    assert editor.get(url).status_code == 404


def test_data_of_a_job_stay_while_it_trains_and_a_resume_wants_the_same_data(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    other = make_csv(cast.project, right_csv() + "0.png,0\n")
    inputs = {"images": job.input_ids["images"], "labels": other.pk}
    editor = api(cast.erin)
    refused = editor.patch(f"/api/v1/jobs/{job.pk}/", {"inputs": inputs})
    assert (refused.status_code, refused.json()["reason"]) == (409, "in_use")
    editor.post(f"{URL}{training.pk}/stop/")
    Training.objects.update(record_of_run={"data": {"images": "as it was", "labels": "then"}})
    assert editor.post(f"{URL}{training.pk}/resume/").json()["reason"] == "data_changed"
    assert editor.patch(f"/api/v1/jobs/{job.pk}/", {"inputs": inputs}).json()["inputs"] == inputs


def test_metrics_since_an_epoch_and_time_to_go(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    lease = training.claim()
    assert lease
    training.collect(
        [
            {
                "type": "epoch",
                "epoch": n,
                "step": n,
                "time": 1e9 + n,
                "seconds": 2.0,
                "metrics": {"loss": 1 / n, "accuracy": 0.5},
            }
            for n in range(1, 41)
        ]
    )
    rows = api(cast.bob).get(f"{URL}{training.pk}/metrics/?since=38").json()
    assert [row["epoch"] for row in rows] == [39, 40]
    assert set(rows[0]) >= {"epoch", "step", "time", "loss", "accuracy"}
    detail = api(cast.bob).get(f"{URL}{training.pk}/").json()
    assert detail["metrics"]["epoch"] == 40
    assert detail["eta_seconds"] == pytest.approx(118)  # the 41st has been on its way for long
    assert detail["loss"] == pytest.approx(1 / 40)
    assert api(cast.bob).get(f"{URL}{training.pk}/metrics/?since=x").status_code == 400


def test_stranger_sees_no_training_and_viewer_changes_none(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    url = f"{URL}{training.pk}/"
    for part in ("", "metrics/", "logs/", "model/"):
        assert api(cast.charlie).get(url + part).status_code == 404
    for client, status in ((api(cast.charlie), 404), (api(cast.bob), 403)):
        assert client.post(f"{url}stop/").status_code == status
        assert client.post(f"{url}resume/").status_code == status
        assert client.delete(url).status_code == status
        assert client.post(URL, {"job": job.pk, "trainings": [{"name": "x"}]}).status_code == status
    assert api(cast.charlie).get(URL).json()["count"] == 0


def test_model_is_refused_until_there_is_one_and_then_comes_as_archive(cast: Cast, job: Job, tmp_path: Path) -> None:
    training = made(cast, job)
    url = f"{URL}{training.pk}/model/"
    refused = api(cast.bob).get(url, headers={"Accept": "application/gzip"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "no_model")
    big = bytes(range(256)) * 4000
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"model")
    (tmp_path / "variables" / "variables.data").write_bytes(big)
    training.export_key = f"{training.files_key}/export/1"
    training.save()
    workspace().put_tree(training.export_key, tmp_path)
    answer = api(cast.bob).get(url, headers={"Accept": "application/gzip"})
    assert answer["Content-Type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(answer.getvalue()), mode="r:gz") as archive:
        assert archive.getnames() == ["first/saved_model.pb", "first/variables/variables.data"]
        archive.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "first" / "variables" / "variables.data").read_bytes() == big


def test_a_training_that_fails_keeps_its_reason_as_a_sentence(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    broken = job.input_data("images").files.get(name="3.png")  # type: ignore[union-attr]
    workspace().local_path(broken.key, broken.sha256).write_bytes(b"gone bad")
    run_work(training)
    assert (training.status, training.error_reason) == ("failed", "unreadable_image")
    assert training.error.startswith("1 image cannot be read: 3.png: ")
    assert to_json(training.error)["template"] == "1 image cannot be read: %(named)s"


def test_a_training_whose_data_no_longer_fit_keeps_the_finding_as_a_sentence(cast: Cast, job: Job) -> None:
    training = made(cast, job)
    job.input_data("images").files.get(name="3.png").delete()  # type: ignore[union-attr]
    run_work(training)
    assert (training.status, training.error_reason) == ("failed", "preflight_failed")
    finding, example, fix = to_json(training.error)["values"].values()
    assert finding["values"] == {"count": 1, "data": "train-image"}
    assert "%(data)s" in finding["template"]
    assert example["template"] == "For example: %(names)s."
    assert fix["template"]


def test_a_real_training_reports_epochs_log_model_and_record(cast: Cast, job: Job) -> None:
    answer = start(cast, job, {"name": "실험 1", "hyperparameters": {"epochs": 2, "batch_size": 4}})
    training = Training.objects.get(pk=answer.json()[0]["id"])
    run_work(training)
    detail = api(cast.bob).get(f"{URL}{training.pk}/").json()
    assert (detail["status"], detail["error"]) == ("completed", None)
    assert detail["progress"] == 1
    assert 0 <= detail["accuracy"] <= 1
    assert detail["metrics"]["epoch"] == 2
    assert detail["labels"] == [{"label": 0, "class_name": "red"}, {"label": 1, "class_name": "blue"}]
    assert detail["record"]["data"]["images"] == job.input_data("images").manifest_sha256  # type: ignore[union-attr]
    (model_file,) = detail["model_files"]
    assert model_file.startswith(f"/mnt/{training.files_key}/export/")
    assert workspace().exists(model_file.removeprefix("/mnt/"))
    assert EpochMetrics.objects.filter(training=training).count() == 2
    log = api(cast.bob).get(f"{URL}{training.pk}/logs/", headers={"Accept": "text/plain"})
    assert log["Content-Type"].startswith("text/plain")
    assert int(log["X-Next-Offset"]) == len(log.content) > 0
    assert api(cast.bob).get(f"{URL}{training.pk}/logs/?offset={log['X-Next-Offset']}").content == b""
    assert api(cast.bob).get(f"{URL}{training.pk}/model/").status_code == 200
    key = training.files_key
    assert api(cast.erin).delete(f"{URL}{training.pk}/").status_code == 204
    assert not list(workspace().keys(key))
