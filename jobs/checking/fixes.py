"""Mending what the check of a job's data found, with one click."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets.models import Data
from datasets.versions import preprocess_data, suggested_name
from dlmodeler_site.errors import Conflict, UserError
from jobs.checking import preflight
from jobs.checking.findings import Adjustment, Finding, NewData
from jobs.definition import refuse_while_training, replace_input
from jobs.models import Job


@dataclass(frozen=True)
class Fixed:
    """What was done: a new data, which the job reads now; or hyperparameters to give to the trainings."""

    code: str
    data: Data | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "new_data" if self.data else "hyperparameter"


def apply_fix(job: Job, user: User, code: str, hyperparameters: Mapping[str, Any] | None = None) -> Fixed:
    """Do what the finding of that code offers.

    A new data is queued and takes the place of the job's data at once; the check refuses trainings until it is
    completed.

    Raises:
        UserError: the check finds no such thing (any more), or nothing mends it with one click.
        Conflict: trainings of the job are queued or running, so that its data cannot be changed.
    """
    finding = _finding(preflight.check(job, hyperparameters), code)
    action = finding.fix_action
    if isinstance(action, Adjustment):
        return Fixed(code, hyperparameters=action.values)
    if isinstance(action, NewData):
        return Fixed(code, data=_make_data(job, user, finding, action))
    raise UserError(
        _("“%(code)s” cannot be mended with one click. %(fix)s") % {"code": code, "fix": finding.fix},
        reason="no_fix",
        field="code",
    )


def _finding(findings: list[Finding], code: str) -> Finding:
    for finding in findings:
        if finding.code == code:
            return finding
    raise UserError(
        _("The check finds nothing of the code “%(code)s”; it finds: %(found)s.")
        % {"code": code, "found": ", ".join(each.code for each in findings) or _("nothing")},
        reason="no_such_finding",
        field="code",
    )


def _make_data(job: Job, user: User, finding: Finding, action: NewData) -> Data:
    refuse_while_training(job)
    source = job.input_data(action.input)
    if source is None:
        raise Conflict(_("The job has no such data any more. Check it again."), reason="data_changed")
    with transaction.atomic():
        made = preprocess_data(
            source,
            user,
            name=suggested_name(source),
            description=_("Made for the job “%(job)s”. %(finding)s") % {"job": job.name, "finding": finding.message},
            steps=action.make_steps(),
        )
        replace_input(job, action.input, made, drops=action.drops)
    return made
