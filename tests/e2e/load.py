"""Load on a deployment whose model changes: every answer is checked against the model that it says it is of."""

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from PIL import Image

from tests.e2e.site import wait_until

COLOURS = {10: (200, 0, 0), 20: (0, 200, 0), 30: (0, 0, 200)}


@dataclass
class Load:
    """Clients that send the next image as soon as they have their answer.

    `offsets` says by the name of a model what it adds to a colour's label. `faults` holds what must not have happened.
    """

    address: str
    token: str
    offsets: dict[str, int]
    clients: int = 8
    longest_s: float = 5.0
    answered: Counter[int] = field(default_factory=Counter)  # by version
    refused: Counter[str] = field(default_factory=Counter)  # while killed, by reason
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        self._images = {label: _png(colour) for label, colour in COLOURS.items()}
        self._end = threading.Event()
        self._killed = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(self.clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        return sum(self.answered.values())

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Inside, requests may be refused with 503; until the block is left everybody must be answered again."""
        self._killed.set()
        try:
            yield
            wait_until(self._is_answered, timeout_s=20, what="requests are answered again")
        finally:
            self._killed.clear()

    def _is_answered(self) -> bool:
        """Whether one second went by without a refusal."""
        before = self.count, self.refused.total()
        time.sleep(1)
        return self.count > before[0] and self.refused.total() == before[1]

    def _send(self, seed: int) -> None:
        chance, session = random.Random(seed), requests.Session()
        while not self._end.is_set():
            label = chance.choice([*COLOURS])
            may_fail = self._killed.is_set()
            began = time.monotonic()
            try:
                answer = session.post(
                    f"{self.address}/predict?format=json",
                    self._images[label],
                    headers={"token": self.token, "Content-Type": "image/png"},
                    timeout=30,
                )
                fault = self._fault(answer, label, may_fail=may_fail or self._killed.is_set())
            except requests.RequestException as error:
                fault = str(error)
            took_s = time.monotonic() - began
            with self._lock:
                self.slowest_s = max(self.slowest_s, took_s)
                if fault or took_s > self.longest_s:
                    self.faults.append(f"{time.strftime('%H:%M:%S')} {fault or 'late'} after {took_s:.2f} s")

    def _fault(self, answer: requests.Response, label: int, *, may_fail: bool) -> str:
        if answer.status_code == 503 and may_fail:
            with self._lock:
                self.refused[answer.json()["reason"]] += 1
            time.sleep(0.1)
            return ""
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json()
        expected = label + self.offsets[body["model"]["name"]]
        if body["predictions"][0]["label"] != expected:
            return f"{expected} was expected: {body}"
        with self._lock:
            self.answered[body["model"]["version"]] += 1
        return ""


def _png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()
