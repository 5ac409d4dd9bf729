"""A file of rows (JSON lines) that grows in `output/` and goes on after the checkpoint of an earlier attempt."""

import json
import logging
import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from dlmodeler_site.compute.run_folder import RunFolder, read_json, write_json

logger = logging.getLogger(__name__)

_POSITION = "position.json"

Row = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """How far it is: the rows and bytes written, how many of them have an `error`, and the seconds it took."""

    rows: int = 0
    size_bytes: int = 0
    failed: int = 0
    seconds: float = 0.0


class RowFile:
    """The rows written so far at `path` (below the run's `output/`), those of a checkpoint first."""

    def __init__(self, run: RunFolder, path: Path) -> None:
        self._run = run
        self._path = path
        self._started = time.monotonic()
        self._before = self._restore()
        self.rows, self._failed = self._before.rows, self._before.failed

    def __enter__(self) -> Self:
        self._file = open(self._path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: list[Row]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        self.rows += len(rows)
        self._failed += sum(bool(row["error"]) for row in rows)

    def write_through(self) -> Position:
        """Have all rows on the disk, and say where they end."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return Position(
            rows=self.rows,
            size_bytes=self._file.tell(),
            failed=self._failed,
            seconds=round(self._before.seconds + time.monotonic() - self._started, 3),
        )

    def put_checkpoint(self) -> None:
        position = self.write_through()
        folder = self._run.path / f"checkpoint.new-{uuid.uuid4().hex}"
        folder.mkdir()
        shutil.copyfile(self._path, folder / self._path.name)
        with open(folder / self._path.name, "rb") as copy:
            os.fsync(copy.fileno())
        write_json(folder / _POSITION, asdict(position))
        self._run.put_checkpoint(folder)

    def _restore(self) -> Position:
        """Make the file hold the rows of the checkpoint, or none where there is no whole one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(b"")
        copy = self._run.checkpoint / self._path.name
        try:
            position = Position(**read_json(self._run.checkpoint / _POSITION))
            size_bytes = copy.stat().st_size
        except FileNotFoundError:
            return Position()
        if size_bytes < position.size_bytes:
            logger.warning(
                "The checkpoint is cut off at byte %d of %d: starting from the first file.",
                size_bytes,
                position.size_bytes,
            )
            return Position()
        shutil.copyfile(copy, self._path)
        os.truncate(self._path, position.size_bytes)
        logger.info("Going on after the %d rows of the checkpoint.", position.rows)
        return position
