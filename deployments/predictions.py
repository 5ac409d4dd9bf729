"""Prediction jobs, and the prediction of one sample."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from datasets.models import Data, File
from datasets.samples import random_files, sound_files
from deployments.client import Explain, ModelServerClient, ModelServerError
from deployments.models import Deployment, Prediction, PredictionJob
from deployments.modelserver.protocol import MAX_IMAGE_BYTES
from deployments.sample_rows import SampleRow, random_row
from deployments.sockets import client_of
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.slugs import unique_slug
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work import queue
from dlmodeler_site.work.models import Status
from jobs.readers.evaluated_images import labelled


def create_prediction_job(
    deployment: Deployment,
    *,
    data: Data,
    labels: Data | None = None,
    name: str,
    description: str = "",
    creator: User | None,
) -> PredictionJob:
    """Queue the prediction of every image, or of every row of the csv files. The deployment need not run.

    `labels`: csv files that say what the images are in truth; without them it is the labels on the images, if any.
    """
    if not name.strip():
        raise UserError(_("A prediction job needs a name; received none."), reason="invalid", field="name")
    require_fitting(deployment, data)
    if labels is not None:
        _require_labels(deployment, data, labels)
    with transaction.atomic():
        # RACE: two jobs of one name must not get one folder; the project's row is the lock.
        project = lock_kept(deployment.project)
        lock_kept(data)
        if labels is not None:
            lock_kept(labels)
        job = PredictionJob.objects.create(
            deployment=deployment,
            data=data,
            labels_data=labels,
            name=name.strip(),
            slug=unique_slug(name, PredictionJob.objects.filter(deployment__project=project)),
            description=description.strip(),
            creator=creator,
            version=deployment.version,
        )
        queue.submit(job)
    return job


def stop_prediction_job(job: PredictionJob) -> None:
    """Stop it; what it has predicted so far is kept for going on."""
    if not job.request_stop():
        job.refresh_from_db()
        raise Conflict(
            _("“%(name)s” cannot be stopped: it is %(status)s.")
            % {"name": job.name, "status": job.get_status_display().lower()},
            reason="wrong_state",
        )


def resume_prediction_job(job: PredictionJob) -> None:
    """Go on after a stop or a failure."""
    queue.submit(job, of=(Status.CANCELLED, Status.FAILED))


def delete_prediction_job(job: PredictionJob) -> None:
    """Delete the job, its results and their files."""
    if job.is_active:
        raise Conflict(
            _("“%(name)s” is %(status)s. Stop it first, then delete it.")
            % {"name": job.name, "status": job.get_status_display().lower()},
            reason="in_use",
        )
    key = job.files_key
    job.delete()
    workspace().delete_tree(key)


def require_fitting(deployment: Deployment, data: Data) -> None:
    """Raises UserError unless the data holds what the deployment predicts: images, or csv files."""
    _require_usable(deployment, data, "data")
    wanted = content_of(deployment)
    if sound_files(data).filter(content=wanted).exists():
        return
    values = {"data": data.name, "content": data.get_content_display().lower() or _("nothing")}
    if deployment.takes_tables:
        message, reason = (
            _("“%(data)s” holds no csv file (its content: %(content)s). Choose data with one."),
            "no_tables",
        )
    else:
        message, reason = (
            _("“%(data)s” holds no images (its content: %(content)s). Choose data with images."),
            "no_images",
        )
    raise UserError(message % values, reason=reason, field="data")


def _require_labels(deployment: Deployment, data: Data, labels: Data) -> None:
    """Raises UserError unless the csv files of `labels` name images of the data."""
    if deployment.takes_tables:
        raise UserError(
            _("The truth about rows stands in their own column “%(target)s”. Leave labels out.")
            % {"target": deployment.version.bundle_info["input"].get("target", "")},
            reason="invalid",
            field="labels",
        )
    _require_usable(deployment, labels, "labels")
    labelled(data, labels)


def _require_usable(deployment: Deployment, data: Data, field: str) -> None:
    if data.dataset.project_id != deployment.project_id:
        raise UserError(
            _("“%(data)s” belongs to another project than “%(deployment)s”. Choose data of the same project.")
            % {"data": data.name, "deployment": deployment.name},
            reason="other_project",
            field=field,
        )
    if data.status != Status.COMPLETED:
        raise Conflict(
            _("“%(data)s” is %(status)s. Choose data that is completed, or wait for it.")
            % {"data": data.name, "status": data.get_status_display().lower()},
            reason="data_not_completed",
            field=field,
        )


def content_of(deployment: Deployment) -> str:
    """The content of the files that the deployment predicts."""
    return Data.Content.TABLE if deployment.takes_tables else Data.Content.IMAGE


def random_sample(deployment: Deployment, data: Data) -> File:
    """One random sound file of the data that the deployment predicts; it has some (`require_fitting`)."""
    return random_files(data, content=content_of(deployment))[0]


def sent_image(deployment: Deployment, file: UploadedFile | None) -> bytes:
    """The bytes of an image that was sent. Raises UserError with the limits of the prediction API."""
    if deployment.takes_tables:
        raise UserError(_("This deployment takes rows of tables, not images."), reason="invalid", field="input")
    if file is None:
        raise UserError(_("No image was received. Choose one."), reason="no_image", field="input")
    if (file.size or 0) > MAX_IMAGE_BYTES:
        raise UserError(
            _("The file is too large: it has %(received)s bytes, an image may have %(maximum)s. Choose a smaller one.")
            % {"received": file.size, "maximum": MAX_IMAGE_BYTES},
            reason="too_large",
            status=413,
            field="input",
        )
    image: bytes = file.read()
    return image


def predict_image(deployment: Deployment, image: bytes, *, explain: bool = False) -> dict[str, Any]:
    """What the deployment says of an encoded image, as its REST API; with `explain` also the `heatmap`."""
    _require_active(deployment)
    return _told(deployment, lambda client: client.predict([image], explain=Explain(None) if explain else None))


def explain_prediction(prediction: Prediction) -> bytes:
    """A PNG of what in the image spoke for the class that was predicted: of the version that predicted, while it
    serves.

    Raises:
        UserError: it was of no image, or that version does not serve now; what to do is said.
    """
    job = prediction.prediction_job
    require_explainable(job)
    if prediction.label is None:
        raise UserError(
            _("“%(file)s” could not be predicted, so nothing spoke for a class.") % {"file": prediction.file.name},
            reason="explain_unavailable",
            status=404,
        )
    with open(workspace().local_path(prediction.file.key, prediction.file.sha256), "rb") as source:
        image = source.read()
    wanted = Explain(str(prediction.label))
    answer = _told(job.deployment, lambda client: client.predict([image], explain=wanted))
    require_explainable(job)  # RACE: another version may have taken over and answered
    return b64decode(answer["predictions"][0]["heatmap"])


def require_explainable(job: PredictionJob) -> None:
    """Raises UserError unless the version that predicted the job's images serves now."""
    if job.version.takes_tables:
        raise UserError(_("Heat maps are of images, not of rows."), reason="explain_unavailable", status=404)
    if job.version_id != job.deployment.version_id:
        raise UserError(
            _(
                "Heat maps come from the version that predicted, number %(predicted)s, but “%(deployment)s” serves "
                "version %(serves)s. Roll back to it to see them."
            )
            % {
                "predicted": job.version.number,
                "serves": job.deployment.version.number,
                "deployment": job.deployment.name,
            },
            reason="other_version",
            status=409,
        )
    _require_active(job.deployment)


def predict_sample(deployment: Deployment, file: File) -> dict[str, Any]:
    """What the deployment says of an image, in the words of its REST API: `{"predictions": [...], "model": {...}}`."""
    if file.state != File.State.OK or file.content != Data.Content.IMAGE:
        raise UserError(
            _("“%(file)s” is no sound image. Choose another file.") % {"file": file.name},
            reason="not_an_image",
            field="file",
        )
    _require_active(deployment)
    with open(workspace().local_path(file.key, file.sha256), "rb") as source:
        image = source.read()
    return _told(deployment, lambda client: client.predict([image]))


def sample_row(deployment: Deployment, file: File) -> SampleRow:
    """A random row of a csv file."""
    if file.state != File.State.OK or file.content != Data.Content.TABLE:
        raise UserError(
            _("“%(file)s” is no sound csv file. Choose another file.") % {"file": file.name},
            reason="not_a_table",
            field="file",
        )
    return random_row(deployment, file)


def predict_row(deployment: Deployment, values: dict[str, Any]) -> dict[str, Any]:
    """What the deployment says of one row, column -> value, in the words of its REST API."""
    _require_active(deployment)
    body = json.dumps({"rows": [values]}).encode()
    return _told(deployment, lambda client: client.predict_json(body))


def _require_active(deployment: Deployment) -> None:
    if not deployment.is_wanted or deployment.status != Deployment.Status.ACTIVE:
        raise UserError(
            _("“%(deployment)s” is %(status)s. Start it, and wait until it is active.")
            % {"deployment": deployment.name, "status": deployment.get_status_display().lower()},
            reason=deployment.status if deployment.is_wanted else Deployment.Wanted.STOPPED,
            status=503,
        )


def _told(deployment: Deployment, ask: Callable[[ModelServerClient], dict[str, Any]]) -> dict[str, Any]:
    try:
        answer = _asked(deployment, ask)
    except ModelServerError as error:
        raise UserError(error.message, reason=error.reason, status=error.status, details=error.details) from None
    return {"predictions": answer["predictions"], "model": deployment.version.model_info}


def _asked(deployment: Deployment, ask: Callable[[ModelServerClient], dict[str, Any]]) -> dict[str, Any]:
    read = deployment.version
    try:
        return ask(client_of(deployment.pk, read.number))
    except ModelServerError as error:
        # RACE: another version took over after the row was read, and this one has ended.
        deployment.refresh_from_db(fields=["version"])
        if error.reason != "not_ready" or deployment.version.pk == read.pk:
            raise
    return ask(client_of(deployment.pk, deployment.version.number))
