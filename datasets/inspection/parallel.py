"""Work on many files in several processes: bounded memory, progress, stop, and a dead worker costs one file."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import takewhile
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeVar

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.parent_death import die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 32
# The largest image that is read takes 2 GiB where it is written as AVIF, the greediest of the formats.
_WORKER_BYTES = 4 << 30
_PROGRESS_INTERVAL_S = 0.5

_stop: Event


def map_files(
    run: RunFolder,
    work: Callable[[Iterable[Item]], Iterable[Result]],
    items: Iterable[Item | None],
    *,
    total: int,
    workers: int,
    lost: Callable[[Item], Result],
) -> Generator[Result]:
    """Yield one result of every item, in any order, from `workers` processes, which `work` on some of them at a time.

    At most two chunks per worker are under way, so memory does not grow with the items. None among these says that the
    next is not there yet, and that those before it shall not wait. Publishes the progress and raises `StopRequested` as
    `RunFolder.check_stop` does. An item whose worker dies (a crash in a decoder, or out of memory) even when it is
    worked on alone yields `lost(item)`; `work` may see an item twice.
    """
    chunks = _chunks(items)
    done, published = 0, 0.0
    while True:
        rest: list[list[Item]] = []
        for result in _map_chunks(run, work, chunks, workers, rest):
            done += 1
            if time.monotonic() - published >= _PROGRESS_INTERVAL_S:
                published = time.monotonic()
                run.progress(done / max(total, 1))
            yield result
        for item in (item for chunk in rest for item in chunk):
            done += 1
            alone: list[list[Item]] = []
            yield from _map_chunks(run, work, iter([[item]]), 1, alone)
            if alone:
                yield lost(item)
        if not rest:
            break
    run.progress(1.0)


def _map_chunks(
    run: RunFolder,
    work: Callable[[Iterable[Item]], Iterable[Result]],
    chunks: Iterator[list[Item]],
    workers: int,
    broken: list[list[Item]],
) -> Iterator[Result]:
    """Yield results until the chunks end or a worker dies; the chunks then under way are put into `broken`."""
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(), stop))
    pending: dict[Future[list[Result]], list[Item]] = {}
    try:
        while True:
            run.check_stop()
            while len(pending) < 2 * workers and (chunk := next(chunks, None)) is not None:
                if not chunk:  # nothing is there yet
                    break
                try:
                    pending[pool.submit(_work_on, work, chunk)] = chunk
                except BrokenProcessPool:
                    broken.append(chunk)
                    raise
            else:
                if not pending:
                    return
            finished, _ = wait(pending, timeout=_PROGRESS_INTERVAL_S, return_when=FIRST_COMPLETED)
            for future in finished:
                yield from future.result()
                del pending[future]
    except BrokenProcessPool:
        broken.extend(pending.values())
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _work_on(work: Callable[[Iterable[Item]], Iterable[Result]], chunk: list[Item]) -> list[Result]:
    return list(work(takewhile(lambda _item: not _stop.is_set(), chunk)))


def _start_worker(parent: int, stop: Event) -> None:
    """Tie this worker's life to its parent's, bound its memory and its words, and leave Ctrl-C to the parent."""
    global _stop
    _stop = stop
    die_with_parent(parent)
    _least, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > _WORKER_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_WORKER_BYTES, most))
    # Decoders in C write a line for each row of pixels that they do not like; only Python's own words reach the log.
    sys.stderr = open(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _chunks(items: Iterable[Item | None]) -> Iterator[list[Item]]:
    """The items in lists, an empty one where the next item is not there yet."""
    chunk: list[Item] = []
    for item in items:
        if item is not None:
            chunk.append(item)
        if item is None or len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def count_lines(path: Path) -> int:
    """The number of lines of a manifest."""
    with path.open("rb") as file:
        return sum(1 for _ in file)
