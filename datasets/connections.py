"""Connections to object storages: tried out before they are saved, used, deleted. Secret keys are kept encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from datasets.models import Connection, ConnectionQuerySet, Data, Export
from datasets.object_storage import PATIENT, Access, ObjectStorage
from dlmodeler_site.access import User, get_visible
from dlmodeler_site.audit import record_change
from dlmodeler_site.encryption import Unreadable, decrypt, encrypt
from dlmodeler_site.errors import Conflict, UserError
from dlmodeler_site.registry import Dependant, dependants, refuse_if_in_use
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.work.models import ACTIVE
from projects.models import Project

_PURPOSE = "connection-secret-key"
# What is wrong with the connection itself, not with what was asked of it.
_OF_A_BUCKET = frozenset({"access_denied", "no_such_bucket", "wrong_region"})
FAULTS = _OF_A_BUCKET | {
    "clock_skew",
    "endpoint_not_allowed",
    "endpoint_private",
    "expired_key",
    "not_s3",
    "tls",
    "unknown_access_key",
    "unreachable",
    "wrong_secret_key",
}


def save_connection(connection: Connection, *, secret_key: str = "") -> None:
    """Save a new or changed connection, if listing and getting work; a blank secret key leaves the one it has.

    Raises UserError, on the field at fault, with what does not work; nothing is saved then.
    """
    try_out(connection, secret_key=secret_key)
    store(connection, secret_key=secret_key)


def try_out(connection: Connection, *, secret_key: str = "") -> None:
    """List and get with the connection as it would be saved."""
    for field in ("name", "endpoint", "region", "bucket", "access_key"):
        setattr(connection, field, getattr(connection, field).strip())
    secret_key = secret_key.strip()
    for field, value in (("name", connection.name), ("access_key", connection.access_key)):
        if not value:
            raise UserError(_("This must not be blank."), reason="invalid", field=field)
    if not secret_key and not connection.ciphertext:
        raise UserError(_("Give the secret key that belongs to the access key."), reason="invalid", field="secret_key")
    same = Connection.objects.filter(project=connection.project_id, name=connection.name).exclude(pk=connection.pk)
    if same.exists():
        raise UserError(
            _("There is a connection named “%(name)s” already. Choose another name.", name=connection.name),
            reason="name_taken",
            field="name",
        )
    storage = ObjectStorage(_access(connection, secret_key))
    storage.check_reading()
    if connection.endpoint:
        connection.endpoint = storage.endpoint.url


def store(connection: Connection, *, secret_key: str = "") -> None:
    """Save what was tried out."""
    if secret_key.strip():
        connection.ciphertext = encrypt(secret_key.strip(), purpose=_PURPOSE)
    connection.checked_at, connection.error = timezone.now(), ""
    is_new = connection.pk is None
    with transaction.atomic():
        connection.save()
        if secret_key.strip() and not is_new:
            record_change(connection, what="secret_key")


def check_connection(connection: Connection) -> None:
    """Try it out again and note what came of it. Raises UserError with what does not work."""
    with noting(connection):
        storage_of(connection).check_reading()


def delete_connection(connection: Connection) -> None:
    """Delete it. Raises Conflict while an import or export uses it."""
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        refuse_if_in_use(locked.name, [*_uses(locked), *dependants(locked)])
        locked.delete()


def _uses(connection: Connection) -> Iterator[Dependant]:
    for name in Data.objects.filter(connection=connection, status__in=ACTIVE).values_list("name", flat=True):
        yield Dependant(_("import"), name)
    for export in Export.objects.filter(connection=connection, status__in=ACTIVE).select_related("data"):
        yield Dependant(_("export"), export.data.name)


# -- Using it ------------------------------------------------------------------------------------


def usable_connection(user: User, pk: int, *, project: Project | None = None) -> Connection:
    """A connection that the user may use, for the project if one is given: 404 and 403 otherwise."""
    connection: Connection = get_visible(Connection.objects.all(), user, pk=pk)
    if not Connection.objects.usable_by(user).filter(pk=pk).exists():
        raise PermissionDenied(
            _("You are a viewer of this project: you may look, but not use its connections. Ask an owner.")
        )
    if project is not None and connection.project_id not in (None, project.pk):
        raise UserError(
            _(
                "The connection “%(name)s” belongs to another project. Choose one of this project.",
                name=connection.name,
            ),
            reason="other_project",
            field="connection",
        )
    return connection


def connections_for(project: Project) -> ConnectionQuerySet:
    """What the project's editors may use: its own connections and those of all projects."""
    return Connection.objects.filter(project=None) | Connection.objects.filter(project=project)


def storage_of(connection: Connection, *, patient: bool = False) -> ObjectStorage:
    """The connection's storage, checked against the operator's list of endpoints."""
    access = _access(connection)
    return ObjectStorage(access, tries=PATIENT) if patient else ObjectStorage(access)


@contextmanager
def noting(connection: Connection) -> Iterator[None]:
    """Keep on the connection whether what is done inside shows that it works."""
    try:
        yield
    except UserError as error:
        if error.reason in (FAULTS if connection.bucket else FAULTS - _OF_A_BUCKET):
            Connection.objects.filter(pk=connection.pk).update(checked_at=timezone.now(), error=error.message)
        raise
    Connection.objects.filter(pk=connection.pk).update(checked_at=timezone.now(), error="")


def _access(connection: Connection, secret_key: str = "") -> Access:
    if not secret_key:
        try:
            secret_key = decrypt(connection.ciphertext, purpose=_PURPOSE)
        except Unreadable:
            raise Conflict(
                _(
                    "The secret key of “%(name)s” cannot be read: it was encrypted with another secret key of the "
                    "site. Edit the connection and give the secret key again.",
                    name=connection.name,
                ),
                reason="secret_unreadable",
                field="secret_key",
            ) from None
    return Access(connection.endpoint, connection.region, connection.bucket, connection.access_key, secret_key)
