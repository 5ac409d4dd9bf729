"""A training's model as files for use elsewhere: SavedModel, Keras, ONNX, LiteRT.

The SavedModel and the Keras file are written by the training. ONNX and LiteRT are not: for a large network they take
10 seconds and 3 GB each, which every training would pay for a file that few ask for, and the web process must not
load TensorFlow. So they are made by a piece of work when they are first asked for, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.db import transaction
from django.http import FileResponse
from django.utils.translation import gettext as _

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import FINAL, Status
from jobs.bundles.bundle import KERAS_FILE
from jobs.evaluating.evaluations import require_model

if TYPE_CHECKING:
    from jobs.models import Download, Training

Kind = Literal["saved_model", "keras", "onnx", "litert"]


@dataclass(frozen=True)
class Format:
    """A kind of file: `is_made` tells that it is made when it is first asked for."""

    name: Kind
    title: str
    suffix: str
    is_made: bool = False


FORMATS = (
    Format("saved_model", "TensorFlow SavedModel", ".tar.gz"),
    Format("keras", "Keras", ".keras"),
    Format("onnx", "ONNX", ".onnx", is_made=True),
    Format("litert", "LiteRT", ".tflite", is_made=True),
)
FAILED_FOR_GOOD = "not_convertible"


def format_of(name: str) -> Format:
    """The format of that name; raises UserError naming all."""
    for each in FORMATS:
        if each.name == name:
            return each
    raise UserError(
        _("?format= is one of %(formats)s; received “%(received)s”.")
        % {"formats": ", ".join(each.name for each in FORMATS), "received": name[:50]},
        reason="invalid",
        field="format",
    )


def keras_file(training: Training) -> FileResponse:
    """The Keras file that the training wrote.

    Raises:
        Conflict: there is no model, or none that Keras alone can load.
    """
    require_model(training)
    key = f"{training.export_key}/{KERAS_FILE}"
    if not workspace().exists(key):
        raise Conflict(
            _("The model of “%(name)s” has no Keras file. Use the SavedModel, or train again.")
            % {"name": training.name},
            reason="format_unavailable",
        )
    return FileResponse(workspace().open(key), as_attachment=True, filename=f"{training.slug}.keras")


def asked_for(training: Training, wanted: Format) -> Download:
    """The model in a format that is made when it is first asked for: made already, or queued.

    Raises:
        Conflict: there is no model, or it cannot be converted.
    """
    from jobs.models import Download

    require_model(training)
    with transaction.atomic():
        download, is_new = Download.objects.get_or_create(training=training, format=wanted.name)
        if not is_new:
            # RACE: two who ask at once must not queue it twice; the row is the lock.
            download = Download.objects.select_for_update().select_related("training__job__project").get(pk=download.pk)
        is_retry = download.status in FINAL and download.status != Status.COMPLETED
        if is_retry and download.error_reason == FAILED_FOR_GOOD:
            raise Conflict(download.error, reason=FAILED_FOR_GOOD)
        if is_new or is_retry:
            queue.submit(download, of=(Status.QUEUED, Status.FAILED, Status.CANCELLED))
    return download


def download_file(download: Download) -> FileResponse:
    """The file of a completed download."""
    name = f"{download.training.slug}{format_of(download.format).suffix}"
    return FileResponse(workspace().open(download.file_key), as_attachment=True, filename=name)


# -- Work ---------------------------------------------------------------------------------------


def stage(download: Download) -> dict[str, Any]:
    """The spec: which bundle, and what to make of it."""
    require_model(download.training)
    return {"bundle": str(workspace().local_tree(download.training.export_key)), "format": download.format}


def publish(download: Download, run: RunFolder) -> None:
    """Keep the file in the workspace."""
    result = run.result() or {}
    key = f"{download.files_key}/{result['file']}"
    workspace().put_file(key, run.output / result["file"])
    download.file_key = key
