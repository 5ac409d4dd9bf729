"""What a deployment can serve: a model of a completed training, with or without the preprocessing of its data."""

import json
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from datasets.models import Data
from datasets.steps import image_steps
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.algorithms.registry import manifests
from jobs.models import Training


@dataclass(frozen=True)
class Servable:
    """The fields of a version that say what it serves."""

    training: Training
    bundle_key: str
    bundle_info: dict[str, Any]
    preprocess: bool
    steps: list[dict[str, Any]]

    @property
    def takes_tables(self) -> bool:
        return bool(self.bundle_info["input"]["kind"] == "table")


def servable(training: Training, *, model_file: str | None = None, preprocess: bool = False) -> Servable:
    """The model file of the training, the newest where none is named. Raises UserError where it cannot be served."""
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
    return Servable(training, bundle_key, bundle_info, preprocess, steps)


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
