"""The serving process notes each answer; a thread beside the requests writes them down every two seconds.

A process that is killed loses the notes of its last two seconds, and nothing else.
"""

import atexit
import logging
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from deployments.models import Deployment, DeploymentToken
from deployments.traffic.models import LoggedRequest, Span, Traffic
from deployments.traffic.tally import Answered, Tally

log = logging.getLogger(__name__)

WRITTEN_EVERY_S = 2
MOST_WAITING = 100_000  # while the database cannot be written
LOGGED_PER_WRITE = 1000  # successes; of more only the tallies tell
_ERROR = 400


@dataclass(frozen=True)
class Note:
    """An answer to a request of a deployment; without a token it is counted, but not logged."""

    deployment: int
    at: datetime
    answered: Answered
    request_id: str
    token: int | None
    version: int
    reason: str


class Recorder:
    """Takes notes from any number of threads."""

    def __init__(self) -> None:
        self._waiting: deque[Note] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def note(self, note: Note) -> None:
        self._waiting.append(note)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:  # not before the first request: threads do not outlive the fork of a worker
                self._thread = threading.Thread(target=self._keep_writing, name="traffic", daemon=True)
                self._thread.start()
                atexit.register(self._end)

    def flush(self) -> None:
        """Write what waits. What could not be written waits on."""
        with self._lock:
            notes = [self._waiting.popleft() for _index in range(len(self._waiting))]
            if not notes:
                return
            try:
                with transaction.atomic():
                    _write(notes)
            except Exception:
                self._waiting.extendleft(reversed(notes))
                raise

    def _keep_writing(self) -> None:
        while not self._ending.wait(WRITTEN_EVERY_S):
            self._flush_logged()

    def _end(self) -> None:
        self._ending.set()
        self._flush_logged()

    def _flush_logged(self) -> None:
        try:
            self.flush()
        except Exception:
            log.exception("the traffic of deployments could not be written; it is tried again")
        finally:
            connection.close()


def _write(notes: list[Note]) -> None:
    living = set(Deployment.objects.filter(pk__in={note.deployment for note in notes}).values_list("pk", flat=True))
    notes = [note for note in notes if note.deployment in living]
    tallies: dict[tuple[int, Span, datetime], Tally] = defaultdict(Tally)
    for note in notes:
        for span in Span:
            tallies[note.deployment, span, span.begin(note.at)].add(note.answered)
    for (deployment, span, begins_at), tally in sorted(tallies.items()):
        _add(deployment, span, begins_at, tally)
    if settings.DLM_REQUEST_LOG_DAYS > 0:
        _log(notes)


def _add(deployment: int, span: Span, begins_at: datetime, tally: Tally) -> None:
    """Add to what is written already; the lock on the row keeps two processes from writing over each other."""
    rows = Traffic.objects.select_for_update()
    row, _is_new = rows.get_or_create(deployment_id=deployment, span=span, begins_at=begins_at)
    known = row.tally
    known.merge(tally)
    row.counts = known.as_json()
    row.save(update_fields=["counts"])


def _log(notes: list[Note]) -> None:
    successes = [note for note in notes if note.answered.status < _ERROR][:LOGGED_PER_WRITE]
    logged = {id(note) for note in successes}
    kept = [note for note in notes if note.token and (note.answered.status >= _ERROR or id(note) in logged)]
    tokens = set(DeploymentToken.objects.filter(pk__in={note.token for note in kept}).values_list("pk", flat=True))
    LoggedRequest.objects.bulk_create(
        LoggedRequest(
            deployment_id=note.deployment,
            at=note.at,
            request_id=note.request_id,
            token_id=note.token if note.token in tokens else None,
            version=note.version,
            status=note.answered.status,
            reason=note.reason,
            latency_ms=round(note.answered.latency_ms, 2),
            samples=note.answered.samples,
            label=next(iter(note.answered.labels), "")[:200],
            confidence=next(iter(note.answered.confidences), None),
        )
        for note in kept[-LOGGED_PER_WRITE * 2 :]
    )


recorder = Recorder()
