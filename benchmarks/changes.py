"""A deployment under load whose model is changed and rolled back, and which is restarted and killed, again and again.

python -m benchmarks.changes [--requests 100000] [--clients 64] [--seed N]

Every answer is checked against the model that it says it is of. Prints what was done and the figures; ends with 1 on a
wrong answer, one after more than 5 s, or a request that failed while nothing was killed.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.e2e.changes import Deployed, deployed_on_a_site
from tests.e2e.load import Load
from tests.e2e.site import wait_until

BETWEEN_S = 4.0
WARM = 0.1  # of the requests, until memory is compared


def change(deployed: Deployed, load: Load) -> None:
    deployed.until_serves(deployed.change())


def roll_back(deployed: Deployed, load: Load) -> None:
    deployed.until_serves(deployed.roll_back())


def kill_new(deployed: Deployed, load: Load) -> None:
    """The model server that is to take over; the one that serves goes on."""
    number = deployed.change()
    deployed.server_of(number).kill()
    deployed.until_serves(number)


def kill_server(deployed: Deployed, load: Load) -> None:
    number = deployed.now()["version"]
    with load.killed():
        deployed.server_of(number).kill()
        time.sleep(0.5)
        deployed.until_serves(number)


def kill_keeper(deployed: Deployed, load: Load) -> None:
    """In the middle of a change; it takes all model servers with it."""
    number = deployed.change()
    with load.killed():
        deployed.running.find("manage.py keep")[0].kill()
        deployed.until_serves(number)


def restart(deployed: Deployed, load: Load) -> None:
    with load.killed():
        deployed.site.post(f"{deployed.path}stop/", {})
        wait_until(lambda: deployed.now()["status"] == "stopped", timeout_s=30, what="it is stopped")
        deployed.site.post(f"{deployed.path}start/", {})
        deployed.site.wait(deployed.path)


DEEDS: dict[str, Callable[[Deployed, Load], None]] = {
    "change": change,
    "roll back": roll_back,
    "kill the new": kill_new,
    "kill the server": kill_server,
    "kill the keeper": kill_keeper,
    "restart": restart,
}


def megabytes(deployed: Deployed) -> dict[str, int]:
    """Resident memory by part of the site."""
    parts = {"serving": "serving_wsgi", "keeper": "manage.py keep", "model server": "deployments.modelserver"}
    return {
        name: sum(process.memory_info().rss for process in deployed.running.find(words)) // 1_000_000
        for name, words in parts.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000, help="answers to wait for (default 100,000)")
    parser.add_argument("--clients", type=int, default=64, help="that send at the same time (default 64)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order of the deeds")
    arguments = parser.parse_args()
    chance, done = random.Random(arguments.seed), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="changes-") as folder, deployed_on_a_site(Path(folder)) as deployed:
        began, before = time.monotonic(), None
        with deployed.load(clients=arguments.clients) as load:
            change(deployed, load)
            while load.count < arguments.requests and not load.faults:
                deed = chance.choice([*DEEDS])
                DEEDS[deed](deployed, load)
                done[deed] += 1
                time.sleep(BETWEEN_S)
                if before is None and load.count >= arguments.requests * WARM:
                    before = megabytes(deployed)
            after = megabytes(deployed)
        seconds = time.monotonic() - began
    print(f"seed {arguments.seed}: {load.count} right answers in {seconds:.0f} s, slowest {load.slowest_s:.2f} s")
    print(f"done meanwhile: {dict(done)}; refused while killed or stopped: {dict(load.refused)}")
    print(f"MB after {WARM:.0%} of them {before}, at the end {after}")
    print("\n".join(load.faults) or "no answer wrong or late, and no request failed but while killed or stopped")
    return 1 if load.faults else 0


if __name__ == "__main__":
    sys.exit(main())
