"""What data were made from and what was made from them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets import trash
from datasets.lineage import lineage_of
from datasets.models import Data
from deployments.models import Deployment, PredictionJob
from dlmodeler_site.work.models import Status
from jobs.models import Job, JobInput, Training
from tests.cast import Cast, api, make_cast, make_dataset
from tests.deployments.parts import deployment_row

pytestmark = pytest.mark.django_db

FLIP = [{"op": "flip_up_down"}]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def make(parent: Data | None, name: str, dataset: Any = None) -> Data:
    return Data.objects.create(
        dataset=dataset or parent.dataset,  # type: ignore[union-attr]
        name=name,
        slug=name,
        parent=parent,
        kind="processed" if parent else "raw",
        steps=FLIP if parent else [],
        status=Status.COMPLETED,
        manifest_sha256=f"hash of {name}",
    )


def train(cast: Cast, data: Data, name: str, **values: Any) -> Training:
    job, _made = Job.objects.get_or_create(project=cast.project, name="classify", slug="classify")
    JobInput.objects.get_or_create(job=job, name="images", defaults={"data": data})
    return Training.objects.create(job=job, name=name, slug=name, status=Status.COMPLETED, **values)


def deploy(cast: Cast, training: Training, name: str) -> Deployment:
    return deployment_row(training, name=name, status="active")


@pytest.fixture
def raw(cast: Cast) -> Data:
    """raw -> flipped -> gray, and flipped -> training -> deployment -> prediction job on raw."""
    raw = make(None, "raw", make_dataset(cast.project))
    flipped = make(raw, "flipped")
    make(flipped, "gray")
    deployment = deploy(cast, train(cast, flipped, "first", accuracy=0.8412), "served")
    PredictionJob.objects.create(
        deployment=deployment, version=deployment.version, data=raw, name="all", slug="all", status=Status.RUNNING
    )
    return raw


def test_the_api_answers_ancestors_and_descendants(cast: Cast, raw: Data) -> None:
    flipped = raw.children.get()
    answer = api(cast.bob).get(reverse("api-data-lineage", args=[flipped.pk])).json()
    assert [(node["kind"], node["id"], node["name"]) for node in answer["ancestors"]] == [("data", raw.pk, "raw")]
    gray, training = answer["descendants"]
    assert (gray["name"], gray["steps"], gray["children"]) == ("gray", ["Flip up-down"], [])
    expected = {"kind": "training", "name": "first", "status": "completed", "detail": "classify, accuracy 0.841"}
    assert expected.items() <= training.items()
    assert training["url"] == f"http://testserver/trainings/{training['id']}/"
    (deployment,) = training["children"]
    assert (deployment["kind"], deployment["name"], deployment["status"]) == ("deployment", "served", "active")
    (prediction,) = deployment["children"]
    assert (prediction["kind"], prediction["detail"], prediction["status"]) == ("prediction_job", "raw", "running")
    of_raw = api(cast.bob).get(reverse("api-data-lineage", args=[raw.pk])).json()
    assert (of_raw["ancestors"], [node["name"] for node in of_raw["descendants"]]) == ([], ["flipped"])
    assert api(cast.charlie).get(reverse("api-data-lineage", args=[raw.pk])).status_code == 404


def test_a_prediction_job_is_with_its_data_where_its_deployment_is_not(cast: Cast, raw: Data) -> None:
    tested = make(None, "tested", raw.dataset)
    deployment = Deployment.objects.get()
    PredictionJob.objects.create(deployment=deployment, version=deployment.version, data=tested, name="new", slug="new")
    answer = api(cast.bob).get(reverse("api-data-lineage", args=[tested.pk])).json()
    assert [(node["name"], node["detail"]) for node in answer["descendants"]] == [("new", "served")]


def test_what_is_in_the_trash_is_not_in_a_lineage(cast: Cast, raw: Data) -> None:
    gray = Data.objects.get(name="gray")
    trash.delete_data(gray)
    answer = api(cast.bob).get(reverse("api-data-lineage", args=[gray.parent_id])).json()
    assert [node["name"] for node in answer["descendants"]] == ["first"]


def test_a_training_is_shown_with_the_data_that_it_was_made_of(cast: Cast, raw: Data) -> None:
    flipped, gray = raw.children.get(), Data.objects.get(name="gray")
    Training.objects.update(record_of_run={"data": {"images": flipped.manifest_sha256}})
    JobInput.objects.update(data=gray)  # the job has other data by now
    train(cast, gray, "second")
    Training.objects.filter(name="second").update(record_of_run={"data": {"images": gray.manifest_sha256}})
    names = [branch.node.name for branch in lineage_of(gray, cast.bob).here.children]
    assert names == ["second"]


def test_the_pages_draw_it_with_links(cast: Cast, raw: Data) -> None:
    client = Client()
    client.force_login(cast.bob)
    flipped = raw.children.get()
    page = client.get(reverse("datasets:data", args=[flipped.pk]))
    assert [(row.node.name, row.guides, row.is_here) for row in page.context["lineage"]] == [
        ("raw", (), False),
        ("flipped", ("corner",), True),
        ("gray", ("gap", "tee"), False),
        ("first", ("gap", "corner"), False),
        ("served", ("gap", "gap", "corner"), False),
        ("all", ("gap", "gap", "gap", "corner"), False),
    ]
    for name, pk in (("jobs:training", Training.objects.get().pk), ("deployments:detail", Deployment.objects.get().pk)):
        assert reverse(name, args=[pk]) in page.text
    assert "Flip up-down" in page.text
    make(None, "other", raw.dataset)
    rows = client.get(reverse("datasets:dataset", args=[raw.dataset_id])).context["lineage"]
    assert [row.node.name for row in rows if not row.guides] == ["raw", "other"]


@pytest.mark.parametrize("count", [1, 40])
def test_the_queries_do_not_grow(cast: Cast, raw: Data, count: int, django_assert_num_queries: Any) -> None:
    above = raw
    for number in range(count):
        above = make(above, f"d{number}")
        training = train(cast, above, f"t{number}")
        deployment = deploy(cast, training, f"s{number}")
        PredictionJob.objects.create(
            deployment=deployment, version=deployment.version, data=above, name=f"p{number}", slug=f"p{number}"
        )
    data = Data.objects.select_related("dataset").get(pk=raw.pk)
    with django_assert_num_queries(5):
        lineage_of(data, cast.bob)


def test_a_very_deep_lineage_is_cut_and_drawn_no_further_to_the_right(cast: Cast, raw: Data) -> None:
    above = raw
    for number in range(150):
        above = make(above, f"d{number}")
    answer = api(cast.bob).get(reverse("api-data-lineage", args=[raw.pk]))
    assert answer.status_code == 200
    client = Client()
    client.force_login(cast.bob)
    page = client.get(reverse("datasets:data", args=[raw.pk]))
    assert page.status_code == 200
    assert "There is more" in page.text
    assert max(len(row.guides) for row in page.context["lineage"]) == 8
