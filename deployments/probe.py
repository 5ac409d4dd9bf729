"""The first request to a model server, before anybody's."""

import io
import json
import math
from typing import Any

from PIL import Image

from deployments.client import ModelServerClient, ModelServerError
from deployments.models import DeploymentVersion
from dlmodeler_site.sentences import Sentence as _

ANY_SIZE_PX = 64  # where the network takes images of any size


def probe(client: ModelServerClient, version: DeploymentVersion) -> dict[str, Any]:
    """Ask for one prediction, as users do; answers the engine that gave it, as `/metadata` tells it.

    Raises:
        ModelServerError: the answer is none that the model can give.
    """
    answer = _ask(client, version.bundle_info["input"])
    (prediction,) = answer["predictions"]
    if version.is_regression:
        sound = math.isfinite(prediction["value"])
    else:
        sound = prediction["label"] in [each["label"] for each in version.bundle_info["labels"]]
    if not sound:
        message = _("it answered %(answer)s, which its model cannot answer", answer=str(prediction)[:200])
        raise ModelServerError(message, reason="unsound_answer", status=500)
    engine: dict[str, Any] = client.metadata()["engine"]
    return engine


def _ask(client: ModelServerClient, given: dict[str, Any]) -> dict[str, Any]:
    if given["kind"] == "table":
        return client.predict_json(json.dumps({"rows": [_row(given["columns"])]}).encode())
    _batch, height, width, _channels = given["shape"]
    image = io.BytesIO()
    Image.new("RGB", (width or ANY_SIZE_PX, height or ANY_SIZE_PX)).save(image, "PNG")
    return client.predict([image.getvalue()])


def _row(columns: list[dict[str, Any]]) -> dict[str, Any]:
    """Each column's first example, as text like in a csv file."""
    return {column["name"]: next(iter(column.get("examples") or ()), None) for column in columns}
