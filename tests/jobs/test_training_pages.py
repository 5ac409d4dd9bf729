"""What is seen of a training while it runs: curves, figures, log."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from jobs.models import EpochMetrics, Job, Training
from jobs.watching.monitoring import thinned
from tests.cast import Cast, api, make_cast
from tests.jobs.test_job_pages import logged_in

pytestmark = pytest.mark.django_db
URL = "/api/v1/trainings/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def training(cast: Cast) -> Training:
    return make_training(cast)


def make_training(cast: Cast, name: str = "first", **values: Any) -> Training:
    """A queued training without data."""
    job = Job.objects.filter(project=cast.project).first() or Job.objects.create(
        project=cast.project, name="classify", slug="classify", algorithm="image_classification"
    )
    hyperparameters = {"epochs": 100, "batch_size": 10, "learning_rate": 0.001}
    return Training.objects.create(
        job=job, name=name, slug=name, creator=cast.erin, **{"hyperparameters": hyperparameters, **values}
    )


def learn(training: Training, metrics: dict[int, dict[str, Any]], *, attempt: int = 1) -> None:
    """Epochs as the trainer's events make them."""
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    EpochMetrics.objects.bulk_create(
        EpochMetrics(
            training=training,
            epoch=epoch,
            attempt=attempt,
            step=10 * epoch,
            time=start + datetime.timedelta(seconds=2 * epoch),
            seconds=2,
            metrics=values,
        )
        for epoch, values in metrics.items()
    )


def write_log(training: Training, content: bytes) -> None:
    folder = Path(settings.DLM_RUNS) / f"jobs.training-{training.pk}" / f"attempt-{training.attempt}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_bytes(content)


def test_stage_of_an_epoch_is_told_beside_its_metrics(cast: Cast, training: Training) -> None:
    training.claim()
    event = {"type": "epoch", "epoch": 1, "step": 1, "time": 1e9, "seconds": 2.0, "stage": "head"}
    training.collect([{**event, "metrics": {"loss": 0.5, "accuracy": 0.9, "images_per_second": 812.4}}])
    (row,) = api(cast.bob).get(f"{URL}{training.pk}/metrics/").json()
    assert (row["stage"], row["images_per_second"]) == ("head", 812.4)
    page = logged_in(cast.bob).get(reverse("jobs:training-status", args=[training.pk])).text
    assert "Head" in page
    assert "812" in page


def test_hundred_thousand_epochs_come_as_few_rows_with_every_extreme(cast: Cast, training: Training) -> None:
    spikes = {777: 9.0, 50_123: 12.0, 99_998: 0.0001}
    learn(
        training,
        {
            n: {"loss": spikes.get(n, 1 / n + 0.5), "accuracy": n / 1e5, "stage": "head" if n < 40_001 else "top"}
            for n in range(1, 100_001)
        },
    )
    rows = api(cast.bob).get(f"{URL}{training.pk}/metrics/?points=4000").json()
    assert len(rows) < 4000
    assert [row["epoch"] for row in rows] == sorted({row["epoch"] for row in rows})
    assert {row["epoch"] for row in rows} >= {1, 100_000, 40_001, *spikes}
    since = api(cast.bob).get(f"{URL}{training.pk}/metrics/?points=4000&since=99990").json()
    assert [row["epoch"] for row in since] == list(range(99_991, 100_001))


def test_rows_without_a_metric_are_left_out_without_harm() -> None:
    rows = [{"epoch": n, "loss": None if n % 3 else 1 / n} for n in range(1, 2001)]
    kept = list(thinned(iter(rows), span=2000, points=80))
    assert 20 <= len(kept) <= 80
    assert kept[0] == rows[0]
    assert kept[-1] == rows[-1]


def test_time_left_is_the_estimate_until_the_first_epoch_and_follows_the_stage_after_it(
    cast: Cast, training: Training
) -> None:
    training.claim()
    Training.objects.update(estimate={"seconds": 100, "memory_bytes": 2**30})
    assert 90 < api(cast.bob).get(f"{URL}{training.pk}/").json()["eta_seconds"] <= 100
    learn(training, {n: {"loss": 1.0, "stage": "head"} for n in range(1, 90)})
    EpochMetrics.objects.update(seconds=1)
    learn(training, {90: {"loss": 1.0, "stage": "fine_tuning"}})
    EpochMetrics.objects.filter(epoch=90).update(seconds=30)
    assert api(cast.bob).get(f"{URL}{training.pk}/").json()["eta_seconds"] == pytest.approx(10 * 30 - 30)
    page = logged_in(cast.bob).get(reverse("jobs:training-status", args=[training.pk])).text
    assert "estimated 1 min 40 s" in page
    assert "Fine-tuning" in page


def test_time_left_counts_the_stages_to_come(cast: Cast, training: Training) -> None:
    training.claim()
    url = f"{URL}{training.pk}/"

    def plan(*last_epochs: int) -> None:
        stages = [
            {"name": name, "last_epoch": last, "cost": cost}
            for name, last, cost in zip(("head", "fine_tuning"), last_epochs, (1.0, 200.0), strict=True)
        ]
        training.collect([{"type": "plan", "epochs": last_epochs[-1], "stages": stages}])

    plan(20, 24)
    learn(training, {n: {"loss": 1.0, "stage": "head"} for n in range(1, 11)})
    EpochMetrics.objects.update(seconds=0.1)
    EpochMetrics.objects.filter(epoch=1).update(seconds=3)  # the first one takes longer
    assert api(cast.bob).get(url).json()["eta_seconds"] == pytest.approx(10 * 0.1 + 4 * 20 - 0.1, abs=0.11)
    plan(10, 14)  # it stopped early
    answer = api(cast.bob).get(url).json()
    assert answer["record"]["planned_epochs"] == 14
    assert 3 * 20 <= answer["eta_seconds"] <= 4 * 20
    learn(training, {11: {"loss": 1.0, "stage": "fine_tuning"}})
    EpochMetrics.objects.filter(epoch=11).update(seconds=25)
    assert 2 * 25 <= api(cast.bob).get(url).json()["eta_seconds"] <= 3 * 25
    learn(training, {n: {"loss": 1.0, "stage": "fine_tuning"} for n in range(12, 15)})
    assert api(cast.bob).get(url).json()["eta_seconds"] == 0


def test_place_in_the_queue_is_told(cast: Cast) -> None:
    from dlmodeler_site.work import queue

    first, second = make_training(cast, "first"), make_training(cast, "second")
    for each in (first, second):
        queue.submit(each)
    answer = api(cast.bob).get(f"{URL}{second.pk}/").json()
    assert answer["queue_position"] == 2
    assert "1 queued before it" in answer["waiting_reason"]
    first.claim()
    assert api(cast.bob).get(f"{URL}{second.pk}/").json()["queue_position"] == 1
    assert api(cast.bob).get(f"{URL}{first.pk}/").json()["queue_position"] is None


def test_log_is_read_from_its_end_backwards_and_downloaded_whole(cast: Cast, training: Training) -> None:
    training.claim()
    content = "".join(f"line {n}: 학습 {n}\n" for n in range(30_000)).encode()
    write_log(training, content)
    url = f"{URL}{training.pk}/logs/"
    end = api(cast.bob).get(url, {"last": 1000})
    assert end.content.startswith(b"line ")
    assert content.endswith(end.content)
    assert int(end["X-Next-Offset"]) == len(content)
    before = api(cast.bob).get(url, {"last": "1000", "before": str(end["X-Offset"])})
    assert content.endswith(before.content + end.content)
    read, offset = b"", 0
    while part := api(cast.bob).get(url, {"offset": offset}):
        if not part.content:
            break
        read, offset = read + part.content, int(part["X-Next-Offset"])
    assert read == content, "no character is cut where a chunk ends"
    whole = api(cast.bob).get(url, {"download": "true"})
    assert whole["Content-Disposition"] == 'attachment; filename="first.log.txt"'
    assert whole.getvalue() == content
    assert api(cast.charlie).get(f"{url}search/", {"search": "line"}).status_code == 404


def test_search_finds_every_line_of_a_long_log(cast: Cast, training: Training) -> None:
    training.claim()
    lines = [f"{n} all is well" for n in range(400_000)]
    for n in (3, 200_000, 399_999):
        lines[n] = f"{n} Überhitzung: OUT OF MEMORY, out of memory"
    content = "\n".join(lines).encode()
    write_log(training, content)
    found = api(cast.bob).get(f"{URL}{training.pk}/logs/search/", {"search": "Out of Memory"}).json()
    assert found["count"] == 3
    assert [match["line"] for match in found["matches"]] == [4, 200_001, 400_000]
    for match in found["matches"]:
        assert content[match["offset"] :].decode().startswith(match["text"])
    many = api(cast.bob).get(f"{URL}{training.pk}/logs/search/", {"search": "well"}).json()
    assert (many["count"], len(many["matches"])) == (399_997, 1000)
    refused = api(cast.bob).get(f"{URL}{training.pk}/logs/search/", {"search": ""})
    assert (refused.status_code, refused.json()["reason"]) == (400, "invalid")
