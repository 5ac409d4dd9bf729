"""From the body of a request to pixels."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from datasets.inspection.images import ImageError, read_rgb
from deployments.modelserver.engine import Pixels
from deployments.modelserver.errors import RequestError
from deployments.modelserver.protocol import IMAGES_TYPE, JSON_TYPE, MAX_IMAGE_BYTES, MAX_IMAGES, unpack_images

Fit = Callable[[Pixels], Pixels]


def read_images(body: bytes, *, content_type: str, fit: Fit) -> list[Pixels]:
    """The images of a request, each uint8 (height, width, 3) and fitted as soon as it is decoded.

    Raises:
        RequestError: 400, 413 or 415; `details["index"]` says which image it was.
    """
    match content_type.partition(";")[0].strip().lower():
        case kind if kind == JSON_TYPE:
            instances = _parse_instances(body)
            _check_count(len(instances))
            return [fit(_read_instance(instance, index)) for index, instance in enumerate(instances)]
        case kind if kind == IMAGES_TYPE:
            try:
                images = unpack_images(body)
            except ValueError as error:
                raise RequestError(
                    f"{error} Each image must be preceded by its length, 4 bytes, big-endian.",
                    status=400,
                    reason="malformed_body",
                ) from None
            _check_count(len(images))
        case _:
            images = [body]
    return [fit(_decode(image, index)) for index, image in enumerate(images)]


def _check_count(count: int) -> None:
    if count == 0:
        raise RequestError(
            "The request holds no image. Send at least one.", status=400, reason="no_image", details={"received": 0}
        )
    if count > MAX_IMAGES:
        raise RequestError(
            f"At most {MAX_IMAGES} images are taken in one request, {count} were received. "
            "Send them in several requests.",
            status=413,
            reason="too_many_images",
            details={"maximum": MAX_IMAGES, "received": count},
        )


def _decode(image: bytes, index: int) -> Pixels:
    if not image:
        raise RequestError(
            f"Image {index} is empty: an image was expected, 0 bytes were received.",
            status=400,
            reason="no_image",
            details={"index": index},
        )
    if len(image) > MAX_IMAGE_BYTES:
        raise RequestError(
            f"Image {index} is too large: at most {MAX_IMAGE_BYTES} bytes are taken, {len(image)} were received. "
            "Send it smaller.",
            status=413,
            reason="too_large",
            details={"index": index, "maximum_bytes": MAX_IMAGE_BYTES},
        )
    try:
        return read_rgb(image)
    except ImageError as error:
        raise RequestError(
            f"Image {index} cannot be used. {error.message}",
            status=413 if error.reason == "too_many_pixels" else 415,
            reason=error.reason,
            details={"index": index, "received_bytes": len(image)},
        ) from None


def _parse_instances(body: bytes) -> list[Any]:
    expected = '{"instances": [...]} was expected'
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is not JSON: {error}; {expected}.", status=400, reason="malformed_body") from None
    instances = value.get("instances") if isinstance(value, dict) else None
    if not isinstance(instances, list):
        received = f"an object with {sorted(value)[:10]}" if isinstance(value, dict) else type(value).__name__
        raise RequestError(
            f"The body has no list of instances: {expected}, {received} was received.",
            status=400,
            reason="malformed_body",
        )
    return instances


def _read_instance(instance: Any, index: int) -> Pixels:
    if isinstance(instance, dict):
        return _decode(_from_base64(instance, index), index)
    try:
        array = np.asarray(instance)
    except (ValueError, OverflowError):
        raise _bad_instance(index, "rows of different lengths were received") from None
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise _bad_instance(index, f"shape {list(array.shape)} was received")
    if array.dtype.kind != "i":
        raise _bad_instance(index, f"values of type {array.dtype.name} were received")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise _bad_instance(index, f"values from {low} to {high} were received")
    pixels: Pixels = array.astype(np.uint8)
    return pixels


def _from_base64(instance: dict[str, Any], index: int) -> bytes:
    text = instance.get("b64")
    if not isinstance(text, str):
        raise _bad_instance(index, f"an object with {sorted(instance)[:10]} was received")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad_instance(index, "a b64 that is not base64 was received") from None


def _bad_instance(index: int, received: str) -> RequestError:
    return RequestError(
        f"Instance {index} is not an image: nested lists of shape [height, width, 3] with whole numbers from 0 to 255, "
        f'or {{"b64": "<the file in base64>"}}, were expected; {received}.',
        status=400,
        reason="malformed_instance",
        details={"index": index},
    )
