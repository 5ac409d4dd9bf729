"""Whole GPUs for one piece of work at a time, in the order in which it came, over a declared inventory."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone
from django_q.models import OrmQ

from dlmodeler_site.compute.base import Resources, gpu_names
from dlmodeler_site.compute.local import clean_environment
from dlmodeler_site.models import Gpu
from dlmodeler_site.work import gpus, queue, tasks
from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from tests.cast import Cast, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLM_GPUS", "4")


@pytest.fixture
def job(cast: Cast) -> Job:
    return Job.objects.create(project=cast.project, name="Scenes", slug="scenes")


def training(job: Job, name: str, count: int, *, minutes_ago: int = 0) -> Training:
    """A queued training on this many GPUs; 0 stands for a CPU."""
    made = Training.objects.create(
        job=job, name=name, slug=name, instance_kind="gpu" if count else "cpu", instance_count=max(count, 1)
    )
    queue.submit(made)
    Training.objects.filter(pk=made.pk).update(queued_at=timezone.now() - timedelta(minutes=minutes_ago))
    made.refresh_from_db()
    return made


def names_of(work: Training) -> tuple[str, ...]:
    assert work.lease is not None
    return gpus.held(work.lease)


def test_each_gets_gpus_of_its_own_and_the_rest_wait_with_the_reason(job: Job) -> None:
    two, one, more = (
        training(job, "two", 2, minutes_ago=3),
        training(job, "one", 1, minutes_ago=2),
        training(job, "more", 2),
    )
    assert gpus.claim(two)
    assert gpus.claim(one)
    assert (names_of(two), names_of(one)) == (("0", "1"), ("2",))
    assert gpus.claim(more) is None
    assert (more.status, more.lease, more.attempt) == (Status.QUEUED, None, 0)
    reason = queue.waiting_reason(more)
    assert "2 GPUs: 1 of 4 free" in reason
    assert "“two”" in reason
    assert "“one”" in reason


@pytest.mark.parametrize("end", ["complete", "fail", "cancel_running", "requeue"])
def test_every_end_frees_the_gpus(job: Job, end: str) -> None:
    first, second = training(job, "first", 4, minutes_ago=1), training(job, "second", 3)
    lease = gpus.claim(first)
    assert lease
    assert gpus.claim(second) is None
    if end == "fail":
        first.fail(lease, "It broke.", reason="broken")
    else:
        getattr(first, end)(lease)
    if end == "requeue":  # its place is behind who waited meanwhile
        assert first.queued_at
        assert second.queued_at
        assert first.queued_at > second.queued_at
    assert gpus.claim(second)
    assert len(names_of(second)) == 3


def test_who_waits_for_many_is_not_passed_by_who_needs_few(job: Job) -> None:
    running = training(job, "running", 2, minutes_ago=3)
    assert gpus.claim(running)
    big, small = training(job, "big", 3, minutes_ago=2), training(job, "small", 1, minutes_ago=1)
    assert gpus.claim(big) is None
    assert gpus.claim(small) is None
    assert "the turn of “big”" in gpus.waiting_reason(small)
    assert running.lease
    running.complete(running.lease)
    assert gpus.claim(big)
    assert gpus.claim(small)
    assert set(names_of(big)) | set(names_of(small)) == set(gpu_names())


def test_work_for_more_gpus_than_are_left_holds_nobody_up(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    big, small = training(job, "big", 4, minutes_ago=2), training(job, "small", 1)
    monkeypatch.setenv("DLM_GPUS", "GPU-1a, GPU-2b")
    assert gpus.claim(big) is None
    assert "4 GPUs: this site has 2 now" in gpus.waiting_reason(big)
    assert gpus.claim(small)
    assert names_of(small) == ("GPU-1a",)


def test_work_on_a_cpu_needs_none(job: Job) -> None:
    assert gpus.claim(training(job, "cpu", 0))
    assert not Gpu.objects.exists()


def test_the_end_of_work_on_gpus_rings_for_who_waits(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = training(job, "first", 4, minutes_ago=1), training(job, "second", 1)
    monkeypatch.setattr(tasks, "_runner", lambda *_arguments: None)  # the process ends at once
    OrmQ.objects.all().delete()
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's transaction must live on
    tasks.run("jobs.training", first.pk)
    assert queue.is_rung(second)


@pytest.mark.django_db(transaction=True)
def test_claims_at_the_same_moment_never_share_a_gpu() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("an SQLite in memory refuses a second writer where one in a file lets it wait")
    job = Job.objects.create(project=make_cast().project, name="Scenes", slug="scenes")
    now = timezone.now()
    every = [training(job, f"training-{number}", 1) for number in range(8)]
    Training.objects.update(queued_at=now)
    barrier = threading.Barrier(len(every))

    def claim(work: Training) -> None:
        try:
            barrier.wait(timeout=10)
            gpus.claim(Training.objects.get(pk=work.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(work,)) for work in every]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = list(Training.objects.filter(status=Status.RUNNING))
    assert len(running) == 4
    assert sorted(name for work in running for name in names_of(work)) == ["0", "1", "2", "3"]


def test_a_process_sees_the_gpus_that_it_was_given_and_no_other() -> None:
    assert clean_environment(Resources("gpu", 2, ("1", "3")))["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert clean_environment(Resources())["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"DLM_GPUS": "0"}, ()),
        ({"DLM_GPUS": "2"}, ("0", "1")),
        ({"DLM_GPUS": "3, GPU-7"}, ("3", "GPU-7")),
        ({"CUDA_VISIBLE_DEVICES": "1,2"}, ("1", "2")),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "1", "DLM_GPUS": "2"}, ("0", "1")),
    ],
)
def test_the_inventory_is_what_is_declared(environment: dict[str, str], names: tuple[str, ...]) -> None:
    assert gpu_names(environment) == names
