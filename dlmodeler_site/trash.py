"""The trash: a row with `deleted_at` is out of sight until somebody restores it or its time is over.

Then it is GONE: nobody sees or restores it any more, and the keeper deletes its files and, last, the row. The row is
what finds the files again after a crash, and what keeps their folder's name from being given away.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dlmodeler_site.audit import last_changed_by
from dlmodeler_site.errors import Conflict
from dlmodeler_site.storage import workspace

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Model)
GONE = datetime(1970, 1, 1, tzinfo=UTC)
RETRY_S = 600


@dataclass(frozen=True)
class TrashEntry:
    """A row in the trash. `part_of` names what it belongs to, `contents` counts what is in it."""

    kind: str
    pk: int
    name: str
    deleted_at: datetime
    deleted_by: str
    size_bytes: int
    contents: int
    project_pk: int
    part_of: str = ""

    @property
    def gone_at(self) -> datetime:
        """When it is deleted for ever by itself."""
        return self.deleted_at + kept_for()

    @property
    def days_left(self) -> int:
        """Whole days until then, begun ones included."""
        return max(0, -((timezone.now() - self.gone_at) // timedelta(days=1)))


def trash_days() -> int:
    """For how many days what was deleted can be restored."""
    days: int = settings.DLM_TRASH_DAYS
    return days


def kept_for() -> timedelta:
    return timedelta(days=trash_days())


def in_trash(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of `rows` that are in the trash and can be restored."""
    return rows.filter(deleted_at__gt=GONE)


def lock_kept(row: R) -> R:
    """The row as it is now, locked for this transaction. Raises Conflict when it went to the trash meanwhile."""
    kept: R | None = type(row)._default_manager.select_for_update().filter(pk=row.pk).first()
    if kept is None:
        raise Conflict(_("“%(name)s” was deleted meanwhile. Load the page again.") % {"name": row}, reason="deleted")
    return kept


def put_in(row: Any) -> None:
    """Move the row to the trash; who did it stands in the audit log."""
    row.deleted_at = timezone.now()
    row.save(update_fields=["deleted_at"])


def take_out(row: Any) -> None:
    row.deleted_at = None
    row.save(update_fields=["deleted_at"])


def end(row: Any) -> None:
    """The row is not to be restored any more; the keeper deletes it."""
    row.deleted_at = GONE
    row.save(update_fields=["deleted_at"])


def end_expired(*querysets: QuerySet[Any]) -> None:
    """End what was in the trash for long enough. What contains others comes first, so that nothing is ended in part."""
    long_ago = timezone.now() - kept_for()
    for rows in querysets:
        in_trash(rows).filter(deleted_at__lt=long_ago).update(deleted_at=GONE)


def require_in_trash(row: Any) -> None:
    """Raises Conflict unless the row, as it was just read, can still be restored."""
    if row.deleted_at is None:
        raise Conflict(_("“%(name)s” is not in the trash.") % {"name": row.name}, reason="not_in_trash")
    if row.deleted_at == GONE:
        raise Conflict(
            _("“%(name)s” cannot be restored any more: it is being deleted for ever.") % {"name": row.name},
            reason="gone",
        )


def deleters(rows: Iterable[Model]) -> dict[int, str]:
    """Primary key -> the name of who moved the row to the trash. The rows are of one model."""
    return last_changed_by(list(rows), "deleted_at")


def delete_each(rows: Iterable[Any], delete: Callable[[Any], None]) -> None:
    """Delete the rows that are GONE. What fails is logged and tried again after a while; the others go on."""
    for row in rows:
        key = (row._meta.label, row.pk)
        if time.monotonic() - _failed_at.get(key, -RETRY_S) < RETRY_S:
            continue
        try:
            delete(row)
            _failed_at.pop(key, None)
        except Exception:
            _failed_at[key] = time.monotonic()
            log.exception("%s %s (%s) could not be deleted for ever", *key, row)


def delete_folders(*keys: str) -> None:
    """Delete these folders of the workspace. Raises OSError when something is left, so that the row stays."""
    for key in keys:
        workspace().delete_tree(key)
        if left := next(workspace().keys(key), None):
            raise OSError(f"{left} is still there after its folder was deleted")


_failed_at: dict[tuple[str, int], float] = {}
