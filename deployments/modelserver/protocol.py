"""What a model server and its clients agree on: limits, the framing of several images, the socket's address."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlmodeler_site.sentences import Sentence as _

IMAGES_TYPE = "application/x-dlm-images"
JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"

MAX_IMAGES = 64
MAX_ROWS = 10_000
MAX_IMAGE_BYTES = 32 * 1024 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
DEFAULT_TOP_K = 5

# The header of an answer that tells how long the request waited for its turn, in milliseconds.
QUEUE_HEADER = "X-Queue-Ms"
LENGTH_BYTES = 4
# sun_path of AF_UNIX holds 108 bytes, the closing NUL among them.
MAX_ADDRESS_BYTES = 107


class FramingError(ValueError):
    """A body that is no sequence of images with their lengths; the message says where."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def pack_images(images: Sequence[bytes]) -> bytes:
    """Several encoded images in one body: each preceded by its length, 4 bytes, big-endian."""
    parts: list[bytes] = []
    for image in images:
        parts += (len(image).to_bytes(LENGTH_BYTES, "big"), image)
    return b"".join(parts)


def unpack_images(body: bytes) -> list[bytes]:
    """The encoded images of a packed body.

    Raises:
        FramingError: a length points past the end of the body.
    """
    images: list[bytes] = []
    position = 0
    while position < len(body):
        start = position + LENGTH_BYTES
        end = start + int.from_bytes(body[position:start], "big")
        if start > len(body) or end > len(body):
            raise FramingError(
                _(
                    "The body ends inside image %(index)d: %(expected)d bytes were expected from byte %(position)d on, "
                    "%(received)d were received. Each image must be preceded by its length, 4 bytes, big-endian.",
                    index=len(images),
                    expected=end - position,
                    position=position,
                    received=len(body) - position,
                )
            )
        images.append(body[start:end])
        position = end
    return images


def body_too_large(received_bytes: int) -> str:
    """What a request of more than `MAX_BODY_BYTES` is told, by the client or by the server, whichever sees it first."""
    return _(
        "The request is too large: at most %(maximum)d bytes are taken at once, %(received)d or more were received. "
        "Send fewer or smaller images.",
        maximum=MAX_BODY_BYTES,
        received=received_bytes,
    )


def too_many_images(received: int) -> str:
    """What a request of more than `MAX_IMAGES` is told, likewise."""
    return _(
        "At most %(maximum)d images are taken in one request, %(received)d were received. "
        "Send them in several requests.",
        maximum=MAX_IMAGES,
        received=received,
    )


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address of the socket at `path` that is short enough for the kernel, however long the path; valid inside."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
