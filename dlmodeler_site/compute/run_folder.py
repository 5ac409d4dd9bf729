"""The run folder: the only channel between the site and the process that computes.

    spec.json        in    what to do (written once, before the start)
    input/           in    manifests (JSON lines) that name the files to read
    STOP             in    its existence asks the process to stop at the next safe point
    log.txt          out   standard output and error of the process
    events.jsonl     out   one JSON object a line, append only
    checkpoint/      out   the newest state to go on from; replaced as a whole
    output/          out   what the work produces
    result.json      out   written last: its existence means success
    error.json       out   {message, reason}: a failure that the user can mend

A process is started as `python -m <module> RUN_FOLDER` and knows nothing else: no database,
no settings, no secret. This module imports no Django and nothing heavy.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmodeler_site import sentences


class RunError(Exception):
    """A failure that the user can mend; its message is shown as it stands."""

    def __init__(self, message: str, *, reason: str = "run_failed") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class StopRequested(Exception):
    """Raised at a safe point after the site asked the process to stop."""


@dataclass(frozen=True)
class RunFolder:
    """One attempt's folder. Every write is atomic or append-only, so a reader never sees half a file."""

    path: Path

    @classmethod
    def create(cls, path: Path, spec: dict[str, Any]) -> "RunFolder":
        """Make an empty run folder (an older one at the path is removed) and write its spec."""
        shutil.rmtree(path, ignore_errors=True)
        for name in ("input", "output"):
            (path / name).mkdir(parents=True)
        run = cls(path)
        write_json(path / "spec.json", spec)
        return run

    @property
    def input(self) -> Path:
        return self.path / "input"

    @property
    def output(self) -> Path:
        return self.path / "output"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = read_json(self.path / "spec.json")
        return spec

    # -- from the process to the site ---------------------------------------------------------

    def publish(self, event_type: str, **fields: Any) -> None:
        """Append one event: `{"type": event_type, "time": <unix seconds>, **fields}`."""
        line = json.dumps({"type": event_type, "time": time.time(), **fields}) + "\n"
        # One write of one line to a file opened for appending is not torn by other writers.
        with open(self.path / "events.jsonl", "ab", buffering=0) as events:
            events.write(line.encode())

    def progress(self, fraction: float) -> None:
        """Tell how far the work is, 0..1."""
        self.publish("progress", value=min(max(fraction, 0.0), 1.0))

    def put_checkpoint(self, folder: Path) -> None:
        """Make `folder` (moved, on the same file system) the newest checkpoint, as a whole."""
        old = self.path / f"checkpoint.old-{uuid.uuid4().hex}"
        if self.checkpoint.exists():
            self.checkpoint.rename(old)
        folder.rename(self.checkpoint)
        shutil.rmtree(old, ignore_errors=True)

    def finish(self, **result: Any) -> None:
        """Write `result.json`; the last thing a successful process does."""
        write_json(self.path / "result.json", result)

    def fail(self, message: str, *, reason: str = "run_failed") -> None:
        """Write `error.json`: one sentence for the user."""
        write_json(self.path / "error.json", {"message": sentences.to_json(message), "reason": reason})

    def check_stop(self) -> None:
        """Raise `StopRequested` when the site asked for it. Call at every safe point."""
        if (self.path / "STOP").exists():
            raise StopRequested

    # -- from the site to the process ---------------------------------------------------------

    def request_stop(self) -> None:
        (self.path / "STOP").touch()

    def result(self) -> dict[str, Any] | None:
        """What `finish` wrote, or None while there is nothing."""
        try:
            result: dict[str, Any] = read_json(self.path / "result.json")
        except FileNotFoundError:
            return None
        return result

    def error(self) -> dict[str, str] | None:
        """What `fail` wrote, or None."""
        try:
            error = read_json(self.path / "error.json")
        except FileNotFoundError:
            return None
        return {"message": sentences.from_json(error["message"]), "reason": error["reason"]}

    def read_events(self, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Whole events after byte `offset`, and the offset to go on from."""
        try:
            with open(self.path / "events.jsonl", "rb") as events:
                events.seek(offset)
                data = events.read(4 * 1024 * 1024)
        except FileNotFoundError:
            return [], offset
        end = data.rfind(b"\n") + 1
        return [json.loads(line) for line in data[:end].splitlines()], offset + end

    def log_tail(self, size_bytes: int = 4000) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, self.log.stat().st_size - size_bytes))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def write_json(path: Path, value: Any) -> None:
    """Write through a temporary file and rename, so that a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line; returns their number. Memory does not grow with the rows."""
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
