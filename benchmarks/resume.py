"""A training of the original network whose process is killed again and again, beside uninterrupted ones of its seed.

python -m benchmarks.resume [--images DIR --labels CSV] [--epochs N] [--kills N] [--whole N] [--interval S]

Each of --kills trainings is killed with SIGKILL at a random moment after its first checkpoint and goes on to its end.
Metrics of every epoch may differ from those of the first uninterrupted training by three times the spread of --whole
of them, or by 1e-3. --interval: seconds between checkpoints, which are 10 unless it is given. Exit code 1: not met.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.training import draw_digits, make_run_folder
from dlmodeler_site.compute.run_folder import RunFolder

_LEAST_TOLERANCE = 1e-3
_COMPARED = ("loss", "accuracy")
_WITH_INTERVAL = """
import sys
from jobs.algorithms import progress
progress.CHECKPOINT_INTERVAL_S = float(sys.argv.pop(1))
import runpy
runpy.run_module("jobs.algorithms", run_name="__main__")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--labels", type=Path, help="csv with a file name and a class in each row")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--whole", type=int, default=5)
    parser.add_argument("--interval", type=float, default=10.0)
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.labels is None):
        parser.error("--images and --labels go together")
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images, labels = arguments.images, arguments.labels
        if images is None:
            images, labels = draw_digits(work)

        def make_run(name: str) -> RunFolder:
            return make_run_folder(work / name, work / "cache", images, labels, arguments.epochs)

        whole = []
        for number in range(arguments.whole):
            run = make_run(f"whole-{number}")
            _finish(run, arguments.interval)
            whole.append(_metrics(run))
            print(f"uninterrupted {number + 1}: loss {whole[-1][-1, 0]:.6f}", flush=True)
        spread = np.max([np.abs(a - b) for a in whole for b in whole], axis=0)
        tolerance = np.maximum(3 * spread, _LEAST_TOLERANCE)
        print(f"greatest spread of a loss {spread[:, 0].max():.2e}, of an accuracy {spread[:, 1].max():.2e}")
        failed = 0
        for number in range(arguments.kills):
            run = make_run(f"killed-{number}")
            killed_at = _kill(run, chance, arguments.epochs, arguments.interval)
            _finish(run, arguments.interval)
            went_on_after = _went_on_after(run)
            difference = np.abs(_metrics(run) - whole[0])
            met = bool(np.all(difference <= tolerance))
            failed += not met
            found = f"loss {difference[:, 0].max():.2e}, accuracy {difference[:, 1].max():.2e}"
            told = f"killed in epoch {killed_at}, gone on after {went_on_after}: greatest difference {found}"
            print(told if met else f"{told}  NOT MET", flush=True)
        return 1 if failed else 0


def _start(run: RunFolder, interval_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WITH_INTERVAL, str(interval_s), str(run.path)]
    with open(run.log, "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": os.getcwd()})


def _finish(run: RunFolder, interval_s: float) -> None:
    if _start(run, interval_s).wait():
        raise SystemExit(f"The training failed:\n{run.log_tail()}")


def _kill(run: RunFolder, chance: random.Random, epochs: int, interval_s: float) -> int:
    """Kill it in an epoch drawn by chance, once it has a checkpoint; answers the epoch."""
    wanted = chance.randrange(1, epochs - 1)
    process = _start(run, interval_s)
    while process.poll() is None and not (run.checkpoint.exists() and _done(run) >= wanted):
        time.sleep(0.01)
    time.sleep(chance.random() * 0.2)
    process.kill()
    process.wait()
    if run.result() is not None:
        raise SystemExit("The training ended before it was killed: ask for more epochs.")
    return _done(run) + 1


def _went_on_after(run: RunFolder) -> str:
    said = [event["text"] for event in run.read_events(0)[0] if event["type"] == "message"]
    return next((text.rpartition("going on after ")[2] for text in reversed(said) if "going on" in text), "the start")


def _done(run: RunFolder) -> int:
    return max((event["epoch"] for event in run.read_events(0)[0] if event["type"] == "epoch"), default=0)


def _metrics(run: RunFolder) -> NDArray[np.float64]:
    """Loss and accuracy of every epoch, the newest where one came again: (epoch, 2)."""
    newest = {event["epoch"]: event["metrics"] for event in run.read_events(0)[0] if event["type"] == "epoch"}
    return np.array([[newest[epoch][name] for name in _COMPARED] for epoch in sorted(newest)])


if __name__ == "__main__":
    sys.exit(main())
