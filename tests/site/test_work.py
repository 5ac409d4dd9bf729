"""The one mechanism for long work: its transitions, its lease, its reaper."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from datasets.models import Data, Dataset, File
from dlmodeler_site.errors import Conflict
from dlmodeler_site.storage import workspace
from dlmodeler_site.work import queue, reaper
from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from tests.cast import Cast, make_cast, make_dataset, png, run_work, write_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def dataset(cast: Cast) -> Dataset:
    return make_dataset(cast.project)


def queued(dataset: Dataset, name: str = "raw") -> Data:
    """A raw data with one sound image, waiting to be inspected."""
    data = Data.objects.create(dataset=dataset, name=name, slug=name)
    write_file(data, "a.png", png())
    File.objects.create(data=data, name="a.png")
    queue.submit(data, of=(Status.UPLOADING,))
    return data


def test_submit_writes_the_row_and_rings(dataset: Dataset) -> None:
    data = queued(dataset)
    assert data.status == Status.QUEUED
    assert queue.is_rung(data)


def test_a_rolled_back_submit_rings_nobody(dataset: Dataset) -> None:
    data = Data.objects.create(dataset=dataset, name="raw", slug="raw")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue.submit(data, of=(Status.UPLOADING,))
        raise ZeroDivisionError
    data.refresh_from_db()
    assert data.status == Status.UPLOADING
    assert not OrmQ.objects.exists()


def test_work_is_submitted_only_from_the_states_that_allow_it(dataset: Dataset) -> None:
    data = queued(dataset)
    with pytest.raises(Conflict, match="queued"):
        queue.submit(data, of=(Status.UPLOADING,))


def test_only_one_of_two_claims_wins(dataset: Dataset) -> None:
    data = queued(dataset)
    other = Data.objects.get(pk=data.pk)
    assert data.claim() is not None
    assert other.claim() is None


def test_whoever_lost_the_lease_changes_nothing(dataset: Dataset) -> None:
    data = queued(dataset)
    assert data.claim()
    stranger = uuid.uuid4()
    assert not data.beat(stranger)
    assert not data.advance(stranger, progress=1)
    assert not data.complete(stranger)
    assert not data.fail(stranger, "no", reason="no")
    data.refresh_from_db()
    assert data.status == Status.RUNNING


def test_work_runs_to_its_end(dataset: Dataset) -> None:
    data = run_work(queued(dataset))
    assert (data.status, data.progress, data.error) == (Status.COMPLETED, 1.0, "")
    assert data.finished_at is not None
    assert data.file_count == 1


def test_stopping_queued_work_cancels_it_at_once(dataset: Dataset) -> None:
    data = queued(dataset)
    assert data.request_stop()
    assert data.status == Status.CANCELLED
    assert data.claim() is None


def test_stopping_ended_work_says_that_it_had_ended(dataset: Dataset) -> None:
    assert not run_work(queued(dataset)).request_stop()


def lapse(data: Data) -> None:
    Data.objects.filter(pk=data.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))


def test_lapsed_work_is_queued_again_and_ends_completed(dataset: Dataset) -> None:
    data = queued(dataset)
    lease = data.claim()
    assert lease
    OrmQ.objects.all().delete()  # its ring was taken by the worker that died
    lapse(data)
    reaper.reap()
    data.refresh_from_db()
    assert (data.status, data.crashes) == (Status.QUEUED, 1)
    assert queue.is_rung(data)
    assert not data.complete(lease), "the one who was believed dead must not win any more"
    assert run_work(data).status == Status.COMPLETED


def test_work_with_a_heartbeat_is_left_alone(dataset: Dataset) -> None:
    data = queued(dataset)
    data.claim()
    reaper.reap()
    data.refresh_from_db()
    assert data.status == Status.RUNNING


def test_work_that_never_gets_anywhere_fails_at_last(dataset: Dataset, settings: object) -> None:
    data = queued(dataset)
    for _ in range(6):
        assert data.claim()
        lapse(data)
        reaper.reap()
        data.refresh_from_db()
    assert data.status == Status.FAILED
    assert data.error_reason == "crashed"
    assert "6 times" in data.error
    queue.submit(data, of=(Status.FAILED,))
    assert data.crashes == 0, "who tries again by hand starts afresh"


def test_progress_forgives_earlier_crashes(dataset: Dataset) -> None:
    data = queued(dataset)
    data.claim()
    lapse(data)
    reaper.reap()
    data.refresh_from_db()
    lease = data.claim()
    assert lease
    data.advance(lease, progress=0.5)
    assert data.crashes == 0


def test_a_lost_ring_is_rung_again(dataset: Dataset) -> None:
    data = queued(dataset, "lost")
    OrmQ.objects.all().delete()
    Data.objects.filter(pk=data.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    reaper.reap()
    assert queue.is_rung(data)


def test_waiting_work_tells_why(dataset: Dataset) -> None:
    first, second = queued(dataset, "first"), queued(dataset, "second")
    first.claim()
    assert "1 running and 0 queued before it on the short queue" in queue.waiting_reason(second)


def test_another_attempt_deletes_the_checkpoints_that_a_killed_one_did_not_note(cast: Cast) -> None:
    job = Job.objects.create(project=cast.project, name="classify", slug="classify", algorithm="image_classification")
    training = Training.objects.create(job=job, name="t", slug="t", attempt=1)
    key = training.files_key
    Training.objects.update(checkpoint_key=f"{key}/checkpoint-aaaaaaaa")
    kept = [f"{key}/checkpoint-aaaaaaaa/state.npz", f"{key}/export/1/checkpoint-like", f"{key}-2/checkpoint-cccccccc/x"]
    for name in (*kept, f"{key}/checkpoint-bbbbbbbb/state.npz"):
        workspace().save(name, ContentFile(b"x"))  # type: ignore[attr-defined]
    training.refresh_from_db()
    assert run_work(training).status == Status.FAILED  # it has no data; that comes afterwards
    left = set(workspace().keys(job.files_key)) - {training.log_key}
    assert left == set(kept)
