"""An object of a bucket as a file: read as a stream, in any place of it, over broken connections."""

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import BotoCoreError

BUFFER_BYTES = 256 << 10
_TRIES = 4


class ObjectReader(io.RawIOBase):
    """`get(**options)` asks for the object; `told()` makes of its errors what the reader's user expects."""

    def __init__(self, get: Callable[..., Any], *, told: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._get, self._told = get, told
        answer = get()
        self._body = answer["Body"]
        self._etag: str = answer["ETag"]
        self.size: int = answer["ContentLength"]
        self._position = self._body_position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Costs nothing: the object is asked for again when it is read at another place than before."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self.size - self._position)
        if wanted <= 0:
            return 0
        with self._told():
            chunk = self._read(wanted)
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        self._body_position = self._position
        return len(chunk)

    def _read(self, wanted: int) -> bytes:
        for left in reversed(range(_TRIES)):
            try:
                if self._body is None or self._body_position != self._position:
                    self._let_go()
                    answer = self._get(Range=f"bytes={self._position}-", IfMatch=self._etag)
                    self._body, self._body_position = answer["Body"], self._position
                chunk: bytes = self._body.read(wanted)
                if chunk:
                    return chunk
            except BotoCoreError:
                if not left:
                    raise
            self._let_go()
            time.sleep(0.2)
        raise OSError("The object ends before its length: the connection breaks off again and again.")

    def _let_go(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        self._let_go()
        super().close()
