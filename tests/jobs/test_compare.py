"""Trainings side by side: on the page and over the API."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dlmodeler_site.work.models import Status
from jobs.models import Job, Training
from tests.cast import Cast, api, make_cast
from tests.jobs.test_job_pages import logged_in
from tests.jobs.test_training_pages import learn, make_training

pytestmark = pytest.mark.django_db
URL = "/api/v1/trainings/compare/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def finished(cast: Cast, name: str, *, job: Job | None = None, epochs: int = 3, **results: float) -> Training:
    """A completed training with epochs and results."""
    training = make_training(
        cast,
        name,
        status=Status.COMPLETED,
        hyperparameters={"network": "original", "epochs": epochs, "batch_size": 10},
        seed=7,
        result_metrics=results,
        record_of_run={"packages": {"keras": "3.15.1"}, "precision": "float32"},
    )
    if job:
        training.job = job
        training.save()
    learn(training, {n: {"loss": 1 / n, "accuracy": n / 10} for n in range(1, epochs + 1)})
    return training


def second_job(cast: Cast) -> Job:
    return Job.objects.create(project=cast.project, name="again", slug="again", algorithm="image_classification")


def page_of(*trainings: Training, name: str = "compare", job: Job | None = None) -> str:
    query = "&".join(f"training={training.pk}" for training in trainings)
    return f"{reverse(f'jobs:{name}', args=[(job or trainings[0].job).pk])}?{query}"


def rows_of(answer: Any, section: str) -> dict[str, dict[str, Any]]:
    (found,) = (each for each in answer.json()["sections"] if each["name"] == section)
    return {row["key"]: row for row in found["rows"]}


def test_values_stand_in_the_order_of_the_ids_and_differences_are_told(cast: Cast) -> None:
    first = finished(cast, "first", epochs=3, accuracy=0.8, loss=0.5)
    second = finished(cast, "second", epochs=5, accuracy=0.9, loss=0.5)
    answer = api(cast.bob).get(URL, {"ids": f"{second.pk},{first.pk}"})
    assert [each["name"] for each in answer.json()["trainings"]] == ["second", "first"]
    hyperparameters = rows_of(answer, "hyperparameters")
    assert (hyperparameters["epochs"]["values"], hyperparameters["epochs"]["differs"]) == ([5, 3], True)
    assert (hyperparameters["batch_size"]["values"], hyperparameters["batch_size"]["differs"]) == ([10, 10], False)
    results = rows_of(answer, "results")
    assert results["accuracy"]["best"] == [second.pk]
    assert results["loss"]["best"] == [], "who came to the same is not better"
    assert rows_of(answer, "seed")["seed"] == {
        "key": "seed",
        "label": "Seed",
        "values": [7, 7],
        "differs": False,
        "best": [],
    }


def test_the_lower_loss_is_the_best_and_a_missing_value_is_not(cast: Cast) -> None:
    trainings = [
        finished(cast, "a", loss=0.4, val_loss=0.6),
        finished(cast, "b", loss=0.2),
        finished(cast, "c", loss=0.2),
    ]
    answer = api(cast.bob).get(URL, {"ids": ",".join(str(each.pk) for each in trainings)})
    results = rows_of(answer, "results")
    assert results["loss"]["best"] == [trainings[1].pk, trainings[2].pk]
    assert results["val_loss"]["values"] == [0.6, None, None]
    assert results["val_loss"]["best"] == []


def test_wrong_ids_are_refused_and_named(cast: Cast) -> None:
    training = finished(cast, "first")
    hidden = finished(make_other(cast), "hidden")
    bob = api(cast.bob)
    for ids, status, reason, named in (
        (f"{training.pk},x7", 400, "invalid", "x7"),
        (f"{training.pk},999999", 404, "unknown_training", "999999"),
        (f"{training.pk},{hidden.pk}", 404, "unknown_training", str(hidden.pk)),
        (f"{training.pk},{training.pk}", 400, "too_few_trainings", "received 1"),
        ("", 400, "too_few_trainings", "received 0"),
        (",".join(str(n) for n in range(1, 22)), 400, "too_many_trainings", "received 21"),
        (f"{training.pk},{'9' * 40}", 400, "invalid", "9999"),
    ):
        answer = bob.get(URL, {"ids": ids})
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), ids
        assert named in answer.json()["error"]
    assert api(cast.charlie).get(URL, {"ids": f"{training.pk},{hidden.pk}"}).status_code == 404


def make_other(cast: Cast) -> Cast:
    """A project that only Charlie is in."""
    from projects.members import create_project

    project = create_project(cast.charlie, name="Elsewhere", description="x", members=[])
    return Cast(project, cast.charlie, cast.charlie, cast.charlie, cast.charlie)


def test_page_shows_names_jobs_curves_marks_and_ways_to_take_each_out(cast: Cast) -> None:
    first = finished(cast, "first", epochs=3, accuracy=0.8)
    second = finished(cast, "<b>second</b>", job=second_job(cast), epochs=5, accuracy=0.9)
    third = finished(cast, "third", accuracy=0.7)
    answer = logged_in(cast.bob).get(page_of(first, second, third))
    assert [run["name"] for run in answer.context["curves"]["runs"]] == ["first", "<b>second</b>", "third"]
    assert "<b>second</b>" not in answer.text
    assert second.job.get_absolute_url() in answer.text
    without_second = page_of(first, third).replace("&", "&amp;")
    assert f'href="{without_second}"' in answer.text
    assert row(answer.text, "Epochs") == ["3", "5", "3"]
    assert row(answer.text, "Accuracy") == ["0.8", "0.9 best", "0.7"]
    assert "every 2s" not in answer.text


def row(page: str, label: str) -> list[str]:
    """The texts of a row of the table."""
    (found,) = re.findall(
        rf"<tr[^>]*>\s*<th scope=\"row\">(?:(?!</th>).)*<span>{label}</span></th>(.*?)</tr>", page, re.S
    )
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<td>(.*?)</td>", found, re.S)]


def test_only_what_differs_is_asked_for_by_the_address(cast: Cast) -> None:
    trainings = finished(cast, "first", epochs=3), finished(cast, "second", epochs=5)
    viewer = logged_in(cast.bob)
    for name in ("compare", "compare-table"):
        everything = viewer.get(page_of(*trainings, name=name)).text
        differences = viewer.get(f"{page_of(*trainings, name=name)}&only=differences").text
        assert "Batch size" in everything
        assert "Batch size" not in differences
        assert row(differences, "Epochs") == ["3", "5"]
    switch = {"HX-Request": "true", "HX-Trigger-Name": "only"}
    for query in ("", "&only=differences"):
        answer = viewer.get(page_of(*trainings, name="compare-table") + query, headers=switch)
        assert answer["HX-Replace-Url"] == page_of(*trainings) + query
    assert "HX-Replace-Url" not in viewer.get(page_of(*trainings, name="compare-table"))
    same = finished(cast, "third", epochs=3)
    nothing = viewer.get(f"{page_of(trainings[0], same)}&only=differences").text
    assert "Nothing that is recorded differs" in nothing


def test_a_running_training_keeps_the_table_polled(cast: Cast) -> None:
    first, second = finished(cast, "first"), finished(cast, "second")
    Training.objects.filter(pk=second.pk).update(status=Status.RUNNING)
    viewer = logged_in(cast.bob)
    assert 'hx-trigger="every 2s"' in viewer.get(page_of(first, second, name="compare-table")).text
    assert [run["final"] for run in viewer.get(page_of(first, second)).context["curves"]["runs"]] == [True, False]
    Training.objects.filter(pk=second.pk).update(status=Status.FAILED)
    assert "every 2s" not in viewer.get(page_of(first, second, name="compare-table")).text


def test_pages_refuse_what_may_not_be_seen_and_what_is_of_another_project(cast: Cast) -> None:
    training = finished(cast, "first")
    other = make_other(cast)
    hidden = finished(other, "hidden")
    for name in ("compare", "compare-table", "compare-choices"):
        unseen = logged_in(cast.bob).get(page_of(training, hidden, name=name))
        assert unseen.status_code == 404
        assert ">404<" in unseen.text
        assert logged_in(cast.charlie).get(page_of(hidden, training, name=name)).status_code == 404
        assert logged_in(cast.charlie).get(page_of(training, name=name)).status_code == 404
        wrong = f"{reverse(f'jobs:{name}', args=[training.job.pk])}?training=x"
        assert logged_in(cast.bob).get(wrong).status_code == 400
    from projects.models import Membership

    Membership.objects.create(project=other.project, user=cast.bob, role="viewer")
    assert logged_in(cast.bob).get(page_of(training, hidden)).status_code == 404, "seen, but of another project"


def test_fewer_than_two_are_asked_to_be_chosen(cast: Cast) -> None:
    training, other = finished(cast, "first"), finished(cast, "second", job=second_job(cast))
    page = logged_in(cast.bob).get(page_of(training)).text
    assert "data-curves=" not in page
    assert re.search(rf'value="{training.pk}" autocomplete="off" checked', page)
    assert f'value="{other.pk}"' in page
    training.delete()
    other.delete()
    assert "Nothing to compare yet" in logged_in(cast.bob).get(page_of(job=training.job)).text


def test_choices_are_searched_over_the_project_and_keep_what_is_ticked(cast: Cast) -> None:
    ticked, _unlike = finished(cast, "ticked"), finished(cast, "unlike")
    wanted = finished(cast, "wanted", job=second_job(cast))
    finished(make_other(cast), "wanted elsewhere")
    for search in ("want", "again"):
        answer = logged_in(cast.bob).get(f"{page_of(ticked, name='compare-choices')}&search={search}")
        assert answer.context["ticked"] == [ticked]
        assert answer.context["found"] == [wanted]
    many = logged_in(cast.bob).get(f"{page_of(ticked, name='compare-choices')}&search=nothing").text
    assert "No other training matches" in many


def test_list_of_a_job_offers_viewers_too_to_choose_trainings(cast: Cast) -> None:
    training = finished(cast, "first")
    page = logged_in(cast.bob).get(reverse("jobs:detail", args=[training.job.pk])).text
    assert f'id="compare-{training.pk}" name="training"' in page
    assert f'action="{reverse("jobs:compare", args=[training.job.pk])}"' in page


@pytest.mark.parametrize("kind", ["page", "table", "api"])
def test_the_queries_do_not_grow_with_the_trainings(cast: Cast, kind: str) -> None:
    job = second_job(cast)
    trainings = [finished(cast, f"t{n}", job=job if n % 2 else None, accuracy=n / 20) for n in range(20)]

    def queries(count: int) -> int:
        answer: Any
        few = trainings[:count]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            if kind == "api":
                answer = api(cast.bob).get(URL, {"ids": ",".join(str(each.pk) for each in few)})
            else:
                name = "compare" if kind == "page" else "compare-table"
                answer = viewer.get(page_of(*few, name=name))
        assert answer.status_code == 200
        return len(captured)

    viewer = logged_in(cast.bob)
    queries(2)
    assert queries(2) == queries(20) <= 16
