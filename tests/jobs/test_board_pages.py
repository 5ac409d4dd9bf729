"""TensorBoard behind the login: who may see what, and what its pages may do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from jobs.watching.boards import MOST_TRAININGS
from jobs.watching.boards import boards as of_the_site
from projects.models import Membership
from tests.cast import Cast, make_cast, make_user
from tests.jobs.test_job_pages import logged_in
from tests.jobs.test_training_pages import learn, make_training

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def training(cast: Cast) -> Training:
    training = make_training(cast)
    learn(training, {1: {"loss": 3.0}})
    return training


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    of_the_site.end()


@pytest.fixture(autouse=True)
def _told_nothing() -> None:
    of_the_site._told.clear()  # ids come again after a rolled-back test, which they do not otherwise


def test_member_gets_tensorboard_and_loses_it_with_the_membership(cast: Cast, training: Training) -> None:
    viewer = logged_in(cast.bob)
    runs = reverse("jobs:tensorboard-part", args=[training.pk, "data/runs"])
    # A browser gets a page that waits while it starts, whatever else is asked for waits itself.
    assert viewer.get(runs).json() == ["first/train"]
    page = viewer.get(reverse("jobs:tensorboard", args=[training.pk]))
    assert "<title>TensorBoard</title>" in page.text
    assert viewer.get(reverse("jobs:tensorboard-part", args=[training.pk, "index.js"])).status_code == 200
    for path in (
        "experiment/defaultExperimentId/data/runs",
        "experiment/defaultExperimentId/data/plugin/timeseries/tags",
    ):
        assert viewer.get(reverse("jobs:tensorboard-part", args=[training.pk, path])).status_code == 200
    Membership.objects.filter(user=cast.bob).delete()
    for path in ("", "index.js", "data/runs"):
        assert viewer.get(f"/tensorboard/{training.pk}/{path}").status_code == 404


def test_one_training_of_strangers_among_several_is_enough_to_be_refused(cast: Cast, training: Training) -> None:
    other = make_cast_of_others()
    assert logged_in(cast.bob).get(f"/tensorboard/{training.pk}-{other.pk}/data/runs").status_code == 404
    # Whatever is written behind the address stays below it.
    for path in (
        f"../{other.pk}/data/runs",
        f"experiment/{other.pk}/data/runs",
        f"experiment/defaultExperimentId/experiment/{other.pk}/data/runs",
        "../../trainings",
        "%2e%2e/%2e%2e/trainings",
    ):
        answer = logged_in(cast.bob).get(f"/tensorboard/{training.pk}/{path}")
        assert answer.status_code == 404, path


def make_cast_of_others() -> Training:
    from projects.members import create_project

    project = create_project(make_user("oscar"), name="Others", description="x", members=[])
    job = Job.objects.create(project=project, name="secret", slug="secret", algorithm="image_classification")
    training = Training.objects.create(job=job, name="secret", slug="secret")
    learn(training, {1: {"loss": 1.0}})
    return training


@pytest.mark.parametrize("ids", ["x", "0", "1-", "1_2", "9" * 30, "-"])
def test_address_of_no_trainings_leads_nowhere(cast: Cast, ids: str) -> None:
    assert logged_in(cast.bob).get(f"/tensorboard/{ids}/").status_code == 404


def test_too_many_trainings_are_refused(cast: Cast, training: Training) -> None:
    ids = "-".join(str(pk) for pk in range(MOST_TRAININGS + 1))
    answer = logged_in(cast.bob).get(f"/tensorboard/{ids}/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "too_many_trainings")


def test_posts_of_tensorboard_are_answered_and_those_of_other_sites_refused(cast: Cast, training: Training) -> None:
    member = Client(enforce_csrf_checks=True)
    member.force_login(cast.bob)
    url = f"/tensorboard/{training.pk}/data/plugin/timeseries/timeSeries"
    body = {"requests": json.dumps([{"plugin": "scalars", "tag": "loss"}])}
    (series,) = member.post(url, body, headers={"Origin": "http://testserver"}).json()
    assert [point["value"] for point in series["runToSeries"]["first/train"]] == [3.0]
    assert member.post(url, body, headers={"Origin": "https://evil.example"}).status_code == 403
    assert member.post(url, body, headers={"Origin": "null"}).status_code == 403
    assert member.post(url, {"requests": "x" * 1_100_000}).status_code == 413
    assert member.put(url).status_code == 405


def test_nothing_that_is_written_into_an_address_ends_the_process(cast: Cast, training: Training) -> None:
    member = logged_in(cast.bob)
    url = f"/tensorboard/{training.pk}/data/plugin/scalars/scalars"
    first = member.get(url, {"tag": "loss", "run": "first/train"}).json()
    pid = of_the_site.pid
    for query in (
        "tag=loss&run=first/train\x01\x7f",
        "tag=l o s s&run=\xff\xe9",
        "tag=%00%0d%0a&run=%zz",
        "run=" + "x" * 70_000,
    ):
        assert member.get(url, QUERY_STRING=query).status_code in (400, 404, 414), query[:40]
    for path in ("a b\x01", "%0d%0aX-Header: x", "..%2f", "é"):
        assert member.get(f"/tensorboard/{training.pk}/{path}").status_code == 404, path
    assert member.get(url, {"tag": "loss", "run": "first/train"}).json() == first
    assert of_the_site.pid == pid


def test_its_pages_may_talk_to_their_own_address_only(cast: Cast, training: Training) -> None:
    page = logged_in(cast.bob).get(f"/tensorboard/{training.pk}/index.html")
    policy = dict(each.split(" ", 1) for each in page["Content-Security-Policy"].split("; "))
    assert policy["connect-src"] == f"http://testserver/tensorboard/{training.pk}/"
    assert policy["default-src"] == "'none'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "unsafe-eval" not in logged_in(cast.bob).get(training.get_absolute_url())["Content-Security-Policy"]


def test_page_waits_for_the_first_epoch_and_says_when_there_will_be_none(cast: Cast) -> None:
    training = make_training(cast, status=Status.RUNNING)
    url = reverse("jobs:tensorboard", args=[training.pk])
    waiting = logged_in(cast.bob).get(url)
    assert (waiting["Refresh"], "No epoch has ended yet" in waiting.text) == ("2", True)
    Training.objects.update(status=Status.FAILED)
    ended = logged_in(cast.bob).get(url)
    assert ("Refresh" in ended, "Nothing to show" in ended.text) == (False, True)


def test_page_tells_why_tensorboard_cannot_be_started(cast: Cast, training: Training) -> None:
    of_the_site.end()
    options, of_the_site._options = of_the_site._options, {"idle_s": "never"}
    try:
        answer = logged_in(cast.bob).get(f"/tensorboard/{training.pk}/data/runs")
        assert answer.status_code == 503
        assert "it ended with exit code 2" in answer.text
    finally:
        of_the_site._options = options
    assert logged_in(cast.bob).get(f"/tensorboard/{training.pk}/data/runs").status_code == 200


def test_training_page_leads_there(cast: Cast, training: Training) -> None:
    assert f'href="/tensorboard/{training.pk}/"' in logged_in(cast.bob).get(training.get_absolute_url()).text


def test_queries_do_not_grow_with_the_trainings(cast: Cast, django_assert_max_num_queries: Any) -> None:
    trainings = [make_training(cast, f"t{number}") for number in range(10)]
    for training in trainings:
        learn(training, {1: {"loss": 3.0}})
    member = logged_in(cast.bob)
    with django_assert_max_num_queries(5):  # session, user, trainings, epochs
        assert len(member.get(f"/tensorboard/{'-'.join(str(each.pk) for each in trainings)}/data/runs").json()) == 10


@override_settings(ALLOWED_HOSTS=["*"])
def test_policy_names_the_host_that_was_asked(cast: Cast, training: Training) -> None:
    page = logged_in(cast.bob).get(f"/tensorboard/{training.pk}/index.html", headers={"Host": "dl.example:8443"})
    assert f"connect-src http://dl.example:8443/tensorboard/{training.pk}/;" in page["Content-Security-Policy"]
