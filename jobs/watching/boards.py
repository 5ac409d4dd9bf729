"""TensorBoard over trainings: its process, which runs while somebody looks, is told of their epochs as they come."""

import datetime
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Any

from django.db.models import Max, Min, Q
from django.urls import reverse

from jobs.boards.process import Answer, BoardEnded, BoardProcess
from jobs.models import EpochMetrics, Training
from jobs.watching.monitoring import thinned

MOST_TRAININGS = 20  # at once
MOST_KEPT = 2 * MOST_TRAININGS  # told to the process; of those not looked at for longest it forgets
MOST_EPOCHS = 2000  # of a training; beyond them a choice with every extreme
START_S = 20


def tensorboard_url(trainings: Iterable[Training]) -> str:
    """Where TensorBoard shows these trainings; "" for none, and for more than it takes."""
    pks = [training.pk for training in trainings]
    if not 1 <= len(pks) <= MOST_TRAININGS:
        return ""
    return reverse("jobs:tensorboard", args=["-".join(map(str, pks))])


class NotReady(Exception):
    """It is being started."""


class NotStarted(Exception):
    """It could not be started; the message says why."""


@dataclass
class _Told:
    """What the process knows of a training."""

    at: float = float("-inf")
    until: datetime.datetime | None = None  # the time of the latest epoch that it was told of
    epochs: int = 0
    ended_attempt: int | None = None  # all of this attempt was told, which has ended


class Boards:
    """This process's TensorBoard, for any number of threads. Several web workers have one each."""

    def __init__(self, *, fresh_s: float = 2, **options: Any) -> None:
        self._fresh_s = fresh_s  # what was told so recently is not looked for again
        self._options = options
        self._lock = threading.Lock()
        self._process: BoardProcess | None = None
        self._told: OrderedDict[int, _Told] = OrderedDict()  # the one looked at last is at the end

    def ask(
        self,
        trainings: Sequence[Training],
        path: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        patience_s: float = START_S,
    ) -> Answer:
        """TensorBoard's answer for `path`, after it was told what is new of the trainings.

        Raises:
            NotReady: it did not start within `patience_s`.
            NotStarted: it cannot start.
            BoardEnded: it did not answer, twice.
        """
        path = path.removeprefix("experiment/defaultExperimentId/")  # as its pages call what the address names

        def asked() -> Answer:
            process = self._started(patience_s)
            if path.startswith("data/"):
                self._tell(process, trainings)
            ids = "-".join(str(training.pk) for training in trainings)
            return process.request(method, f"/experiment/{ids}/{path}", body=body, headers=headers)

        try:
            return asked()
        except BoardEnded:  # perhaps just as it was asked, for nobody had looked so long
            return asked()

    def end(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process:
                self._process.end()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and not self._process.has_ended else None

    def _started(self, patience_s: float) -> BoardProcess:
        with self._lock:
            if self._process is None or self._process.has_ended:
                self._process = BoardProcess(**self._options)
                self._told.clear()
            process = self._process
        if process.wait_ready(patience_s):
            return process
        if failure := process.failure:
            raise NotStarted(failure)
        raise NotReady

    def _tell(self, process: BoardProcess, trainings: Sequence[Training]) -> None:
        with self._lock:
            if process is not self._process:
                raise BoardEnded
            now = time.monotonic()
            news = [training for training in trainings if self._may_have_news(training, now)]
            for training in trainings:
                self._told.setdefault(training.pk, _Told())
                self._told.move_to_end(training.pk)
            forgotten = [*self._told][: max(len(self._told) - MOST_KEPT, 0)]
            if not news:
                return
            message = {"forget": forgotten, "trainings": self._news(news, now)}
            if process.request("POST", "/trainings", body=json.dumps(message).encode()).status != HTTPStatus.OK:
                process.end()  # what it knows and what it was told are no longer the same
                raise BoardEnded
            for pk in forgotten:
                del self._told[pk]

    def _may_have_news(self, training: Training, now: float) -> bool:
        told = self._told.get(training.pk)
        return told is None or (told.ended_attempt != training.attempt and now - told.at >= self._fresh_s)

    def _news(self, trainings: Sequence[Training], now: float) -> list[dict[str, Any]]:
        """What `Trainings.tell` reads. Two queries; an epoch that is repeated has a later time and comes again."""
        wanted = Q()
        for training in trainings:
            told = self._told[training.pk]
            if told.epochs > 2 * MOST_EPOCHS:
                told.until = None  # all of it anew, and fewer
            wanted |= Q(training=training) if told.until is None else Q(training=training, time__gt=told.until)
        rows = EpochMetrics.objects.filter(wanted).order_by("training", "epoch")
        ranges = rows.order_by().values_list("training").annotate(Min("epoch"), Max("epoch"))
        spans = {pk: last - first + 1 for pk, first, last in ranges}
        values = rows.values_list("training", "epoch", "time", "metrics").iterator(chunk_size=2000)
        epochs = {
            pk: [
                *thinned(
                    ({**metrics, "epoch": epoch, "time": time} for _pk, epoch, time, metrics in of_one),
                    span=spans[pk],
                    points=MOST_EPOCHS,
                )
            ]
            for pk, of_one in groupby(values, key=lambda row: row[0])
        }
        return [self._told_now(training, epochs.get(training.pk, []), now) for training in trainings]

    def _told_now(self, training: Training, epochs: list[dict[str, Any]], now: float) -> dict[str, Any]:
        told = self._told[training.pk]
        whole = told.until is None
        self._told[training.pk] = _Told(
            at=now,
            until=max((row["time"] for row in epochs), default=told.until),
            epochs=len(epochs) + (0 if whole else told.epochs),
            ended_attempt=training.attempt if training.is_final else None,
        )
        return {
            "id": training.pk,
            "name": training.name,
            "hyperparameters": training.hyperparameters,
            "whole": whole,
            "epochs": [{**row, "time": row["time"].timestamp()} for row in epochs],
        }


boards = Boards()
