"""What a training loop tells the site while it runs: metrics, progress, checkpoints; and how it hears a stop."""

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from dlmodeler_site.compute.run_folder import RunFolder, StopRequested

CHECKPOINT_INTERVAL_S = 10.0
PROGRESS_INTERVAL_S = 0.5

# What the end of the loop counts as; the rest is for export and conversion.
_TRAINED = 0.97


def tell(run: RunFolder, text: str) -> None:
    """Say what is being done, as an event and in the log."""
    run.publish("message", text=text)
    _log(text)


def _log(text: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), text, flush=True)


class TrainingMonitor:
    """The hook of a training loop: call `epoch` when one ends and `step` after every step, the epoch's event first.

    `save` writes the loop's whole state into an empty folder; it is called at a stop and otherwise at most every
    `CHECKPOINT_INTERVAL_S`, never for each epoch.
    """

    def __init__(self, run: RunFolder, *, total_steps: int, save: Callable[[Path], None]) -> None:
        self._run = run
        self._total_steps = total_steps
        self._save = save
        self._checkpoint_at = time.monotonic() + CHECKPOINT_INTERVAL_S
        self._progress_at = 0.0

    def epoch(self, epoch: int, *, step: int, metrics: dict[str, float], seconds: float) -> None:
        self._run.publish("epoch", epoch=epoch, step=step, metrics=metrics, seconds=round(seconds, 4))
        values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        _log(f"Epoch {epoch}: {values} ({seconds:.2f} s)")

    def step(self, done: int) -> None:
        """After step `done` of all: publish what is due; raises `StopRequested` after a last checkpoint."""
        now = time.monotonic()
        if now >= self._progress_at or done == self._total_steps:
            self._progress_at = now + PROGRESS_INTERVAL_S
            self._run.progress(_TRAINED * done / self._total_steps)
        try:
            self._run.check_stop()
        except StopRequested:
            self.checkpoint()
            raise
        if now >= self._checkpoint_at:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Put the loop's state where a later attempt finds it."""
        folder = self._run.path / f"checkpoint.new-{uuid4().hex}"
        folder.mkdir()
        self._save(folder)
        self._run.put_checkpoint(folder)
        self._checkpoint_at = time.monotonic() + CHECKPOINT_INTERVAL_S
