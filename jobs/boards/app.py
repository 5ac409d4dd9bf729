"""TensorBoard as a WSGI application: its own pages and plugins, over the trainings that it was told of."""

import argparse
import http
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tensorboard import assets
from tensorboard.backend.application import TensorBoardWSGIApp
from tensorboard.plugins.core.core_plugin import CorePluginLoader
from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
from tensorboard.plugins.metrics.metrics_plugin import MetricsPlugin
from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin

from jobs.boards.provider import TrainingsProvider
from jobs.boards.trainings import Trainings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TRAININGS_PATH = "/trainings"
EDITOR = "tf-imports/"  # a code editor for plugins that are not served here, half of all the assets


def make_app() -> "WSGIApplication":
    """`/experiment/<id>-<id>…/` is TensorBoard over these trainings; a POST to `/trainings` tells of them.

    One application serves all: what it is asked about is in the path, and only the trainings take memory.
    """
    trainings = Trainings()
    flags = argparse.Namespace(
        logdir="", logdir_spec="", path_prefix="", samples_per_plugin={}, window_title="TensorBoard"
    )
    board = TensorBoardWSGIApp(
        flags,
        [CorePluginLoader(), MetricsPlugin, ScalarsPlugin, HParamsPlugin],
        data_provider=TrainingsProvider(trainings),
        assets_zip_provider=_assets,
    )

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == TRAININGS_PATH:
            trainings.tell(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            return _json({}, start_response)
        if path.endswith("/data/notifications"):  # TensorBoard would redirect to a file that it does not bring.
            return _json({"notifications": []}, start_response)
        answer: Iterable[bytes] = board(environ, start_response)
        return answer

    return app


def _json(value: Any, start_response: "StartResponse") -> Iterable[bytes]:
    status = http.HTTPStatus.OK
    start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


def _assets() -> io.BytesIO:
    """TensorBoard's pages, without what is never asked for, and with fonts that are found below a path."""
    provided: Callable[[], Any] | None = assets.get_default_assets_zip_provider()
    if provided is None:
        raise ImportError("TensorBoard's pages are missing", name="tensorboard/webfiles.zip")
    kept = io.BytesIO()
    with provided() as file, zipfile.ZipFile(file) as whole, zipfile.ZipFile(kept, "w") as part:
        for name in whole.namelist():
            if not name.startswith(EDITOR):
                part.writestr(name, whole.read(name).replace(b"url(/font-", b"url(font-"))
    kept.seek(0)
    return kept
