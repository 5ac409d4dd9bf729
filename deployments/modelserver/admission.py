"""The bounded queue in front of the engine: wait a little, or be told at once to come back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.modelserver.errors import RequestError
from dlmodeler_site.sentences import Sentence as _

RETRY_AFTER_S = 1


class Admission:
    """Lets `active` requests work and `waiting` more wait, each at most `deadline_s`."""

    def __init__(self, *, active: int, waiting: int, deadline_s: float) -> None:
        self._active = threading.Semaphore(active)
        self._waiting = threading.Semaphore(waiting)
        self._places = waiting
        self._deadline_s = deadline_s

    @contextmanager
    def place(self) -> Iterator[float]:
        """Hold a place among the active ones; how many milliseconds the wait for it took.

        Raises:
            RequestError: 503 `overloaded`, when the queue is full or the wait was too long.
        """
        came = time.monotonic()
        if not self._active.acquire(blocking=False):
            self._wait()
        try:
            yield 1000 * (time.monotonic() - came)
        finally:
            self._active.release()

    def _wait(self) -> None:
        if not self._waiting.acquire(blocking=False):
            raise _overloaded(
                _(
                    "The model server is overloaded: %(count)d requests are waiting already, no more are let in. "
                    "Send the request again after %(seconds)d s, or fewer at a time.",
                    count=self._places,
                    seconds=RETRY_AFTER_S,
                )
            )
        try:
            if not self._active.acquire(timeout=self._deadline_s):
                raise _overloaded(
                    _(
                        "The model server is overloaded: the request waited %(waited)g s without its turn coming. "
                        "Send the request again after %(seconds)d s, or fewer at a time.",
                        waited=self._deadline_s,
                        seconds=RETRY_AFTER_S,
                    )
                )
        finally:
            self._waiting.release()


def _overloaded(message: str) -> RequestError:
    return RequestError(message, status=503, reason="overloaded", retry_after_s=RETRY_AFTER_S)
