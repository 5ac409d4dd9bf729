"""Models change and are rolled back under load on a whole site: no request fails, none gets a wrong answer."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.changes import Deployed, deployed_on_a_site
from tests.e2e.kills import ANSWER_TIMEOUT_S
from tests.e2e.site import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed_on_a_site(tmp_path_factory.mktemp("site")) as deployed:
        yield deployed


def test_no_request_fails_while_models_change_are_rolled_back_or_do_not_come_up(deployed: Deployed) -> None:
    with deployed.load() as load:
        for _time in range(2):
            deployed.until_serves(deployed.change())
        for _time in range(2):
            deployed.until_serves(deployed.roll_back())
        serving = deployed.now()["version"]
        number = deployed.change_to("broken")
        wait_until(lambda: deployed.now()["next_version"] is None, timeout_s=90, what="it is given up")
        version = deployed.site.get(f"{deployed.path}versions/")["results"][0]
        assert (version["number"], version["status"]) == (number, "failed")
        assert "No engine can be loaded" in version["error"]
        assert deployed.now()["version"] == serving
        time.sleep(1)
    assert not load.faults, load.faults[:5]
    assert sorted(load.answered) == [1, 2, 3]
    assert load.count > 500


def test_a_change_survives_the_kill_of_every_process(deployed: Deployed) -> None:
    with deployed.load() as load:
        number = deployed.change()
        deployed.server_of(number).kill()  # the other one goes on answering
        deployed.until_serves(number)

        number = deployed.change()
        for process in deployed.running.find("gunicorn", "dlmodeler_site.wsgi"):
            process.kill()
        wait_until(deployed.running.is_ready, timeout_s=60, what="the site is ready")
        deployed.until_serves(number)

        number = deployed.change()
        with load.killed():
            deployed.server_of(deployed.now()["version"]).kill()
            deployed.until_serves(number)

        number = deployed.roll_back()
        with load.killed():
            (keeper,) = deployed.running.find("manage.py keep")
            keeper.kill()  # and with it all model servers
            began = time.monotonic()
            deployed.until_serves(number)
            assert time.monotonic() - began < ANSWER_TIMEOUT_S
        time.sleep(3)
    assert not load.faults, load.faults[:5]
    assert load.count > 500
    assert len(deployed.running.find("-m deployments.modelserver")) == 1, "the others drained and ended"


def test_of_many_changes_at_once_the_last_one_serves(deployed: Deployed) -> None:
    with deployed.load() as load:
        number = 0
        for name in ("other", "colours") * 4:
            if deployed.now()["next_version"] or name != deployed.now()["training_name"]:
                number = deployed.change_to(name)
            time.sleep(0.3)
        deployed.until_serves(number)
        time.sleep(4)
    assert not load.faults, load.faults[:5]
    assert len(deployed.running.find("-m deployments.modelserver")) == 1
