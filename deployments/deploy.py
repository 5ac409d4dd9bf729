"""Deploying a trained model, and starting, stopping, changing and deleting the deployment."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from deployments.models import Deployment
from deployments.servable import servable
from deployments.tokens import FIRST_NAME, create_token
from deployments.versions import add_version
from dlmodeler_site.errors import UserError
from dlmodeler_site.registry import dependants, refuse_if_in_use
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import lock_kept
from jobs import instances
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
    model = servable(training, model_file=model_file, preprocess=preprocess)
    with transaction.atomic():
        lock_kept(training.job.project)
        deployment = Deployment.objects.create(
            project=training.job.project,
            name=name.strip(),
            description=description.strip(),
            creator=creator,
            instance_kind=instance.kind,
            instance_count=instance.count,
        )
        deployment.version = add_version(deployment, model, creator=creator)
        deployment.save(update_fields=["version"])
        create_token(deployment, name=FIRST_NAME, creator=creator)
    return deployment


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


def _change(deployment: Deployment, *allowed: dict[str, Any], **values: Any) -> None:
    """Update the row while it is in one of the allowed states."""
    for state in allowed:
        if Deployment.objects.filter(pk=deployment.pk, **state).update(**values):
            break
    deployment.refresh_from_db()
