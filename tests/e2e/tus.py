"""A client of tus that counts the bytes it hands to the network, for tests that kill the server meanwhile."""

import base64
import contextlib
import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin

import requests

from dlmodeler_site.demo.life_cycle import Site

PIECE_BYTES = 16 << 20
_BLOCK_BYTES = 64 << 10
_HEADERS = {"Tus-Resumable": "1.0.0"}


def random_file(path: Path, size_bytes: int, *, seed: int = 0) -> Path:
    """A file of bytes that nothing makes smaller."""
    numbers = random.Random(seed)
    with open(path, "wb") as file:
        for start in range(0, size_bytes, 1 << 20):
            file.write(numbers.randbytes(min(1 << 20, size_bytes - start)))
    return path


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Upload:
    """The upload of one file into a data. `sent_bytes` counts every byte that was handed to the network."""

    client: Site
    data: int
    path: Path
    name: str
    options: tuple[str, ...] = ()
    size_bytes: int = field(init=False)
    sent_bytes: int = 0
    begun_again: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.size_bytes = self.path.stat().st_size

    def run(self, *, bytes_per_s: float = 0, timeout_s: float = 300) -> dict[str, Any]:
        """Send the file to its end, from where the server is whenever it went away; answers what became of it."""
        end = time.monotonic() + timeout_s
        while True:
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} is not uploaded after {timeout_s} s")
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                if (offset := self._offset()) < self.size_bytes:
                    self._send(offset, bytes_per_s)
                else:
                    answer = self.client.session.get(self.url, timeout=30)
                    answer.raise_for_status()
                    found: dict[str, Any] = answer.json()
                    return found
                continue
            self.begun_again += 1
            time.sleep(0.1)

    def _offset(self) -> int:
        if not self.url:
            said = {"name": self.name, **dict.fromkeys(self.options, "true")}
            metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
            headers = _HEADERS | {"Upload-Length": str(self.size_bytes), "Upload-Metadata": metadata}
            address = f"{self.client.address}/api/v1/data/{self.data}/uploads/"
            answer = self.client.session.post(address, headers=headers, timeout=30)
            answer.raise_for_status()
            self.url = urljoin(address, answer.headers["Location"])
        answer = self.client.session.head(self.url, headers=_HEADERS, timeout=30)
        answer.raise_for_status()
        return int(answer.headers["Upload-Offset"])

    def _send(self, offset: int, bytes_per_s: float) -> None:
        headers = _HEADERS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        with open(self.path, "rb") as file:
            file.seek(offset)
            piece = _Piece(self, file, min(PIECE_BYTES, self.size_bytes - offset), bytes_per_s)
            self.client.session.patch(self.url, data=piece, headers=headers, timeout=30).raise_for_status()


@dataclass
class _Piece:
    """A body of a known length that is read as it is sent."""

    upload: Upload
    file: BinaryIO
    length: int
    bytes_per_s: float

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_BLOCK_BYTES), b"")

    def read(self, size: int) -> bytes:
        block = self.file.read(min(size, self.length))
        self.length -= len(block)
        self.upload.sent_bytes += len(block)
        if self.bytes_per_s:
            time.sleep(len(block) / self.bytes_per_s)
        return block
