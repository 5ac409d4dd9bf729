"""What a training tells the site while it runs: phases, metrics, progress, checkpoints; and how it hears a stop."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from dlmodeler_site.compute.run_folder import RunFolder, StopRequested

CHECKPOINT_INTERVAL_S = 10.0
CHECKPOINT_SHARE = 0.015
PROGRESS_INTERVAL_S = 0.5

# What the end of the loop counts as; the rest is for export and conversion.
_TRAINED = 0.97
# The metrics of an epoch that its line of the log has.
SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")


def tell(run: RunFolder, text: str) -> None:
    """Say what is being done, as an event and in the log."""
    run.publish("message", text=text)
    _log(text)


def _log(text: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), text, flush=True)


def enter_phase(run: RunFolder, name: str) -> None:
    """Say that the part called `name` begins: decoding, start, preparing, training, export or measuring."""
    run.publish("phase", name=name)


@contextmanager
def accounted(run: RunFolder) -> Iterator[None]:
    """Tell at the end, whatever it is, which phase took how many seconds and the peak of memory in bytes."""
    began = time.time()
    try:
        yield
    finally:
        memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        run.publish("spent", seconds=_seconds_of_phases(run, began), memory_bytes=memory_bytes)


def _seconds_of_phases(run: RunFolder, began: float) -> dict[str, float]:
    marks = [("start", began)]
    events, offset = run.read_events(0)
    while events:
        marks += [(event["name"], event["time"]) for event in events if event["type"] == "phase"]
        events, offset = run.read_events(offset)
    seconds: dict[str, float] = {}
    for (name, start), (_next, end) in pairwise([*marks, ("", time.time())]):
        seconds[name] = round(seconds.get(name, 0.0) + end - start, 3)
    return seconds


def recover_checkpoint(run: RunFolder) -> None:
    """Put the newest checkpoint back that a process left aside when it was killed while it replaced it."""
    aside = sorted(run.path.glob("checkpoint.old-*"), key=lambda folder: folder.stat().st_mtime)
    if aside and not run.checkpoint.exists():
        aside[-1].rename(run.checkpoint)


class TrainingMonitor:
    """The hook of a training loop: call `epoch` when one ends and `step` after every step, the epoch's event first.

    `save` writes the loop's whole state into an empty folder; it is called at a stop and otherwise when
    `CHECKPOINT_INTERVAL_S` have passed, and so seldom that it takes no more than `CHECKPOINT_SHARE` of the time.
    `begins_at`: part of the progress bar that lies behind when the loop begins.
    """

    def __init__(self, run: RunFolder, *, save: Callable[[Path], None], begins_at: float = 0.0) -> None:
        self._run = run
        self._save = save
        self._begins_at = begins_at
        self._checkpoint_at = time.monotonic() + CHECKPOINT_INTERVAL_S
        self._progress_at = 0.0

    def epoch(self, epoch: int, *, stage: str, step: int, metrics: dict[str, float], seconds: float) -> None:
        self._run.publish("epoch", epoch=epoch, stage=stage, step=step, metrics=metrics, seconds=round(seconds, 4))
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
        _log(f"Epoch {epoch}: {shown} ({seconds:.2f} s)")

    def step(self, fraction: float) -> None:
        """When this part of the loop is done: publish what is due; raises `StopRequested` after a last checkpoint."""
        now = time.monotonic()
        if now >= self._progress_at or fraction >= 1:
            self._progress_at = now + PROGRESS_INTERVAL_S
            self._run.progress(self._begins_at + (_TRAINED - self._begins_at) * min(fraction, 1.0))
        try:
            self._run.check_stop()
        except StopRequested:
            self.checkpoint()
            raise
        if now >= self._checkpoint_at:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Put the loop's state where a later attempt finds it."""
        started = time.monotonic()
        folder = self._run.path / f"checkpoint.new-{uuid4().hex}"
        folder.mkdir()
        self._save(folder)
        self._run.put_checkpoint(folder)
        now = time.monotonic()
        self._checkpoint_at = now + max(CHECKPOINT_INTERVAL_S, (now - started) / CHECKPOINT_SHARE)
