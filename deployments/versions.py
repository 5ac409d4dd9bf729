"""Another model for a deployment while it answers, and the way back to one that it served.

A change is one row and one pointer: the version, and the deployment's `next_version`. The keeper (`servers.py`) starts
its model server beside the one that serves, and only when it answers makes it the `version`; where it does not come up,
nothing has changed for anybody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from deployments.models import Deployment, DeploymentVersion
from deployments.servable import Servable, servable
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import dependants, refuse_if_in_use
from dlmodeler_site.trash import lock_kept
from jobs.models import Training

KEPT = 10
MOST_NAMED = 10


@dataclass(frozen=True)
class Difference:
    """Something that clients of the deployment would notice, as a code and in words."""

    code: str
    message: str


def add_version(deployment: Deployment, model: Servable, *, creator: User | None) -> DeploymentVersion:
    """A row for the model under the deployment's next number. Nothing points to it yet."""
    last = deployment.versions.aggregate(Max("number"))["number__max"] or 0
    return DeploymentVersion.objects.create(
        deployment=deployment,
        number=last + 1,
        training=model.training,
        creator=creator,
        bundle_key=model.bundle_key,
        bundle_info=model.bundle_info,
        preprocess=model.preprocess,
        steps=model.steps,
    )


def change_model(
    deployment: Deployment,
    training: Training,
    *,
    model_file: str | None = None,
    preprocess: bool = False,
    creator: User | None,
) -> DeploymentVersion:
    """Want another model: it takes over as soon as it answers. Of two changes at once the last one counts."""
    model = fitting_model(deployment, training, model_file=model_file, preprocess=preprocess)
    with transaction.atomic():
        lock_kept(deployment.project)  # as those do who delete trainings
        deployment = lock_kept(deployment)
        wanted = deployment.next_version or deployment.version
        if (wanted.bundle_key, wanted.preprocess) == (model.bundle_key, model.preprocess):
            raise Conflict(
                _("Version %(number)s of “%(name)s” is this model already. Choose another one.")
                % {"number": wanted.number, "name": deployment.name},
                reason="same_model",
                field="training",
            )
        version = add_version(deployment, model, creator=creator)
        _want(deployment, version)
        _forget_oldest(deployment)
    return version


def roll_back(deployment: Deployment, *, number: int | None = None) -> Deployment:
    """Want a version that there is already: the one with this number, else the one that served before.

    While a change is under way, that is the one that serves: the change is called off.
    """
    with transaction.atomic():
        deployment = lock_kept(deployment)
        version = _numbered(deployment, number) if number is not None else _before(deployment)
        if version.pk == deployment.next_version_id:
            return deployment
        if version.pk == deployment.version_id and deployment.next_version_id is None:
            raise Conflict(
                _("“%(name)s” serves version %(number)s already.") % {"name": deployment.name, "number": number},
                reason="already_current",
                field="version",
            )
        _want(deployment, version)
    return deployment


def delete_version(version: DeploymentVersion) -> None:
    """Forget a version, so that its training may be deleted."""
    with transaction.atomic():
        deployment = lock_kept(version.deployment)
        if version.pk in (deployment.version_id, deployment.next_version_id):
            raise Conflict(
                _("Version %(number)s of “%(name)s” is in use. Change the model first, then delete this version.")
                % {"number": version.number, "name": deployment.name},
                reason="in_use",
            )
        refuse_if_in_use(f"{deployment.name} ({version})", dependants(version))
        version.delete()


def fitting_model(deployment: Deployment, training: Training, **chosen: Any) -> Servable:
    """What the training would serve here. Raises UserError where the deployment's clients could not go on with it."""
    if training.job.project_id != deployment.project_id:
        raise UserError(
            _("“%(training)s” belongs to another project than “%(deployment)s”. Choose one of the same project.")
            % {"training": training.name, "deployment": deployment.name},
            reason="other_project",
            field="training",
        )
    model = servable(training, **chosen)
    if model.takes_tables != deployment.takes_tables:
        kinds = {False: _("images"), True: _("rows of tables")}
        raise UserError(
            _(
                "“%(deployment)s” takes %(expected)s, and “%(training)s” takes %(received)s. Choose a training that "
                "takes the same, or deploy it on its own."
            )
            % {
                "deployment": deployment.name,
                "training": training.name,
                "expected": kinds[deployment.takes_tables],
                "received": kinds[model.takes_tables],
            },
            reason="other_input",
            field="training",
        )
    return model


def differences(version: DeploymentVersion, model: Servable) -> list[Difference]:
    """What clients would notice if `model` answered instead of `version`; nothing where they would notice nothing."""
    found = [*_task_differences(version.bundle_info, model.bundle_info)]
    if version.takes_tables:
        found += _column_differences(version.bundle_info["input"], model.bundle_info["input"])
    if model.steps != version.steps:
        if not model.steps:
            message = _("Images are not preprocessed any more: clients would have to do that.")
        elif not version.steps:
            message = _("Images go through the preprocessing of the training data: clients must not do that as well.")
        else:
            message = _("Images go through another preprocessing.")
        found.append(Difference("preprocessing", message))
    return found


def _task_differences(old: dict[str, Any], new: dict[str, Any]) -> Iterable[Difference]:
    if old.get("task") != new["task"]:
        titles = {"classification": _("classes"), "regression": _("values")}
        message = _("It answers %(new)s instead of %(old)s.") % {
            "new": titles.get(new["task"], new["task"]),
            "old": titles.get(str(old.get("task")), "?"),
        }
        yield Difference("task", message)
        return
    before, after = _classes(old), _classes(new)
    if gone := [name for name in before if name not in after]:
        yield Difference("classes_gone", _("Classes that it answers no more: %(names)s.") % {"names": _named(gone)})
    if added := [name for name in after if name not in before]:
        yield Difference("classes_new", _("Classes that are new: %(names)s.") % {"names": _named(added)})


def _column_differences(old: dict[str, Any], new: dict[str, Any]) -> Iterable[Difference]:
    before, after = ({column["name"]: column["type"] for column in given["columns"]} for given in (old, new))
    if added := [name for name in after if name not in before]:
        message = _("Columns that requests do not have yet: %(names)s.")
        yield Difference("columns_new", message % {"names": _named(added)})
    if gone := [name for name in before if name not in after]:
        yield Difference("columns_gone", _("Columns that are not read any more: %(names)s.") % {"names": _named(gone)})
    if changed := [name for name in after if before.get(name, after[name]) != after[name]]:
        message = _("Columns that are read as something else: %(names)s.")
        yield Difference("columns_changed", message % {"names": _named(changed)})
    if old.get("target") != new.get("target"):
        message = _("It tells “%(new)s” and not “%(old)s”.") % {"new": new.get("target"), "old": old.get("target")}
        yield Difference("target", message)


def _classes(info: dict[str, Any]) -> list[str]:
    """Each class as clients see it: its label and its name."""
    return [
        f"{each['label']} ({name})"
        if (name := each.get("class_name")) not in (None, str(each["label"]))
        else str(each["label"])
        for each in info.get("labels", [])
    ]


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (_(" and %(count)s more") % {"count": more} if more > 0 else "")


def _want(deployment: Deployment, version: DeploymentVersion) -> None:
    """Point to it; what was to take over before is called off. The deployment's row is locked."""
    forgiven = [version.pk, *([deployment.next_version_id] if deployment.next_version_id else [])]
    DeploymentVersion.objects.filter(pk__in=forgiven).update(error="")
    deployment.next_version = None if version.pk == deployment.version_id else version
    deployment.save(update_fields=["next_version", "changed_at"])


def _numbered(deployment: Deployment, number: int) -> DeploymentVersion:
    version: DeploymentVersion | None = deployment.versions.filter(number=number).first()
    if version is None:
        kept = ", ".join(str(each) for each in deployment.versions.order_by("number").values_list("number", flat=True))
        raise UserError(
            _("“%(name)s” has no version %(received)s. There are: %(kept)s.")
            % {"name": deployment.name, "received": number, "kept": kept},
            reason="unknown_version",
            field="version",
        )
    return version


def _before(deployment: Deployment) -> DeploymentVersion:
    if deployment.next_version_id is not None:
        return deployment.version
    version = served_before(deployment)
    if version is None:
        raise Conflict(
            _("“%(name)s” has served no other version yet, so there is none to go back to.")
            % {"name": deployment.name},
            reason="no_previous_version",
        )
    return version


def served_before(deployment: Deployment) -> DeploymentVersion | None:
    """The version that served before the one that serves."""
    served = deployment.versions.filter(activated_at__isnull=False).exclude(pk=deployment.version_id)
    version: DeploymentVersion | None = served.order_by("-activated_at", "-number").first()
    return version


def _forget_oldest(deployment: Deployment) -> None:
    """Keep the last versions, those that prediction jobs use, and the one to go back to."""
    before = served_before(deployment)
    kept = {deployment.version_id, deployment.next_version_id, *([before.pk] if before else [])}
    for version in deployment.versions.filter(prediction_jobs=None).order_by("-number")[KEPT:]:
        if version.pk not in kept:
            version.delete()
