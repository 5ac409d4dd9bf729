"""A training whose process is killed goes on as if nothing had happened."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dlmodeler_site.compute.run_folder import RunFolder
from tests.jobs.trained import EPOCHS

COMPARED = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    with open(run.path / "log.txt", "ab") as log:
        return subprocess.Popen([sys.executable, "-m", "tests.jobs.trained", str(run.path)], stdout=log, stderr=log)


def newest_epochs(run: RunFolder) -> dict[int, dict[str, Any]]:
    """As the site keeps them: an epoch that comes again replaces the one before."""
    return {event["epoch"]: event for event in run.read_events(0)[0] if event["type"] == "epoch"}


def kill_after(run: RunFolder, *, epoch: int, delay_s: float) -> None:
    process = start(run)
    try:
        deadline = time.monotonic() + 60
        while len(newest_epochs(run)) < epoch and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay_s)
        assert process.poll() is None, run.log_tail()
    finally:
        process.kill()
        process.wait()


def test_epochs_after_a_kill_are_those_of_an_uninterrupted_training(tmp_path: Path) -> None:
    chance = random.Random(4)
    whole, run = (RunFolder.create(tmp_path / name, {}) for name in ("whole", "run"))
    uninterrupted = start(whole)
    for _kill in range(2):
        done = len(newest_epochs(run))
        kill_after(run, epoch=done + chance.randrange(2, 7), delay_s=chance.random() * 0.1)
    assert start(run).wait(timeout=60) == 0, run.log_tail()
    assert uninterrupted.wait(timeout=60) == 0, whole.log_tail()
    resumed = [event["text"] for event in run.read_events(0)[0] if event["type"] == "message"]
    assert sum("going on after epoch" in text for text in resumed) == 2
    found, expected = newest_epochs(run), newest_epochs(whole)
    assert found.keys() == expected.keys() == set(range(1, EPOCHS + 1))
    for epoch, event in expected.items():
        for name in COMPARED:
            assert found[epoch]["metrics"][name] == pytest.approx(event["metrics"][name], abs=1e-3), (epoch, name)
    results = [each.result() for each in (run, whole)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0]["epoch"] == results[1]["epoch"]
