"""A training whose process is killed goes on as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlmodeler_site.compute.run_folder import RunFolder
from tests.jobs import tabulated, transferred
from tests.jobs.trained import EPOCHS

COMPARED = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
TRAINED, TRANSFERRED, TABULATED = (f"tests.jobs.{name}" for name in ("trained", "transferred", "tabulated"))


def start(run: RunFolder, module: str, *options: str) -> subprocess.Popen[bytes]:
    with open(run.path / "log.txt", "ab") as log:
        return subprocess.Popen([sys.executable, "-m", module, str(run.path), *options], stdout=log, stderr=log)


def told(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.read_events(0)[0] if event["type"] == kind]


def newest_epochs(run: RunFolder) -> dict[int, dict[str, Any]]:
    """As the site keeps them: an epoch that comes again replaces the one before."""
    return {event["epoch"]: event for event in told(run, "epoch")}


def went_on_after(run: RunFolder) -> list[str]:
    texts = [event["text"] for event in told(run, "message")]
    return [text.rpartition("going on after epoch ")[2] for text in texts if "going on after epoch" in text]


def kill_when(run: RunFolder, module: str, moment: Callable[[], bool], *, delay_s: float) -> None:
    process = start(run, module)
    try:
        deadline = time.monotonic() + 200
        while not moment() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay_s)
        assert process.poll() is None, run.log_tail()
    finally:
        process.kill()
        process.wait()


def assert_same_epochs(run: RunFolder, whole: RunFolder, *, epochs: int) -> None:
    found, expected = newest_epochs(run), newest_epochs(whole)
    assert found.keys() == expected.keys() == set(range(1, epochs + 1))
    for epoch, event in expected.items():
        for name in COMPARED:
            assert found[epoch]["metrics"][name] == pytest.approx(event["metrics"][name], abs=1e-3), (epoch, name)


@pytest.mark.timeout(600)  # beside much other work; by itself it takes seconds
def test_epochs_after_a_kill_are_those_of_an_uninterrupted_training(tmp_path: Path) -> None:
    chance = random.Random(4)
    whole, run = (RunFolder.create(tmp_path / name, {}) for name in ("whole", "run"))
    uninterrupted = start(whole, TRAINED)
    for _kill in range(2):
        wanted = len(newest_epochs(run)) + chance.randrange(2, 7)
        kill_when(run, TRAINED, lambda: len(newest_epochs(run)) >= wanted, delay_s=chance.random() * 0.1)  # noqa: B023
    assert start(run, TRAINED).wait(timeout=200) == 0, run.log_tail()
    assert uninterrupted.wait(timeout=200) == 0, whole.log_tail()
    assert len(went_on_after(run)) == 2
    assert_same_epochs(run, whole, epochs=EPOCHS)
    results = [each.result() for each in (run, whole)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0]["epoch"] == results[1]["epoch"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_transfer_goes_on_wherever_it_was_killed(tmp_path: Path) -> None:
    whole, run = (transferred.make_run(tmp_path / name) for name in ("whole", "run"))
    caches = [tmp_path / name / "cache" for name in ("whole", "run")]
    uninterrupted = start(whole, TRANSFERRED)

    def die(moment: str) -> None:
        assert start(run, TRANSFERRED, moment).wait(timeout=200) == -signal.SIGKILL, run.log_tail()

    die("features")
    assert len(list(caches[1].glob("*.npy"))) == 1, "the pixels, for no array of features is whole"
    assert list(caches[1].glob(".*.rows-*"))
    die("head")
    assert not list(caches[1].glob(".*"))
    die("between")
    head = transferred.HEAD_EPOCHS
    kill_when(run, TRANSFERRED, lambda: len(newest_epochs(run)) > head + 1, delay_s=random.Random(4).random() * 0.1)
    die("replacing")
    assert not run.checkpoint.exists()
    assert start(run, TRANSFERRED).wait(timeout=200) == 0, run.log_tail()
    assert uninterrupted.wait(timeout=200) == 0, whole.log_tail()

    after = [int(epoch) for epoch in went_on_after(run)]
    assert after == sorted(after)
    assert after.count(head) == 1, "the one that was killed between the stages"
    assert max(after) > head
    assert_same_epochs(run, whole, epochs=head + transferred.FINE_TUNING_EPOCHS)
    for path in caches[0].glob("*.npy"):
        assert np.array_equal(np.load(path), np.load(caches[1] / path.name)), path.name
    metrics = [each.result()["metrics"] for each in (run, whole)]  # type: ignore[index]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_on_a_table_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    chance = random.Random(6)
    whole, run = (tabulated.make_run(tmp_path / name) for name in ("whole", "run"))
    uninterrupted = start(whole, TABULATED)
    for _kill in range(2):
        wanted = len(newest_epochs(run)) + chance.randrange(3, 15)
        kill_when(run, TABULATED, lambda: len(newest_epochs(run)) >= wanted, delay_s=chance.random() * 0.1)  # noqa: B023
    assert start(run, TABULATED).wait(timeout=240) == 0, run.log_tail()
    assert uninterrupted.wait(timeout=240) == 0, whole.log_tail()
    after = [int(epoch) for epoch in went_on_after(run)]
    assert len(after) == 2
    assert 0 < after[0] < after[1]
    assert_same_epochs(run, whole, epochs=tabulated.EPOCHS)
    results = [each.result() for each in (run, whole)]
    for name in ("metrics", "baselines", "importance"):
        of_run, of_whole = ([*_numbers(each, name)] for each in results)
        assert of_run == pytest.approx(of_whole, abs=1e-3), name
    evaluations = [(each.output / "evaluation" / "evaluation.jsonl").read_text() for each in (run, whole)]
    predicted = [[json.loads(line)["predicted"] for line in text.splitlines()] for text in evaluations]
    assert predicted[0] == predicted[1]


def _numbers(result: dict[str, Any] | None, name: str) -> Iterator[float]:
    assert result is not None
    for each in result[name] if isinstance(result[name], list) else [result[name]]:
        yield from (value for value in each.values() if isinstance(value, float))
