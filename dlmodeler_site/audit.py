"""The audit log: django-auditlog records changes of rows by itself; this records what changes none."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from auditlog.context import auditlog_value
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import Model

M = TypeVar("M", bound=Model)

# What work writes again and again without anybody's doing.
STATE_OF_WORK = ("progress", "heartbeat_at", "lease", "attempt", "crashes", "checkpoint_key")


def record_access(row: Model, *, what: str) -> None:
    """Note that the acting user was shown something worth noting (a token, a secret)."""
    LogEntry.objects.log_create(row, force_log=True, action=LogEntry.Action.ACCESS, changes={"shown": ["", what]})


def record_change(row: Model, *, what: str) -> None:
    """Note that the acting user replaced what is not to be read in the log (a secret)."""
    LogEntry.objects.log_create(row, force_log=True, action=LogEntry.Action.UPDATE, changes={what: ["…", "…"]})


def act_as(user: Any) -> None:
    """What is recorded from now on in this request is done by `user`: who comes with a token is known late."""
    context = auditlog_value.get(None)
    if context is not None and isinstance(user, get_user_model()):
        context["actor"] = user


def last_changed_by(rows: Sequence[Model], field: str) -> dict[int, str]:
    """Primary key -> the name of who last changed the field, where that is known. The rows are of one model."""
    if not rows:
        return {}
    entries = LogEntry.objects.get_for_model(type(rows[0])).filter(
        object_id__in=[row.pk for row in rows], changes__has_key=field
    )
    last = dict(entries.order_by("timestamp", "pk").values_list("object_id", "actor__username"))
    return {pk: username for pk, username in last.items() if username}


def audited(*, exclude_fields: tuple[str, ...] = ()) -> Callable[[type[M]], type[M]]:
    """Class decorator: record who changed what in rows of this model."""

    def register(model: type[M]) -> type[M]:
        from auditlog.registry import auditlog

        auditlog.register(model, exclude_fields=list(exclude_fields))
        return model

    return register
