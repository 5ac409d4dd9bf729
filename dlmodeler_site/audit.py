"""The audit log: django-auditlog records changes of rows by itself; this records what changes none."""

from collections.abc import Callable
from typing import TypeVar

from auditlog.models import LogEntry
from django.db.models import Model

M = TypeVar("M", bound=Model)

# What work writes again and again without anybody's doing.
STATE_OF_WORK = ("progress", "heartbeat_at", "lease", "attempt", "crashes", "checkpoint_key")


def record_access(row: Model, *, what: str) -> None:
    """Note that the acting user was shown something worth noting (a token, a secret)."""
    LogEntry.objects.log_create(row, force_log=True, action=LogEntry.Action.ACCESS, changes={"shown": ["", what]})


def audited(*, exclude_fields: tuple[str, ...] = ()) -> Callable[[type[M]], type[M]]:
    """Class decorator: record who changed what in rows of this model."""

    def register(model: type[M]) -> type[M]:
        from auditlog.registry import auditlog

        auditlog.register(model, exclude_fields=list(exclude_fields))
        return model

    return register
