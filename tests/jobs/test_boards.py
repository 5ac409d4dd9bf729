"""TensorBoard's process, and what it is told: a real one each time."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db.models import F
from tensorboard.data import provider

from dlmodeler_site import sentences
from dlmodeler_site.compute.local import ROOT
from dlmodeler_site.work.models import Status
from jobs.boards.process import BoardProcess
from jobs.boards.provider import TrainingsProvider
from jobs.boards.trainings import Trainings
from jobs.models import EpochMetrics, Training
from jobs.watching import boards as told
from jobs.watching.boards import Boards, NotStarted, tensorboard_url
from tests.cast import Cast, make_cast
from tests.jobs.test_training_pages import learn, make_training

RUNS = "data/runs"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture(scope="module")
def running() -> Iterator[Boards]:
    made = Boards(fresh_s=0)
    yield made
    made.end()


@pytest.fixture
def boards(running: Boards) -> Boards:
    running._told.clear()  # ids come again after a rolled-back test, which they do not otherwise
    return running


def epoch(number: int, **values: Any) -> dict[int, dict[str, Any]]:
    return {number: values}


def ask(boards: Boards, trainings: list[Training], path: str = RUNS) -> Any:
    answer = boards.ask(trainings, path)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def losses(boards: Boards, training: Training, part: str = "train") -> list[list[float]]:
    """[step, value] of the loss as TensorBoard draws it."""
    path = f"data/plugin/scalars/scalars?tag=loss&run={training.name}/{part}"
    return [[step, value] for _time, step, value in ask(boards, [training], path)]


def until(holds: Callable[[], bool], *, timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- What it shows ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_training_and_validation_are_runs_with_the_same_tags(cast: Cast, boards: Boards) -> None:
    first, second = make_training(cast), make_training(cast, "second")
    learn(first, {1: {"loss": 2.0, "val_loss": 2.5, "stage": "head"}, 2: {"loss": 1.0, "val_loss": None}})
    learn(second, epoch(1, loss=3.0))
    assert ask(boards, [first, second]) == ["first/train", "first/validation", "second/train"]
    tags = ask(boards, [first, second], "data/plugin/timeseries/tags")["scalars"]["runTagInfo"]
    assert tags == {"first/train": ["loss"], "first/validation": ["loss"], "second/train": ["loss"]}
    assert losses(boards, first) == [[1, 2.0], [2, 1.0]]
    assert losses(boards, first, "validation") == [[1, 2.5]]
    assert ask(boards, [second]) == ["second/train"]


@pytest.mark.django_db
def test_new_epochs_and_repeated_ones_are_shown_at_the_next_look(cast: Cast, boards: Boards) -> None:
    training = make_training(cast, status=Status.RUNNING, attempt=1)
    learn(training, {1: {"loss": 3.0}, 2: {"loss": 2.0}})
    assert losses(boards, training) == [[1, 3.0], [2, 2.0]]
    learn(training, epoch(3, loss=1.0))
    assert losses(boards, training) == [[1, 3.0], [2, 2.0], [3, 1.0]]
    # Another attempt begins after epoch 1.
    training.attempt = 2
    EpochMetrics.objects.filter(epoch=2).update(
        metrics={"loss": 2.5}, attempt=2, time=F("time") + datetime.timedelta(1)
    )
    assert losses(boards, training) == [[1, 3.0], [2, 2.5], [3, 1.0]]


@pytest.mark.django_db
def test_ended_training_is_told_once_and_again_after_it_went_on(
    cast: Cast, boards: Boards, django_assert_num_queries: Any
) -> None:
    training = make_training(cast, status=Status.CANCELLED, attempt=1)
    learn(training, epoch(1, loss=3.0))
    assert len(losses(boards, training)) == 1
    with django_assert_num_queries(0):
        losses(boards, training)
    learn(training, epoch(2, loss=2.0), attempt=2)
    training.attempt = 2
    assert len(losses(boards, training)) == 2


@pytest.mark.django_db
def test_queries_do_not_grow_with_the_trainings(cast: Cast, boards: Boards, django_assert_num_queries: Any) -> None:
    trainings = [make_training(cast, f"t{number:02}") for number in range(20)]
    for training in trainings:
        learn(training, epoch(1, loss=3.0))
    with django_assert_num_queries(2):
        ask(boards, trainings[:1])
    with django_assert_num_queries(2):
        assert len(ask(boards, trainings)) == 20


@pytest.mark.django_db
def test_ten_thousand_epochs_are_told_as_few(cast: Cast, boards: Boards) -> None:
    training = make_training(cast)
    learn(training, {number: {"loss": 99.0 if number == 7777 else 1 / number} for number in range(1, 10_001)})
    points = losses(boards, training)
    assert 250 < len(points) <= 1000
    assert [points[0][0], points[-1][0]] == [1, 10_000]
    assert [7777, 99.0] in points
    assert 0 < boards._told[training.pk].epochs <= told.MOST_EPOCHS + 1


@pytest.mark.django_db
def test_trainings_that_nobody_looks_at_are_forgotten(cast: Cast, boards: Boards) -> None:
    trainings = [make_training(cast, f"t{number:02}") for number in range(told.MOST_KEPT + 1)]
    for training in trainings:
        learn(training, epoch(1, loss=3.0))
    for training in trainings:
        ask(boards, [training])
    process = boards._process
    assert process
    known = [json.loads(process.request("GET", f"/experiment/{each.pk}/{RUNS}").body) for each in trainings]
    assert known == [[], *([f"{each.name}/train"] for each in trainings[1:])]
    assert ask(boards, trainings[:1]) == ["t00/train"]


@pytest.mark.django_db
def test_hyperparameters_are_shown_in_a_table_of_trainings(cast: Cast, boards: Boards) -> None:
    first = make_training(cast, hyperparameters={"lr": 0.1, "flip": True, "network": "original", "seed": None})
    second = make_training(cast, "second", hyperparameters={"lr": 1, "flip": True, "network": "transfer"})
    for training in (first, second):
        learn(training, epoch(1, loss=3.0, val_loss=4.0))
    asked = json.dumps({"startIndex": 0, "sliceSize": 10, "allowedStatuses": ["STATUS_UNKNOWN"]})
    path = f"data/plugin/hparams/session_groups?request={asked.replace(' ', '')}".replace('"', "%22")
    groups = ask(boards, [first, second], path)["sessionGroups"]
    assert [(group["name"], group["hparams"]) for group in groups] == [
        ("first", {"lr": 0.1, "flip": True, "network": "original"}),
        ("second", {"lr": 1.0, "flip": True, "network": "transfer"}),
    ]
    metrics = [(value["name"]["group"], value["name"]["tag"], value["value"]) for value in groups[0]["metricValues"]]
    assert sorted(metrics) == [("train", "loss", 3.0), ("validation", "loss", 4.0)]


def test_hyperparameters_of_several_types_are_texts_and_are_found_and_sorted() -> None:
    trainings = Trainings()
    given: list[Any] = [1, "auto", 3]
    news = [
        {"id": pk, "name": f"t{pk}", "hyperparameters": {"batch": value, "lr": pk}, "whole": True, "epochs": []}
        for pk, value in enumerate(given, start=1)
    ]
    trainings.tell({"forget": [], "trainings": news})
    board = TrainingsProvider(trainings)
    batch = {
        each.hyperparameter_name: each for each in board.list_hyperparameters(experiment_ids=["1-2-3"]).hyperparameters
    }
    assert batch["batch"].domain == ["1", "3", "auto"]
    assert batch["lr"].domain == (1.0, 3.0)

    def found(**asked: Any) -> list[str]:
        return [group.root.run for group in board.read_hyperparameters(experiment_ids=["1-2-3"], **asked)]

    kinds, order = provider.HyperparameterFilterType, provider.HyperparameterSortDirection
    assert found(filters=[provider.HyperparameterFilter("lr", kinds.INTERVAL, (2, 9))]) == ["t2", "t3"]
    assert found(filters=[provider.HyperparameterFilter("batch", kinds.DISCRETE, ["auto", "1"])]) == ["t1", "t2"]
    assert found(filters=[provider.HyperparameterFilter("batch", kinds.REGEX, "^a")]) == ["t2"]
    assert found(sort=[provider.HyperparameterSort("batch", order.ASCENDING)]) == ["t1", "t3", "t2"]
    assert found(sort=[provider.HyperparameterSort("lr", order.DESCENDING)]) == ["t3", "t2", "t1"]


def test_address_is_that_of_one_to_twenty_trainings() -> None:
    assert tensorboard_url([Training(pk=12), Training(pk=5)]) == "/tensorboard/12-5/"
    assert tensorboard_url([]) == tensorboard_url([Training(pk=pk) for pk in range(21)]) == ""


# -- Its process -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_process_has_neither_tensorflow_nor_anything_of_the_sites_environment(
    cast: Cast, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLM_SECRET_KEY", "not to be told")
    ask(boards, [make_training(cast)])
    process = Path(f"/proc/{boards.pid}")
    assert "tensorflow" not in (process / "maps").read_text()
    assert b"not to be told" not in (process / "environ").read_bytes()
    assert "numpy" in (process / "maps").read_text()


@pytest.mark.django_db
def test_two_who_look_at_the_same_moment_start_one_process(cast: Cast) -> None:
    boards = Boards()
    training = make_training(cast)
    before = _below()
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = [*threads.map(lambda _number: boards.ask([training], "index.html").status, range(8))]
        assert answers == [200] * 8
        assert _below() - before == {boards.pid}
    finally:
        boards.end()


def _below() -> set[int | None]:
    below = psutil.Process().children(recursive=True)
    return {each.pid for each in below if each.status() != psutil.STATUS_ZOMBIE and "jobs.boards" in each.cmdline()}


@pytest.mark.django_db
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_died_or_hangs_is_replaced(cast: Cast, number: signal.Signals) -> None:
    boards = Boards(fresh_s=0, timeout_s=3)
    try:
        training = make_training(cast)
        learn(training, epoch(1, loss=3.0))
        ask(boards, [training])
        first = boards.pid
        assert first
        os.kill(first, number)
        assert ask(boards, [training]) == ["first/train"]
        assert boards.pid not in (None, first)
        assert not psutil.pid_exists(first)
    finally:
        boards.end()


@pytest.mark.django_db
def test_it_ends_when_nobody_looks_and_comes_back(cast: Cast) -> None:
    boards = Boards(fresh_s=0, idle_s=0.5)
    try:
        training = make_training(cast)
        learn(training, epoch(1, loss=3.0))
        ask(boards, [training])
        first = boards.pid
        assert first
        until(lambda: not psutil.pid_exists(first))
        assert boards.pid is None
        assert ask(boards, [training]) == ["first/train"]
    finally:
        boards.end()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(number: signal.Signals) -> None:
    code = (
        "import threading, time\n"
        "from jobs.boards.process import BoardProcess\n"
        "board = []\n"
        "thread = threading.Thread(target=lambda: board.append(BoardProcess()))\n"  # as threads of a web server may
        "thread.start(); thread.join()\n"
        "assert board[0].wait_ready(20)\n"
        "print(board[0].pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        parent.send_signal(number)
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_why_it_cannot_start_is_told() -> None:
    missing = "import sys\nsys.modules['tensorboard'] = None\nfrom jobs.boards.__main__ import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", missing], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert sentences.loads(done.stdout) == "it is not installed (tensorboard is missing); `make setup` installs it."
    board = BoardProcess(idle_s="never")  # type: ignore[arg-type]
    assert not board.wait_ready(20)
    assert board.failure == "it ended with exit code 2."
    with pytest.raises(NotStarted, match="exit code 2"):
        Boards(idle_s="never").ask([], "")
