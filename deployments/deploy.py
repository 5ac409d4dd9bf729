"""Deploying a trained model, and starting, stopping, changing and deleting the deployment."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from datasets.models import Data
from datasets.steps import image_steps
from deployments.models import Deployment
from deployments.tokens import FIRST_NAME, create_token
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import dependants, refuse_if_in_use
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from dlmodeler_site.work.models import Status
from jobs import instances
from jobs.algorithms.registry import manifests
from jobs.models import Instance, Training


def create_deployment(
    training: Training,
    *,
    name: str,
    description: str = "",
    creator: User | None,
    instance: Instance | None = None,
    model_file: str | None = None,
    preprocess: bool = False,
) -> Deployment:
    """Deploy a model of the training, with its first token; the keeper starts it within a second."""
    if not name.strip():
        raise UserError(_("A deployment needs a name; received none."), reason="invalid", field="name")
    instance = instance or Instance()
    instances.require(instance)
    bundle_key = _bundle_key(training, model_file)
    bundle_info = _bundle_info(bundle_key)
    steps = preprocessing_steps(training) if preprocess else []
    if preprocess and bundle_info["input"]["kind"] == "table":
        raise UserError(
            _(
                "No preprocessing can be connected to “%(training)s”: it reads tables and prepares columns itself. "
                "Deploy without it."
            )
            % {"training": training.name},
            reason="no_preprocessing",
            field="preprocess",
        )
    if preprocess and not steps:
        raise UserError(
            _(
                "There is no preprocessing to connect: the images that “%(training)s” was trained with are raw data. "
                "Deploy without preprocessing, or train with preprocessed data."
            )
            % {"training": training.name},
            reason="no_preprocessing",
            field="preprocess",
        )
    with transaction.atomic():
        lock_kept(training.job.project)
        deployment = Deployment.objects.create(
            project=training.job.project,
            training=training,
            name=name.strip(),
            description=description.strip(),
            creator=creator,
            instance_kind=instance.kind,
            instance_count=instance.count,
            bundle_key=bundle_key,
            bundle_info=bundle_info,
            preprocess=preprocess,
            steps=steps,
        )
        create_token(deployment, name=FIRST_NAME, creator=creator)
    return deployment


def reads_tables(training: Training | None) -> bool:
    """Whether its algorithm reads tables."""
    return training is not None and any(
        each.reads == "table" for each in manifests() if each.name == training.job.algorithm
    )


def preprocessing_steps(training: Training) -> list[dict[str, Any]]:
    """The steps that the training's images went through, oldest first; none for raw data, none that choose files."""
    steps: list[dict[str, Any]] = []
    data: Data | None = training.job.input_data("images")
    while data is not None:
        steps = [*image_steps(data.steps), *steps]
        data = data.parent
    return steps


def start_deployment(deployment: Deployment) -> None:
    """stopped or failed -> starting. Nothing happens where it runs already."""
    _change(
        deployment,
        {"wanted": Deployment.Wanted.STOPPED},
        {"wanted": Deployment.Wanted.RUNNING, "status": Deployment.Status.FAILED},
        wanted=Deployment.Wanted.RUNNING,
        generation=F("generation") + 1,
        status=Deployment.Status.STARTING,
        error="",
    )


def stop_deployment(deployment: Deployment) -> None:
    """Want it stopped: no request is let in any more; the keeper drains its model server and ends it."""
    _change(deployment, {"wanted": Deployment.Wanted.RUNNING}, wanted=Deployment.Wanted.STOPPED)


def edit_deployment(deployment: Deployment, *, name: str | None = None, description: str | None = None) -> None:
    """Change what is given."""
    if name is not None:
        if not name.strip():
            raise UserError(_("A deployment needs a name; received none."), reason="invalid", field="name")
        deployment.name = name.strip()
    if description is not None:
        deployment.description = description.strip()
    deployment.save(update_fields=["name", "description", "changed_at"])


def delete_deployment(deployment: Deployment) -> None:
    """Delete it with its tokens and ended prediction jobs; the keeper ends its model server."""
    refuse_if_in_use(deployment.name, dependants(deployment))
    keys = [job.files_key for job in deployment.prediction_jobs.select_related("deployment__project")]
    deployment.delete()
    for key in keys:
        workspace().delete_tree(key)


def _bundle_key(training: Training, model_file: str | None) -> str:
    """The folder in the workspace of the model file, the newest one where none is named."""
    if training.status != Status.COMPLETED or not training.model_files:
        raise Conflict(
            _("“%(training)s” has no model to deploy: it is %(status)s. Deploy a training that is completed.")
            % {"training": training.name, "status": training.get_status_display().lower()},
            reason="no_model",
            field="training",
        )
    chosen = model_file or training.model_files[-1]
    if chosen not in training.model_files:
        raise UserError(
            _("“%(received)s” is no model file of “%(training)s”. Choose one of: %(allowed)s.")
            % {"received": chosen, "training": training.name, "allowed": ", ".join(training.model_files)},
            reason="unknown_model_file",
            field="model_file",
        )
    return chosen.removeprefix("/mnt/").rpartition("/")[0]


def _bundle_info(bundle_key: str) -> dict[str, Any]:
    try:
        with workspace().open(f"{bundle_key}/bundle.json", "rb") as file:
            bundle = json.load(file)
        task = bundle.get("task", "classification")
        info = {"task": task, "labels": [], **{name: bundle[name] for name in ("input", "engine")}}
        if task == "classification":
            info["labels"] = bundle["labels"]
        if info["input"]["kind"] == "table":
            info["input"] |= {"shape": [None, len(info["input"]["columns"])], "dtype": "string"}
        return info
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise UserError(
            _("The model in /mnt/%(key)s cannot be deployed: its bundle.json is missing or damaged. Train again.")
            % {"key": bundle_key},
            reason="model_damaged",
            field="model_file",
        ) from error


def _change(deployment: Deployment, *allowed: dict[str, Any], **values: Any) -> None:
    """Update the row while it is in one of the allowed states."""
    for state in allowed:
        if Deployment.objects.filter(pk=deployment.pk, **state).update(**values):
            break
    deployment.refresh_from_db()
