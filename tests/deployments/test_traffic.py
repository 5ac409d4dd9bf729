"""What deployments are asked is counted, logged for a while, shown and given to Prometheus."""

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from deployments import authentication
from deployments.models import Deployment, LoggedRequest, Traffic
from deployments.traffic import models
from deployments.traffic import recorder as recording
from deployments.traffic.models import KEPT, Span
from deployments.traffic.recorder import Note, Recorder
from deployments.traffic.tally import MOST_CLASSES, OTHER_CLASSES, Answered, Tally, Times, total
from tests.cast import Cast, api, make_cast, make_user, png
from tests.deployments.parts import BLUE, RED, activate, deploy, keeper, make_training, token_of

pytestmark = pytest.mark.django_db
PREDICTED = Answered(200, 5.0, queue_ms=1.0, samples=2, labels=["sea", "street"], confidences=[0.9, 0.5])


def note(deployment: Deployment, answered: Answered = PREDICTED, **values: Any) -> Note:
    defaults = {"at": timezone.now(), "request_id": "abc", "token": deployment.tokens.get().pk, "version": 1}
    return Note(deployment=deployment.pk, answered=answered, **{**defaults, "reason": "", **values})


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def deployment(cast: Cast, tmp_path: Path) -> Deployment:
    return deploy(cast, tmp_path)


class TestTally:
    def test_percentiles_are_right_to_five_percent(self) -> None:
        chance, times = Random(0), Times()
        values = sorted(chance.lognormvariate(2, 1) for _index in range(5000))
        for value in values:
            times.add(value)
        for share in (0.5, 0.95, 0.99):
            assert times.percentile(share) == pytest.approx(values[int(share * len(values))], rel=0.05)

    def test_nothing_has_no_percentile(self) -> None:
        assert Times().percentile(0.5) is None

    def test_a_sum_is_the_tally_of_all(self) -> None:
        chance = Random(1)
        answers = [Answered(chance.choice((200, 503)), chance.uniform(1, 90), 0.5, 1, ["a"], [0.4]) for _ in range(50)]
        whole, first, second = Tally(), Tally(), Tally()
        for index, answered in enumerate(answers):
            whole.add(answered)
            (first if index % 2 else second).add(answered)
        summed = total([first, second])
        assert summed.latency.counts == whole.latency.counts
        assert summed.statuses == whole.statuses
        assert summed.classes == whole.classes
        assert summed.latency.total_ms == pytest.approx(whole.latency.total_ms)
        assert summed.mean_confidence == pytest.approx(0.4)
        assert Tally.from_json(json.loads(json.dumps(whole.as_json()))).as_json() == whole.as_json()

    def test_classes_are_bounded(self) -> None:
        tally = Tally()
        for index in range(3 * MOST_CLASSES):
            tally.add(Answered(200, 1, samples=1, labels=[str(index)], confidences=[1.0]))
        assert len(tally.classes) == MOST_CLASSES + 1
        assert tally.classes[OTHER_CLASSES] == 2 * MOST_CLASSES
        assert tally.classes.total() == 3 * MOST_CLASSES

    def test_spans_begin_at_round_times(self) -> None:
        at = datetime(2026, 5, 4, 13, 47, 12, tzinfo=UTC)
        assert Span.MINUTE.begin(at) == datetime(2026, 5, 4, 13, 47, tzinfo=UTC)
        assert Span.TEN_MINUTES.begin(at) == datetime(2026, 5, 4, 13, 40, tzinfo=UTC)
        assert Span.DAY.begin(at) == datetime(2026, 5, 4, tzinfo=UTC)
        assert Span.EVER.begin(at) == datetime(1970, 1, 1, tzinfo=UTC)


class TestRecorder:
    def test_notes_become_tallies_of_every_span_and_a_log(self, deployment: Deployment) -> None:
        recorder = quiet()
        for _index in range(3):
            recorder.note(note(deployment))
        recorder.note(note(deployment, Answered(503, 2.0), reason="overloaded"))
        recorder.flush()
        recorder.note(note(deployment))
        recorder.flush()
        tallies = {row.span: row.tally for row in Traffic.objects.all()}
        assert {*tallies} == {*Span}
        for tally in tallies.values():
            assert (tally.requests, tally.errors, tally.samples) == (5, 1, 8)
            assert tally.classes == {"sea": 4, "street": 4}
            assert tally.mean_confidence == pytest.approx(0.7)
        assert [row.status for row in LoggedRequest.objects.all()] == [200, 503, 200, 200, 200]
        assert LoggedRequest.objects.get(status=503).reason == "overloaded"
        first = LoggedRequest.objects.last()
        assert first
        assert (first.label, first.confidence, first.samples) == ("sea", 0.9, 2)

    def test_a_request_without_a_token_is_counted_but_not_logged(self, deployment: Deployment) -> None:
        recorder = quiet()
        recorder.note(note(deployment, Answered(401, 0.3), token=None))
        recorder.flush()
        assert Traffic.objects.get(span=Span.EVER).tally.statuses == {"401": 1}
        assert not LoggedRequest.objects.exists()

    def test_a_deployment_or_token_deleted_meanwhile_costs_nobody_else(
        self, cast: Cast, deployment: Deployment, tmp_path: Path
    ) -> None:
        other = deploy(cast, tmp_path, training=make_training(cast, tmp_path, name="other"), name="other")
        recorder = quiet()
        recorder.note(note(other))
        recorder.note(note(deployment, token=10**6))
        Deployment.objects.filter(pk=other.pk).delete()
        recorder.flush()
        assert LoggedRequest.objects.get().token is None
        assert Traffic.objects.filter(span=Span.EVER).count() == 1

    def test_what_could_not_be_written_waits(self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        recorder = quiet()
        recorder.note(note(deployment, request_id="first"))
        recorder.note(note(deployment, request_id="second"))
        with monkeypatch.context() as patch:
            patch.setattr(recording, "_log", fail)
            with pytest.raises(OSError, match="disk"):
                recorder.flush()
        assert not Traffic.objects.exists()
        recorder.flush()
        assert Traffic.objects.get(span=Span.EVER).tally.requests == 2
        assert [row.request_id for row in LoggedRequest.objects.all()] == ["second", "first"]

    def test_successes_of_a_rush_are_counted_but_only_some_are_logged(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "LOGGED_PER_WRITE", 10)
        recorder = quiet()
        for _index in range(25):
            recorder.note(note(deployment))
        recorder.note(note(deployment, Answered(400, 1.0)))
        recorder.flush()
        assert Traffic.objects.get(span=Span.EVER).tally.requests == 26
        assert LoggedRequest.objects.filter(status=200).count() == 10
        assert LoggedRequest.objects.filter(status=400).count() == 1

    def test_the_log_can_be_switched_off(self, deployment: Deployment, settings: Any) -> None:
        settings.DLM_REQUEST_LOG_DAYS = 0
        recorder = quiet()
        recorder.note(note(deployment))
        recorder.flush()
        assert Traffic.objects.exists()
        assert not LoggedRequest.objects.exists()

    def test_many_threads_lose_no_note(self, deployment: Deployment) -> None:
        recorder, made = quiet(), note(deployment)

        def take() -> None:
            for _index in range(200):
                recorder.note(made)

        threads = [threading.Thread(target=take) for _thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorder.flush()
        assert Traffic.objects.get(span=Span.EVER).tally.requests == 1600


class TestSweep:
    def test_old_tallies_and_requests_go_and_the_sum_of_all_stays(
        self, deployment: Deployment, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.DLM_REQUEST_LOG_DAYS = 2
        now = timezone.now()
        for span, kept in KEPT.items():
            for age in (kept * 0.5, kept * 1.5):
                Traffic.objects.create(deployment=deployment, span=span, begins_at=now - age)
        Traffic.objects.create(deployment=deployment, span=Span.EVER, begins_at=Span.EVER.begin(now))
        for days in (0, 1, 3):
            logged(deployment, now - timedelta(days=days))
        models.sweep()
        assert Traffic.objects.count() == len(KEPT) + 1
        assert LoggedRequest.objects.count() == 2

        monkeypatch.setattr(models, "MOST_LOGGED", 5)
        for index in range(9):
            logged(deployment, now, request_id=str(index))
        models.sweep()
        assert [row.request_id for row in LoggedRequest.objects.all()] == ["8", "7", "6", "5", "4"]


class TestPages:
    def test_figures_and_requests_are_shown(self, cast: Cast, deployment: Deployment) -> None:
        fill(deployment)
        page = client_of(cast.bob).get(f"/deployments/{deployment.pk}/traffic/").content.decode()
        assert "10 %" in page
        assert "overloaded" in page
        failed = client_of(cast.bob).get(f"/deployments/{deployment.pk}/traffic/?failed=1").context["table"]
        assert [row.record.status for row in failed.rows] == [503]

    def test_nothing_yet(self, cast: Cast, deployment: Deployment) -> None:
        page = client_of(cast.bob).get(f"/deployments/{deployment.pk}/traffic/").content.decode()
        assert "What was sent is not kept." in page

    def test_its_queries_do_not_grow(
        self, cast: Cast, deployment: Deployment, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        fill(deployment, times=5)
        client = client_of(cast.bob)
        with django_assert_max_num_queries(14):
            client.get(f"/deployments/{deployment.pk}/traffic/")


class TestApi:
    def test_metrics_have_every_step(self, cast: Cast, deployment: Deployment) -> None:
        fill(deployment)
        for period, steps in (("hour", 60), ("day", 144), ("week", 168), ("quarter", 90)):
            answer = api(cast.bob).get(f"/api/v1/deployments/{deployment.pk}/metrics/?period={period}").json()
            assert len(answer) == steps
            assert sum(step["requests"] for step in answer) == 10
            told = next(step for step in reversed(answer) if step["requests"])
            assert told["p99_ms"] == pytest.approx(5, rel=0.05)
            assert sum(step["errors"] for step in answer) == 1
            assert answer[0]["p50_ms"] is None

    def test_an_unknown_period_is_refused(self, cast: Cast, deployment: Deployment) -> None:
        answer = api(cast.bob).get(f"/api/v1/deployments/{deployment.pk}/metrics/?period=year")
        assert answer.status_code == 400
        assert "hour, day, week, quarter" in answer.json()["error"]

    def test_requests_are_listed_and_filtered(self, cast: Cast, deployment: Deployment) -> None:
        fill(deployment)
        url = f"/api/v1/deployments/{deployment.pk}/requests/"
        assert api(cast.bob).get(url).json()["count"] == 10
        assert api(cast.bob).get(f"{url}?failed=1").json()["results"][0]["reason"] == "overloaded"
        (found,) = api(cast.bob).get(f"{url}?search=r3").json()["results"]
        assert (found["token"], found["latency_ms"]) == ("default", 5.0)

    def test_a_stranger_sees_nothing(self, deployment: Deployment) -> None:
        stranger = make_user("stranger")
        for part in ("metrics", "requests"):
            assert api(stranger).get(f"/api/v1/deployments/{deployment.pk}/{part}/").status_code == 404


def test_prometheus_reads_the_sum_of_all(cast: Cast, deployment: Deployment) -> None:
    fill(deployment)
    text = Client().get("/metrics/").content.decode()
    told = f'deployment="{deployment.pk}",name="deploy-cpu"'
    assert f'dlm_requests_total{{{told},status="200"}} 9.0' in text
    assert f'dlm_requests_total{{{told},status="503"}} 1.0' in text
    assert f'dlm_predictions_total{{class="sea",{told}}} 9.0' in text
    bucket = f'deployment="{deployment.pk}",le="0.01",name="deploy-cpu"'
    assert f"dlm_request_seconds_bucket{{{bucket}}} 10.0" in text
    assert f"dlm_request_seconds_count{{{told}}} 10.0" in text
    assert f"dlm_deployment_active{{{told}}} 0.0" in text


@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_each_answer_is_noted(cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[Note] = []
    monkeypatch.setattr(recording.recorder, "note", notes.append)
    deployment = deploy(cast, tmp_path)
    token, client = token_of(deployment), Client()

    def post(*images: bytes, token: str = token) -> Any:
        authentication._remembered.clear()
        files = [io.BytesIO(image) for image in images]
        return client.post(f"/d/{deployment.pk}/predict", {"input": files}, headers={"token": token})

    with keeper() as servers:
        activate(servers, deployment)
        answer = post(png(RED), png(BLUE))
        assert post(b"no image").status_code == 415
        assert post(png(RED), token="wrong").status_code == 401
    assert client.post("/d/999/predict", {}).status_code == 401
    assert [made.answered.status for made in notes] == [200, 415, 401]
    first, second, third = notes
    assert answer["X-Request-Id"] == first.request_id
    assert first.answered.labels == ["red", "30"]
    assert first.answered.samples == 2
    assert first.answered.queue_ms is not None
    assert 0 <= first.answered.queue_ms < first.answered.latency_ms
    assert min(first.answered.confidences) > 0.5
    assert (first.token, first.version) == (deployment.tokens.get().pk, 1)
    assert (second.reason, second.answered.samples) == ("not_an_image", 0)
    assert (third.reason, third.token) == ("unauthorized", None)


def quiet() -> Recorder:
    """A recorder that writes only when it is told to."""
    return Recorder()


def fail(*_arguments: Any) -> None:
    raise OSError("the disk is full")


def fill(deployment: Deployment, *, times: int = 1) -> None:
    recorder = quiet()
    for _time in range(times):
        for index in range(9):
            recorder.note(note(deployment, request_id=f"r{index}"))
        recorder.note(note(deployment, Answered(503, 5.0), reason="overloaded"))
    recorder.flush()


def logged(deployment: Deployment, at: datetime, request_id: str = "x") -> None:
    LoggedRequest.objects.create(deployment=deployment, at=at, request_id=request_id, status=200, latency_ms=1)


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client
