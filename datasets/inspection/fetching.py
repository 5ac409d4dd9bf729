"""Objects are fetched beside the inspection, in a process of its own: threads and a pool of forks go ill together."""

import multiprocessing
import os
import signal
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

from datasets.inspection.objects import Fetched, Fetcher, RemoteObject
from datasets.presigned import StorageFailed
from dlmodeler_site.parent_death import die_with_parent

_MOST_AT_ONCE = 64


class Fetching:
    """The process and what it tells. `missing` and `problem` are complete once `receive` has answered None."""

    def __init__(self, objects: Iterable[RemoteObject], folder: Path, *, public_only: bool) -> None:
        self.missing = 0
        self.problem: StorageFailed | None = None
        self._has_ended = False
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_fetch, args=(os.getpid(), theirs, objects, folder, public_only), name="fetching"
        )
        self._process.start()
        theirs.close()

    def receive(self, timeout_s: float) -> list[Fetched] | None:
        """What has arrived, for which it waits at most so long; None after the last."""
        received: list[Fetched] = []
        while not self._has_ended and len(received) < _MOST_AT_ONCE and self._connection.poll(timeout_s):
            timeout_s = 0
            try:
                message = self._connection.recv()
            except EOFError:
                self._process.join()
                raise RuntimeError(f"the fetching process ended with {self._process.exitcode}") from None
            if isinstance(message, Fetched):
                received.append(message)
            else:
                self.missing, self.problem = message
                self._has_ended = True
        return None if self._has_ended and not received else received

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _fetch(
    parent: int, connection: Connection, objects: Iterable[RemoteObject], folder: Path, public_only: bool
) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fetcher = Fetcher(folder, public_only=public_only)
    for fetched in fetcher.fetch_all(objects):
        connection.send(fetched)
    connection.send((fetcher.missing, fetcher.problem))
