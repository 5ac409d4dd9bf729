"""The log file of one supervised process: bounded in size, with its last lines at hand."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 10_000_000
KEPT_FILES = 3
LAST_LINES = 20


class ProcessLog:
    """Appends to `path`; a full file moves to `path.1`, that one to `path.2`, and so on."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, echo: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._echo = echo
        self._file = open(path, "ab", buffering=0)
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._unfinished = b""

    def write(self, chunk: bytes) -> None:
        """Append the output of the process."""
        if self._file.tell() + len(chunk) > self._max_bytes:
            self._rotate()
        self._file.write(chunk)
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        self._unfinished = self._unfinished[-4096:]
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            if self._echo:
                self._echo(text)

    def last_lines(self) -> list[str]:
        """What the process said since the last call, at most the last 20 lines."""
        lines = [*self._lines, *([self._unfinished.decode(errors="replace")] if self._unfinished else [])]
        self._lines.clear()
        self._unfinished = b""
        return lines

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT_FILES, 0, -1):
            older = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{number}"))
        self._file = open(self.path, "ab", buffering=0)
