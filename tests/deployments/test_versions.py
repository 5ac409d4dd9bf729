"""Another model takes over without a request noticing, and the way back is one call."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from deployments import authentication, versions
from deployments.deploy import delete_deployment, start_deployment, stop_deployment
from deployments.models import Deployment, DeploymentVersion, PredictionJob
from deployments.predictions import predict_sample
from deployments.servers import ModelServers, Timing
from deployments.sockets import socket_path
from dlmodeler_site.errors import UserError
from dlmodeler_site.registry import dependants
from dlmodeler_site.sentences import to_json
from dlmodeler_site.work.models import Status
from jobs.models import Training
from projects.members import create_project
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.deployments.bundles import LABELS, describe
from tests.deployments.parts import (
    QUICK,
    RED,
    activate,
    ask,
    deploy,
    deployment_row,
    is_in,
    keeper,
    make_table_training,
    make_training,
    spoil,
    token_of,
    until,
)
from tests.deployments.table_bundles import COLUMNS
from tests.deployments.table_bundles import DESCRIPTION as TABLE

pytestmark = pytest.mark.django_db
URL = "/api/v1/deployments/"
OTHER_LABELS = [{**each, "label": each["label"] + 1} for each in LABELS]  # 11 for red


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def deployment(cast: Cast, tmp_path: Path) -> Deployment:
    """It serves version 1, which answers 10 for red."""
    return deploy(cast, tmp_path)


@pytest.fixture
def other(cast: Cast, tmp_path: Path) -> Training:
    """Its model answers 11 for red."""
    return make_training(cast, tmp_path, name="other", labels=OTHER_LABELS)


def change(deployment: Deployment, training: Training, **options: Any) -> DeploymentVersion:
    return versions.change_model(deployment, training, creator=None, **options)


def until_changed(servers: ModelServers, deployment: Deployment) -> None:
    def has_changed() -> bool:
        deployment.refresh_from_db()
        return deployment.next_version is None

    until(servers, has_changed)


def states(deployment: Deployment) -> dict[int, str]:
    return {version.number: version.status for version in Deployment.objects.get(pk=deployment.pk).versions.all()}


def is_alive(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_new_model_takes_over_once_it_answers_and_the_old_one_drains(
    deployment: Deployment, other: Training
) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        old = servers.pid_of(deployment)
        change(deployment, other)
        assert states(deployment) == {1: "current", 2: "starting"}
        until_changed(servers, deployment)
        assert states(deployment) == {1: "previous", 2: "current"}
        assert deployment.status == Deployment.Status.ACTIVE
        assert ask(deployment, png(RED)) == 11
        assert is_alive(old), "who read the row a moment ago asks the old one"
        assert socket_path(deployment.pk, 1).exists()
        until(servers, lambda: not is_alive(old))
        until(servers, lambda: not socket_path(deployment.pk, 1).exists())
        assert ask(deployment, png(RED)) == 11


def test_going_back_is_the_same_and_goes_to_the_one_that_served_before(deployment: Deployment, other: Training) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        with pytest.raises(UserError, match="no other version"):
            versions.roll_back(deployment)
        change(deployment, other)
        until_changed(servers, deployment)
        for expected in (10, 11, 10):
            versions.roll_back(deployment)
            until_changed(servers, deployment)
            assert ask(deployment, png(RED)) == expected
        with pytest.raises(UserError, match="version 1 already"):
            versions.roll_back(deployment, number=1)
        with pytest.raises(UserError, match=r"no version 7\. There are: 1, 2"):
            versions.roll_back(deployment, number=7)


def test_a_model_that_does_not_come_up_changes_nothing(deployment: Deployment, other: Training) -> None:
    with keeper(Timing(backoff_first_s=0.01, max_crashes=2)) as servers:
        activate(servers, deployment)
        pid = servers.pid_of(deployment)
        version = change(deployment, other)
        spoil(version.bundle_key)
        until_changed(servers, deployment)
        assert states(deployment) == {1: "current", 2: "failed"}
        version.refresh_from_db()
        assert to_json(version.error)["values"]["cause"]["values"] == {"expected": 1, "received": "99"}
        assert (deployment.status, deployment.error) == (Deployment.Status.ACTIVE, "")
        assert servers.pid_of(deployment) == pid
        assert ask(deployment, png(RED)) == 10

        versions.roll_back(deployment, number=2)  # tried again
        assert states(deployment) == {1: "current", 2: "starting"}
        until_changed(servers, deployment)
        assert states(deployment) == {1: "current", 2: "failed"}


def test_a_model_that_answers_what_it_cannot_is_not_let_in(deployment: Deployment, other: Training) -> None:
    with keeper(Timing(backoff_first_s=0.01, max_crashes=2)) as servers:
        activate(servers, deployment)
        version = change(deployment, other)
        version.bundle_info["labels"] = [{"label": 99, "class_name": None}]
        version.save()
        until_changed(servers, deployment)
        version.refresh_from_db()
        assert "which its model cannot answer" in version.error
        assert ask(deployment, png(RED)) == 10


def test_of_two_changes_the_last_one_counts(
    cast: Cast, deployment: Deployment, other: Training, tmp_path: Path
) -> None:
    third = make_training(
        cast, tmp_path, name="third", labels=[{**each, "label": each["label"] + 2} for each in LABELS]
    )
    with keeper() as servers:
        activate(servers, deployment)
        change(deployment, other)
        servers.reconcile()  # begins to start it
        change(deployment, third)
        assert states(deployment) == {1: "current", 2: "cancelled", 3: "starting"}
        until_changed(servers, deployment)
        assert ask(deployment, png(RED)) == 12
        until(servers, lambda: len(servers._servers) == 1)
        assert states(deployment) == {1: "previous", 2: "cancelled", 3: "current"}


def test_a_change_can_be_called_off(deployment: Deployment, other: Training) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        change(deployment, other)
        servers.reconcile()
        versions.roll_back(deployment)
        assert states(deployment) == {1: "current", 2: "cancelled"}
        until(servers, lambda: len(servers._servers) == 1)
        assert ask(deployment, png(RED)) == 10


def test_a_change_goes_on_under_the_next_keeper(deployment: Deployment, other: Training) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        change(deployment, other)
        servers.reconcile()
    with keeper() as servers:
        until_changed(servers, deployment)
        activate(servers, deployment)
        assert ask(deployment, png(RED)) == 11


@pytest.mark.parametrize("killed", [1, 2])
def test_a_kill_during_the_change_does_not_undo_it(deployment: Deployment, other: Training, killed: int) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        version = change(deployment, other)
        until(servers, lambda: bool((server := servers._servers.get(version.pk)) and server.process))
        server = servers._servers[version.pk if killed == 2 else deployment.version.pk]
        assert server.process
        os.kill(server.process.pid, signal.SIGKILL)
        until_changed(servers, deployment)
        activate(servers, deployment)
        assert ask(deployment, png(RED)) == 11
        assert states(deployment) == {1: "previous", 2: "current"}


def test_a_stopped_deployment_changes_when_it_is_started(deployment: Deployment, other: Training) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        stop_deployment(deployment)
        until(servers, lambda: is_in(deployment, Deployment.Status.STOPPED))
        change(deployment, other)
        for _round in range(3):
            servers.reconcile()
        assert not servers._servers
        start_deployment(deployment)
        until_changed(servers, deployment)
        assert ask(deployment, png(RED)) == 11


def test_another_model_rescues_a_deployment_that_failed(deployment: Deployment, other: Training) -> None:
    spoil(deployment.version.bundle_key)
    with keeper(Timing(backoff_first_s=0.01, max_crashes=2)) as servers:
        until(servers, lambda: is_in(deployment, Deployment.Status.FAILED))
        change(deployment, other)
        until_changed(servers, deployment)
        assert is_in(deployment, Deployment.Status.ACTIVE)
        assert ask(deployment, png(RED)) == 11
        assert states(deployment) == {1: "failed", 2: "current"}
        versions.roll_back(deployment, number=1)
        until_changed(servers, deployment)
        assert states(deployment) == {1: "failed", 2: "current"}


def test_deleted_during_a_change_it_leaves_no_process(deployment: Deployment, other: Training) -> None:
    with keeper() as servers:
        activate(servers, deployment)
        version = change(deployment, other)
        until(servers, lambda: bool((server := servers._servers.get(version.pk)) and server.process))
        delete_deployment(deployment)
        until(servers, lambda: not servers._servers)


@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_who_asks_the_old_one_after_its_end_is_answered_by_the_new_one(deployment: Deployment, other: Training) -> None:
    token = token_of(deployment)

    def send() -> Any:
        return Client().post(f"/d/{deployment.pk}/predict?format=json", png(RED), "image/png", headers={"token": token})

    with keeper() as servers:
        activate(servers, deployment)
        assert send().json()["model"]["version"] == 1
        stale = authentication._remembered[deployment.pk][1]
        change(deployment, other)
        until_changed(servers, deployment)
        until(servers, lambda: len(servers._servers) == 1)
        authentication._remembered[deployment.pk] = (time.monotonic() + 60, stale)
        body = send().json()
        assert (body["model"]["version"], body["model"]["name"]) == (2, "other")
        assert body["predictions"][0]["label"] == 11
        stop_deployment(deployment)
        until(servers, lambda: is_in(deployment, Deployment.Status.STOPPED))
        authentication._remembered[deployment.pk] = (time.monotonic() + 60, stale)
        assert (send().status_code, send().json()["reason"]) == (503, "stopped")


def test_a_sample_is_answered_by_the_new_one_as_well(cast: Cast, deployment: Deployment, other: Training) -> None:
    file = make_data(make_dataset(cast.project), [("red.png", png(RED))]).files.get()
    with keeper() as servers:
        activate(servers, deployment)
        stale = Deployment.objects.select_related("version").get()
        change(deployment, other)
        until_changed(servers, deployment)
        until(servers, lambda: len(servers._servers) == 1)
        answer = predict_sample(stale, file)
        assert (answer["model"]["version"], answer["predictions"][0]["label"]) == (2, 11)
        stop_deployment(deployment)
        until(servers, lambda: is_in(deployment, Deployment.Status.STOPPED))
        with pytest.raises(UserError, match="is not running"):
            predict_sample(stale, file)


def test_a_prediction_job_ends_with_the_version_that_it_began_with(
    cast: Cast, deployment: Deployment, other: Training
) -> None:
    data = make_data(make_dataset(cast.project), [("red.png", png(RED))])
    made = api(cast.erin).post(
        "/api/v1/predictions/", {"deployment": deployment.pk, "data": data.pk, "name": "p", "description": ""}
    )
    assert made.json()["version"] == 1
    version = change(deployment, other)
    Deployment.objects.update(version=version, next_version=None)
    job = PredictionJob.objects.get()
    run_work(job)
    assert job.predictions.get().label == 10
    assert not dependants(version)
    with pytest.raises(UserError, match="prediction job “p”"):
        versions.delete_version(deployment.versions.get(number=1))


def test_what_does_not_fit_is_refused(cast: Cast, deployment: Deployment, other: Training, tmp_path: Path) -> None:
    table = make_table_training(cast, described_table(tmp_path / "table"))
    elsewhere = make_training(cast, tmp_path, name="elsewhere")
    elsewhere.job.project = create_project(cast.alice, name="another", description="x")
    unfinished = make_training(cast, tmp_path, name="unfinished")
    unfinished.status = Status.RUNNING
    for training, reason in (
        (table, "other_input"),
        (elsewhere, "other_project"),
        (unfinished, "no_model"),
        (deployment.version.training, "same_model"),
    ):
        with pytest.raises(UserError) as refused:
            change(deployment, training)
        assert refused.value.reason == reason
    assert states(deployment) == {1: "current"}
    change(deployment, other)
    with pytest.raises(UserError, match="Version 2"):
        change(deployment, other)


def described_table(path: Path, **changes: Any) -> Path:
    """A bundle without its model."""
    return describe(path, **TABLE | changes)


def test_what_clients_would_notice_is_told_before(cast: Cast, deployment: Deployment, other: Training) -> None:
    url = f"{URL}{deployment.pk}/versions/check/"
    told = api(cast.erin).post(url, {"training": other.pk}).json()
    assert {each["code"]: each["message"] for each in told} == {
        "classes_gone": "Classes that it answers no more: 10 (red), 20 (green), 30.",
        "classes_new": "Classes that are new: 11 (red), 21 (green), 31.",
    }
    assert api(cast.erin).post(url, {"training": deployment.version.training_id}).json() == []
    assert states(deployment) == {1: "current"}


def test_columns_and_target_that_differ_are_told(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path, training=make_table_training(cast, described_table(tmp_path / "a")))
    columns = [{**COLUMNS[0], "type": "category"}, COLUMNS[2], {**COLUMNS[1], "name": "taste"}]
    other = make_table_training(
        cast, described_table(tmp_path / "b", input={"kind": "table", "columns": columns, "target": "kind"}), name="b"
    )
    told = versions.differences(deployment.version, versions.fitting_model(deployment, other))
    assert {each.code: each.message for each in told} == {
        "columns_new": "Columns that requests do not have yet: taste.",
        "columns_gone": "Columns that are not read any more: colour.",
        "columns_changed": "Columns that are read as something else: size.",
        "target": "It tells “kind” and not “fruit”.",
    }


def test_a_training_that_can_be_gone_back_to_is_in_use(cast: Cast, deployment: Deployment, other: Training) -> None:
    first = deployment.version.training
    version = change(deployment, other)
    Deployment.objects.update(version=version, next_version=None)
    assert [str(each) for each in dependants(other)] == ["deployment “deploy-cpu”"]
    assert [str(each) for each in dependants(first)] == ["version of a deployment “deploy-cpu (version 1)”"]
    url = f"{URL}{deployment.pk}/versions/"
    refused = api(cast.erin).delete(f"/api/v1/trainings/{first.pk}/")
    assert (refused.status_code, refused.json()["reason"]) == (409, "in_use")
    assert api(cast.erin).delete(f"{url}2/").json()["reason"] == "in_use"
    assert api(cast.bob).delete(f"{url}1/").status_code == 403
    assert api(cast.erin).delete(f"{url}1/").status_code == 204
    assert api(cast.erin).delete(f"/api/v1/trainings/{first.pk}/").status_code == 204


def test_the_last_versions_are_kept_and_the_way_back(deployment: Deployment, cast: Cast, tmp_path: Path) -> None:
    DeploymentVersion.objects.update(activated_at=deployment.created_at)
    second = change(deployment, make_training(cast, tmp_path, name="second"))
    Deployment.objects.update(version=second, next_version=None)
    for number in range(3, versions.KEPT + 5):
        change(deployment, make_training(cast, tmp_path, name=f"t{number}"))
    last = versions.KEPT + 4
    assert list(states(deployment)) == [*range(last, last - versions.KEPT, -1), 2, 1]


def test_editors_change_viewers_see_and_it_is_audited(cast: Cast, deployment: Deployment, other: Training) -> None:
    url = f"{URL}{deployment.pk}/"
    body = {"training": other.pk}
    for path in ("versions/", "versions/check/", "rollback/"):
        assert api(cast.charlie).post(f"{url}{path}", body).status_code == 404
        assert api(cast.bob).post(f"{url}{path}", body).status_code == 403
    made = api(cast.erin).post(f"{url}versions/", body)
    assert made.status_code == 201, made.json()
    version = made.json()
    assert (version["number"], version["status"], version["creator"]) == (2, "starting", "erin")
    assert api(cast.bob).get(url).json()["next_version"] == 2
    listed = api(cast.bob).get(f"{url}versions/").json()["results"]
    assert listed[0] == version
    assert [(each["number"], each["training_name"], each["accuracy"]) for each in listed] == [
        (2, "other", 0.84),
        (1, "colours", 0.84),
    ]
    assert api(cast.charlie).get(f"{url}versions/").status_code == 404
    called_off = api(cast.erin).post(f"{url}rollback/", {"version": 1}).json()
    assert (called_off["version"], called_off["next_version"]) == (1, None)
    entries = LogEntry.objects.get_for_object(deployment).filter(action=LogEntry.Action.UPDATE)
    entries = entries.filter(changes__has_key="next_version")
    assert {entry.actor for entry in entries} == {cast.erin}
    assert entries.count() == 2
    assert api(cast.erin).post(f"{url}rollback/", {"version": "x"}).status_code == 400


def test_the_same_idempotency_key_changes_once(cast: Cast, deployment: Deployment, other: Training) -> None:
    for _time in range(2):
        answer = api(cast.erin).post(
            f"{URL}{deployment.pk}/versions/", {"training": other.pk}, headers={"Idempotency-Key": "k"}
        )
        assert answer.json()["number"] == 2
    assert states(deployment) == {1: "current", 2: "starting"}


def test_the_list_of_versions_takes_a_constant_number_of_queries(
    cast: Cast, other: Training, django_assert_max_num_queries: Any
) -> None:
    deployment = deployment_row(other)
    for number in range(2, 9):
        DeploymentVersion.objects.create(deployment=deployment, number=number, training=other, bundle_key="a/b")
    with django_assert_max_num_queries(3):
        assert api(cast.bob).get(f"{URL}{deployment.pk}/versions/").json()["count"] == 8


def test_a_round_of_the_keeper_waits_for_no_probe(deployment: Deployment, other: Training) -> None:
    with keeper(QUICK) as servers:
        activate(servers, deployment)
        version = change(deployment, other)
        until(servers, lambda: bool((server := servers._servers.get(version.pk)) and server.process))
        process = servers._servers[version.pk].process
        assert process
        rounds = []
        deadline = time.monotonic() + 1
        os.kill(process.pid, signal.SIGSTOP)
        while time.monotonic() < deadline:
            began = time.monotonic()
            servers.reconcile()
            rounds.append(time.monotonic() - began)
        os.kill(process.pid, signal.SIGCONT)
        until_changed(servers, deployment)
        assert json.dumps(states(deployment)) == '{"2": "current", "1": "previous"}'
