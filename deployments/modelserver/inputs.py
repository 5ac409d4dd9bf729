"""From the body of a request to pixels."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from datasets.inspection.images import ImageError, read_rgb
from deployments.modelserver.errors import RequestError
from deployments.modelserver.protocol import (
    IMAGES_TYPE,
    JSON_TYPE,
    MAX_IMAGE_BYTES,
    MAX_IMAGES,
    FramingError,
    too_many_images,
    unpack_images,
)
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.engine import Pixels

Fit = Callable[[Pixels], Pixels]

INSTANCES_EXAMPLE = '{"instances": [...]}'
BASE64_EXAMPLE = '{"b64": "<the file in base64>"}'


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
            except FramingError as error:
                raise RequestError(error.message, status=400, reason="malformed_body") from None
            _check_count(len(images))
        case _other:
            images = [body]
    return [fit(_decode(image, index)) for index, image in enumerate(images)]


def _check_count(count: int) -> None:
    if count == 0:
        raise RequestError(
            _("The request holds no image. Send at least one."), status=400, reason="no_image", details={"received": 0}
        )
    if count > MAX_IMAGES:
        raise RequestError(
            too_many_images(count),
            status=413,
            reason="too_many_images",
            details={"maximum": MAX_IMAGES, "received": count},
        )


def _decode(image: bytes, index: int) -> Pixels:
    if not image:
        raise RequestError(
            _("Image %(index)d is empty: an image was expected, 0 bytes were received.", index=index),
            status=400,
            reason="no_image",
            details={"index": index},
        )
    if len(image) > MAX_IMAGE_BYTES:
        raise RequestError(
            _(
                "Image %(index)d is too large: at most %(maximum)d bytes are taken, %(received)d were received. "
                "Send it smaller.",
                index=index,
                maximum=MAX_IMAGE_BYTES,
                received=len(image),
            ),
            status=413,
            reason="too_large",
            details={"index": index, "maximum_bytes": MAX_IMAGE_BYTES},
        )
    try:
        return read_rgb(image)
    except ImageError as error:
        raise RequestError(
            _("Image %(index)d cannot be used. %(why)s", index=index, why=error.message),
            status=413 if error.reason == "too_many_pixels" else 415,
            reason=error.reason,
            details={"index": index, "received_bytes": len(image)},
        ) from None


def _parse_instances(body: bytes) -> list[Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            _(
                "The body is not JSON: %(cause)s; %(example)s was expected.",
                cause=str(error),
                example=INSTANCES_EXAMPLE,
            ),
            status=400,
            reason="malformed_body",
        ) from None
    if isinstance(value, dict) and "rows" in value:
        raise RequestError(
            _(
                "This deployment takes images, rows of a table were received. Send an image, or %(example)s.",
                example=INSTANCES_EXAMPLE,
            ),
            status=415,
            reason="unsupported_media_type",
        )
    instances = value.get("instances") if isinstance(value, dict) else None
    if not isinstance(instances, list):
        raise RequestError(
            _(
                "The body has no list of instances: %(example)s was expected, %(received)s was received.",
                example=INSTANCES_EXAMPLE,
                received=_object_with(value) if isinstance(value, dict) else type(value).__name__,
            ),
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
        raise _bad_instance(index, _("rows of different lengths were received")) from None
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise _bad_instance(index, _("shape %(shape)s was received", shape=str(list(array.shape))))
    if array.dtype.kind != "i":
        raise _bad_instance(index, _("values of type %(type)s were received", type=array.dtype.name))
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise _bad_instance(index, _("values from %(low)d to %(high)d were received", low=low, high=high))
    pixels: Pixels = array.astype(np.uint8)
    return pixels


def _from_base64(instance: dict[str, Any], index: int) -> bytes:
    text = instance.get("b64")
    if not isinstance(text, str):
        raise _bad_instance(index, _("%(received)s was received", received=_object_with(instance)))
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad_instance(index, _("a b64 that is not base64 was received")) from None


def _object_with(value: dict[str, Any]) -> str:
    return _("an object with %(keys)s", keys=str(sorted(value)[:10]))


def _bad_instance(index: int, received: str) -> RequestError:
    return RequestError(
        _(
            "Instance %(index)d is not an image: nested lists of shape [height, width, 3] with whole numbers "
            "from 0 to 255, or %(example)s, were expected; %(received)s.",
            index=index,
            example=BASE64_EXAMPLE,
            received=received,
        ),
        status=400,
        reason="malformed_instance",
        details={"index": index},
    )
