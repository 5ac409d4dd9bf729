"""Model servers are what is wanted, whatever happens to them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.deploy import delete_deployment, start_deployment, stop_deployment
from deployments.models import Deployment
from deployments.servers import Timing
from deployments.sockets import socket_path
from dlmodeler_site.sentences import to_json
from dlmodeler_site.storage import workspace
from tests.broken_network import Hanging
from tests.cast import Cast, make_cast, png
from tests.ceph import Ceph
from tests.deployments.parts import QUICK, RED, activate, ask, deploy, is_in, keeper, make_training, spoil, until

pytestmark = pytest.mark.django_db
Status = Deployment.Status


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_deployment_starts_answers_stops_and_starts_again(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    assert deployment.status == Status.STARTING
    with keeper() as servers:
        activate(servers, deployment)
        deployment.version.refresh_from_db()
        assert deployment.version.bundle_info["running"] == {"name": "openvino", "precision": "f32", "fallback": ""}
        assert deployment.active_at
        assert ask(deployment, png(RED)) == 10
        pid = servers.pid_of(deployment)
        assert pid

        stop_deployment(deployment)
        until(servers, lambda: is_in(deployment, Status.STOPPED))
        assert not is_alive(pid)
        assert not socket_path(deployment.pk, 1).exists()

        start_deployment(deployment)
        assert deployment.status == Status.STARTING
        activate(servers, deployment)
        assert ask(deployment, png(RED)) == 10


def test_a_killed_model_server_comes_back_by_itself(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    with keeper() as servers:
        activate(servers, deployment)
        pid = servers.pid_of(deployment)
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(servers, lambda: is_in(deployment, Status.STARTING))
        assert "signal 9" in deployment.error
        cause = to_json(deployment.error)["values"]["cause"]
        assert cause["template"] == "it was ended by signal %(number)s (%(name)s)"
        activate(servers, deployment)
        assert deployment.error == ""
        assert ask(deployment, png(RED)) == 10


def test_what_cannot_be_served_fails_with_the_cause_and_can_be_started_again(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    spoil(deployment.version.bundle_key)
    with keeper(Timing(backoff_first_s=0.01, max_crashes=2)) as servers:
        until(servers, lambda: is_in(deployment, Status.FAILED))
        assert "schema 1 was expected, 99 was received" in deployment.error
        assert str(workspace().local_tree(deployment.version.bundle_key)) not in deployment.error
        stored = to_json(deployment.error)
        assert stored["template"] == "The model server ended %(count)s times in a row: %(cause)s"
        assert stored["values"]["cause"]["values"] == {"expected": 1, "received": "99"}
        servers.reconcile()
        assert servers.pid_of(deployment) is None

        start_deployment(deployment)
        assert deployment.status == Status.STARTING
        until(servers, lambda: servers.pid_of(deployment) is not None)
        until(servers, lambda: is_in(deployment, Status.FAILED))
        stop_deployment(deployment)
        until(servers, lambda: is_in(deployment, Status.STOPPED))


def test_a_deleted_deployment_leaves_no_process(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    with keeper() as servers:
        activate(servers, deployment)
        pid, path = servers.pid_of(deployment), socket_path(deployment.pk, 1)
        assert pid
        delete_deployment(deployment)
        until(servers, lambda: not is_alive(pid))
        until(servers, lambda: not path.exists())


def test_deployments_are_isolated_from_each_other(cast: Cast, tmp_path: Path) -> None:
    training = make_training(cast, tmp_path)
    one = deploy(cast, tmp_path, training=training, name="one")
    other = deploy(cast, tmp_path, training=training, name="other")
    with keeper() as servers:
        activate(servers, one)
        activate(servers, other)
        before, killed = servers.pid_of(other), servers.pid_of(one)
        assert killed
        os.kill(killed, signal.SIGKILL)
        until(servers, lambda: is_in(one, Status.STARTING))
        assert is_in(other, Status.ACTIVE)
        assert servers.pid_of(other) == before


def test_a_server_that_hangs_is_killed_and_started_again(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    with keeper(Timing(backoff_first_s=0.05, health_every_s=0.05, unanswered_max=1)) as servers:
        activate(servers, deployment)
        pid = servers.pid_of(deployment)
        assert pid
        os.kill(pid, signal.SIGSTOP)
        until(servers, lambda: is_in(deployment, Status.STARTING))
        assert "did not answer" in deployment.error
        activate(servers, deployment)
        assert servers.pid_of(deployment) != pid


def test_a_bundle_that_cannot_be_fetched_is_fetched_later(
    cast: Cast, ceph: Ceph, settings: Any, tmp_path: Path
) -> None:
    settings.DLM_CACHE = tmp_path / "cache"
    bucket = ceph.new_bucket()
    ceph.use_as_workspace(settings, bucket_name=bucket)
    deployment = deploy(cast, tmp_path)
    ceph.use_as_workspace(settings, bucket_name=bucket, secret_key="wrong")
    with keeper() as servers:
        until(servers, lambda: bool(Deployment.objects.get(pk=deployment.pk).error))
        assert is_in(deployment, Status.STARTING)
        assert "operator" in deployment.error
        ceph.use_as_workspace(settings, bucket_name=bucket)
        activate(servers, deployment)
        assert ask(deployment, png(RED)) == 10


def test_a_storage_that_hangs_keeps_no_other_deployment_waiting(
    cast: Cast, ceph: Ceph, settings: Any, tmp_path: Path
) -> None:
    settings.DLM_CACHE = tmp_path / "cache"
    bucket = ceph.new_bucket()
    ceph.use_as_workspace(settings, bucket_name=bucket)
    here, elsewhere = [
        deploy(cast, tmp_path, training=make_training(cast, tmp_path, name=name), name=name) for name in ("here", "far")
    ]
    workspace().local_tree(here.version.bundle_key)
    with Hanging(ceph.endpoint) as bucket_that_hangs, keeper() as servers:
        ceph.use_as_workspace(settings, bucket_name=bucket, endpoint_url=bucket_that_hangs.url)
        activate(servers, here)
        until(servers, lambda: bool(is_in(elsewhere, Status.STARTING) and elsewhere.error))
        assert "is being fetched" in elsewhere.error
        rounds = [timed(servers.reconcile) for _round in range(20)]
        assert max(rounds) < 0.5
        os.kill(servers.pid_of(here) or 0, signal.SIGKILL)
        until(servers, lambda: is_in(here, Status.STARTING))
        activate(servers, here)
        assert bucket_that_hangs.taken
        bucket_that_hangs.let_go()
        activate(servers, elsewhere)
        assert elsewhere.error == ""


def test_a_bundle_for_which_there_is_no_room_is_told_and_fetched_later(
    cast: Cast, ceph: Ceph, settings: Any, tmp_path: Path
) -> None:
    ceph.use_as_workspace(settings)
    deployment = deploy(cast, tmp_path)
    settings.DLM_CACHE = tmp_path / "cache"
    settings.DLM_CACHE.write_text("a file, in which there can be no folder")
    with keeper() as servers:
        until(servers, lambda: bool(is_in(deployment, Status.STARTING) and deployment.error))
        assert "could not be fetched" in deployment.error
        settings.DLM_CACHE.unlink()
        activate(servers, deployment)
        assert deployment.error == ""


def timed(do: Callable[[], None]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def test_closing_the_keeper_ends_the_servers_and_wants_them_back(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    with keeper() as servers:
        activate(servers, deployment)
        pid = servers.pid_of(deployment)
    assert pid
    assert not is_alive(pid)
    assert is_in(deployment, Status.STARTING)
    with keeper() as again:
        activate(again, deployment)


def test_model_servers_die_with_a_killed_keeper(tmp_path: Path) -> None:
    """The kernel ends them, so that the next keeper starts with nothing left over."""
    starter = subprocess.Popen(
        [sys.executable, "-c", _KEEPER_THAT_IS_KILLED], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert starter.stdout
    pid = int(starter.stdout.readline())
    time.sleep(0.5)  # past setpriv
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


_KEEPER_THAT_IS_KILLED = """
import django, os, time
os.environ["DJANGO_SETTINGS_MODULE"] = "dlmodeler_site.settings"
django.setup()
from deployments.models import Deployment, DeploymentVersion
from deployments.servers import ModelServers, Server, _open_log
servers = ModelServers()
deployment = Deployment(pk=999999, status="starting")
version = DeploymentVersion(pk=999999, deployment=deployment, number=1, bundle_key="none")
deployment_server = Server(deployment, version, _open_log(deployment.pk, version.number))
servers._start_when_due(deployment_server)
print(deployment_server.process.pid, flush=True)
time.sleep(60)
"""


def test_the_settings_of_the_site_do_not_reach_a_model_server(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLM_SECRET_KEY", "must-not-be-seen")
    deployment = deploy(cast, tmp_path)
    with keeper(QUICK) as servers:
        activate(servers, deployment)
        assert "must-not-be-seen" not in Path(f"/proc/{servers.pid_of(deployment)}/environ").read_text()


def test_one_that_is_killed_again_and_again_but_was_active_is_not_given_up_soon(cast: Cast, tmp_path: Path) -> None:
    deployment = deploy(cast, tmp_path)
    with keeper(Timing(backoff_first_s=0.01, backoff_max_s=0.01, max_crashes=1, max_short_lives=3)) as servers:
        for _kill in range(2):
            activate(servers, deployment)
            os.kill(servers.pid_of(deployment) or 0, signal.SIGKILL)
            until(servers, lambda: not is_in(deployment, Status.ACTIVE))
        activate(servers, deployment)
        os.kill(servers.pid_of(deployment) or 0, signal.SIGKILL)
        until(servers, lambda: is_in(deployment, Status.FAILED))
