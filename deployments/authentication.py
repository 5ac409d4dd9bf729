"""Who may predict: a deployment's state and its tokens, remembered by each serving process for less than a second."""

import hmac
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from deployments.models import DeploymentToken
from deployments.tokens import digest_of

log = logging.getLogger(__name__)

REMEMBERED_S = 0.8  # a revoked token is refused within 1 s, the query included
MAX_REMEMBERED = 4096
USE_NOTED_EVERY_S = 60
WRITTEN_AFTER_S = 1  # so that many tokens at once are one write


@dataclass(frozen=True)
class TokenOnFile:
    pk: int
    digest: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Opened:
    """A deployment as its requests need it."""

    pk: int
    wanted: str
    status: str
    error: str
    version: int
    input_kind: str
    model: dict[str, Any]
    tokens: tuple[TokenOnFile, ...]

    def token_for(self, text: str) -> TokenOnFile | None:
        """The valid token with this text. Every token is compared, each in constant time."""
        given, found = digest_of(text), None
        for token in self.tokens:
            if hmac.compare_digest(token.digest, given):
                found = token
        if found is None or (found.expires_at is not None and found.expires_at <= timezone.now()):
            return None
        return found


_NOBODY = Opened(pk=0, wanted="", status="", error="", version=0, input_kind="", model={}, tokens=())
_remembered: dict[int, tuple[float, Opened]] = {}


def opened_by(pk: int, token: str) -> Opened | None:
    """The deployment that `token` opens; None for a wrong token and for a deployment that does not exist alike."""
    deployment = _deployment(pk)
    found = deployment.token_for(token)
    if found is None or not token:
        return None
    last_uses.note(found.pk)
    return deployment


def as_of_now(deployment: Opened) -> Opened:
    """The deployment as its row is at this moment, for everyone in this process."""
    _remembered.pop(deployment.pk, None)
    return _deployment(deployment.pk)


def is_known(pk: int) -> bool:
    """Whether there is such a deployment, with a token that is valid."""
    return _deployment(pk) is not _NOBODY


def _deployment(pk: int) -> Opened:
    now = time.monotonic()
    known = _remembered.get(pk)
    if known is not None and known[0] > now:
        return known[1]
    if len(_remembered) >= MAX_REMEMBERED:
        _remembered.clear()
    deployment = _load(pk)
    _remembered[pk] = (now + REMEMBERED_S, deployment)
    return deployment


def _load(pk: int) -> Opened:
    """State and valid tokens in one query."""
    rows = list(
        DeploymentToken.objects.valid()
        .filter(deployment=pk, deployment__project__deleted_at=None)
        .values_list(
            "pk",
            "digest",
            "expires_at",
            "deployment__wanted",
            "deployment__status",
            "deployment__error",
            "deployment__version__number",
            "deployment__version__bundle_info__input__kind",
            "deployment__version__training__name",
            "deployment__version__training__job__algorithm",
        )
    )
    if not rows:
        return _NOBODY
    wanted, status, error, version, input_kind, training, algorithm = rows[0][3:]
    return Opened(
        pk=pk,
        wanted=wanted,
        status=status,
        error=error,
        version=version,
        input_kind=input_kind,
        model={"name": training, "algorithm": algorithm, "version": version, "deployment": pk},
        tokens=tuple(TokenOnFile(*row[:3]) for row in rows),
    )


class LastUses:
    """Writes `last_used_at` at most once a minute for each token, in a thread beside the requests."""

    def __init__(self, write: Callable[[set[int]], None]) -> None:
        self._write = write
        self._noted: dict[int, float] = {}
        self._waiting: set[int] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, token_pk: int) -> None:
        """The token was used now."""
        now = time.monotonic()
        if now - self._noted.get(token_pk, -USE_NOTED_EVERY_S) < USE_NOTED_EVERY_S:
            return
        with self._lock:
            self._noted[token_pk] = now
            self._waiting.add(token_pk)
            if self._thread is None:  # started here, as threads do not outlive the fork of a worker
                self._thread = threading.Thread(target=self._keep_writing, name="last uses", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        if waiting:
            self._write(waiting)

    def _keep_writing(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(WRITTEN_AFTER_S)
            try:
                self.flush()
            except Exception:
                log.exception("the last use of tokens could not be written")
            finally:
                connection.close()


def _write_last_uses(token_pks: set[int]) -> None:
    DeploymentToken.objects.filter(pk__in=token_pks).update(last_used_at=timezone.now())


last_uses = LastUses(_write_last_uses)
