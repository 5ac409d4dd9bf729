"""A training whose process is killed again and again, beside uninterrupted ones of its seed.

python -m benchmarks.resume [--network original|transfer] [--images DIR --labels CSV] [--epochs N]
                            [--fine-tune-epochs N] [--kills N] [--whole N] [--interval S]

Each of --kills trainings is killed with SIGKILL and goes on to its end: one of the original network at a random moment
after its first checkpoint, those of transfer in turn in fine-tuning, while what the frozen layers see is computed, and
between the stages. Each has a cache of its own. Metrics of every epoch may differ from those of the first
uninterrupted training by three times the spread of --whole of them, or by 1e-3. --interval: seconds between
checkpoints, which are 10 unless it is given. Exit code 1: not met.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training import draw_digits, make_run_folder
from dlmodeler_site.compute.run_folder import RunFolder

_LEAST_TOLERANCE = 1e-3
_COMPARED = ("loss", "accuracy", "val_loss", "val_accuracy")  # where the training measures them
_WITH_INTERVAL = """
import sys
from jobs.algorithms import progress
progress.CHECKPOINT_INTERVAL_S = float(sys.argv.pop(1))
import runpy
runpy.run_module("jobs.algorithms", run_name="__main__")
"""


@dataclass(frozen=True)
class _Training:
    """A training in a run folder and a cache of its own; its stages have so many epochs."""

    run: RunFolder
    cache: Path
    epochs: Sequence[int]
    interval_s: float

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _WITH_INTERVAL, str(self.interval_s), str(self.run.path)]
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        with open(self.run.log, "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def finish(self) -> None:
        if self.start().wait():
            raise SystemExit(f"The training failed:\n{self.run.log_tail()}")

    def kill(self, when: Callable[[], bool], *, delay_s: float) -> None:
        """Kill it so long after the moment."""
        process = self.start()
        while process.poll() is None and not when():
            time.sleep(0.005)
        time.sleep(delay_s)
        process.kill()
        process.wait()
        if self.run.result() is not None:
            raise SystemExit("The training ended before it was killed: ask for more epochs.")

    def kill_after(self, chance: random.Random, *, first: int, last: int, delay_s: float = 0.2) -> str:
        """Kill it after an epoch drawn by chance, once it has a checkpoint; answers where that was."""
        wanted = chance.randrange(first, last)
        self.kill(lambda: self.run.checkpoint.exists() and self.done() >= wanted, delay_s=chance.random() * delay_s)
        return f"in epoch {self.done() + 1}"

    def kill_in_features(self, chance: random.Random) -> str:
        """Kill it while what the frozen layers see is computed and some of it is there."""
        self.kill(lambda: any(self.cache.glob(".*.rows-*")), delay_s=chance.random())
        if self.done():
            raise SystemExit("The features were computed before it was killed: give more images.")
        return "in the features"

    def kill_between_stages(self, chance: random.Random) -> str:
        """Kill it when the last epoch of the first stage is told, before or after its checkpoint."""
        self.kill(lambda: self.done() >= self.epochs[0], delay_s=chance.random() * 0.2)
        return f"after epoch {self.done()}, between the stages"

    def done(self) -> int:
        return max((event["epoch"] for event in self._told("epoch")), default=0)

    def went_on_after(self) -> str:
        said = [event["text"] for event in self._told("message")]
        told = (text.rpartition("going on after ")[2] for text in reversed(said) if "going on" in text)
        return next(told, "the start")

    def metrics(self) -> NDArray[np.float64]:
        """(epoch, metric) of `_COMPARED` as far as they are told, the newest where an epoch came again."""
        newest = {event["epoch"]: event["metrics"] for event in self._told("epoch")}
        return np.array([[newest[epoch].get(name, 0.0) for name in _COMPARED] for epoch in sorted(newest)])

    def _told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.run.read_events(0)[0] if event["type"] == kind]


def main() -> int:
    arguments = _arguments()
    epochs = [arguments.epochs]
    hyperparameters: dict[str, Any] = {"network": arguments.network, "epochs": arguments.epochs}
    if arguments.network == "transfer":
        epochs.append(arguments.fine_tune_epochs)
        hyperparameters |= {"fine_tune_epochs": arguments.fine_tune_epochs, "early_stopping": False}
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images, labels = arguments.images, arguments.labels
        if images is None:
            images, labels = draw_digits(work)

        def make(name: str) -> _Training:
            cache = work / f"cache-{name}"
            run = make_run_folder(work / name, cache, images, labels, **hyperparameters)
            return _Training(run, cache, epochs, arguments.interval)

        whole = []
        for number in range(arguments.whole):
            training = make(f"whole-{number}")
            training.finish()
            whole.append(training.metrics())
            print(f"uninterrupted {number + 1}: loss {whole[-1][-1, 0]:.6f}", flush=True)
        spread = np.max([np.abs(a - b) for a in whole for b in whole], axis=0)
        tolerance = np.maximum(3 * spread, _LEAST_TOLERANCE)
        print(f"greatest spread of a {_named(spread)}")
        failed = 0
        for number in range(arguments.kills):
            training = make(f"killed-{number}")
            killed = _kill(training, number, chance)
            training.finish()
            difference = np.abs(training.metrics() - whole[0])
            met = bool(np.all(difference <= tolerance))
            failed += not met
            told = f"killed {killed}, gone on after {training.went_on_after()}: greatest difference of "
            print(told + _named(difference) + ("" if met else "  NOT MET"), flush=True)
        return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=("original", "transfer"), default="original")
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--labels", type=Path, help="csv with a file name and a class in each row")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--fine-tune-epochs", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--whole", type=int, default=5)
    parser.add_argument("--interval", type=float, default=10.0)
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.labels is None):
        parser.error("--images and --labels go together")
    if arguments.network == "transfer" and arguments.images is None:
        parser.error("--network transfer takes --images and --labels: features of 60 digits are there at once")
    return arguments


def _kill(training: _Training, number: int, chance: random.Random) -> str:
    """Kill the training in the way that its number asks for; answers where that was."""
    if len(training.epochs) == 1:
        return training.kill_after(chance, first=1, last=training.epochs[0] - 1)
    match number % 3:
        case 0:
            head, fine_tuning = training.epochs
            return training.kill_after(chance, first=head, last=head + fine_tuning - 1, delay_s=2)
        case 1:
            return training.kill_in_features(chance)
        case _:
            return training.kill_between_stages(chance)


def _named(differences: NDArray[np.float64]) -> str:
    greatest = differences.max(axis=0)
    return ", ".join(f"{name} {value:.2e}" for name, value in zip(_COMPARED, greatest, strict=True))


if __name__ == "__main__":
    sys.exit(main())
