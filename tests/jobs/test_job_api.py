"""Algorithms, recommendations and jobs over the API."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets.models import Data
from dlmodeler_site.registry import counts, dependants
from jobs.models import Job
from tests.cast import Cast, api, make_cast, make_data, make_dataset, make_user
from tests.jobs.stage import image_names, make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db
URL = "/api/v1/jobs/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def draft(cast: Cast, **values: Any) -> dict[str, Any]:
    return {
        "project": cast.project.pk,
        "name": "image classification",
        "description": "demo",
        "kind": "basic",
        "algorithm": "image_classification",
        **values,
    }


def test_algorithms_tell_inputs_and_hyperparameters_with_ranges(cast: Cast) -> None:
    listed = api(cast.bob).get("/api/v1/algorithms/").json()
    algorithm, _tabular = listed["results"]
    assert algorithm["name"] == "image_classification"
    assert [each["name"] for each in algorithm["inputs"]] == ["images", "labels"]
    parameters = {each["name"]: each for each in algorithm["hyperparameters"]}
    assert parameters["batch_size"]["default"] == 100
    assert parameters["epochs"]["range"][0] == 1
    assert parameters["num_types"]["default"] is None
    assert [parameters[name]["required"] for name in ("num_types", "seed", "epochs")] == [True, False, False]
    assert algorithm["variant"] == "network"
    assert set(parameters["epochs"]["defaults"]) == {"transfer"}
    assert parameters["filter_num1"]["applies_to"] == ["original"]
    assert parameters["epochs"]["applies_to"] == []
    assert all(each["help"] for each in parameters.values())
    assert api(cast.bob).get("/api/v1/algorithms/image_classification/").json() == algorithm
    assert api(cast.bob).get("/api/v1/algorithms/nonsense/").status_code == 400
    assert api(None).get("/api/v1/algorithms/").status_code == 401


def test_basic_job_keeps_inputs_and_class_names(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    made = api(cast.erin).post(
        URL, draft(cast, inputs={"images": images.pk, "labels": labels.pk}, class_names={"0": " forest ", "1": ""})
    )
    assert made.status_code == 201, made.json()
    job = api(cast.bob).get(f"{URL}{made.json()['id']}/").json()
    assert job["inputs"] == {"images": images.pk, "labels": labels.pk}
    assert job["class_names"] == {"0": "forest"}
    assert job["instance"] == {"kind": "cpu", "count": 1}
    assert job["creator"] == "erin"
    assert job["status"] is None
    assert job["path"].endswith("/model/image-classification")
    assert api(cast.bob).get(f"{URL}{job['id']}/check/").json() == api(cast.bob).get(f"{URL}{job['id']}/check/").json()


def test_job_may_be_made_of_data_whose_check_fails_and_the_check_names_the_rows(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv() + "ghost.png,1\n")
    made = api(cast.erin).post(URL, draft(cast, inputs={"images": images.pk, "labels": labels.pk}))
    assert made.status_code == 201
    errors = [
        each for each in api(cast.bob).get(f"{URL}{made.json()['id']}/check/").json() if each["severity"] == "error"
    ]
    assert [(each["code"], each["files"], each["file_count"]) for each in errors] == [
        ("row_without_image", ["ghost.png"], 1)
    ]
    assert errors[0]["message"]
    assert errors[0]["fix"]


def test_labels_may_be_left_out_only_where_files_carry_labels(cast: Cast) -> None:
    bare = make_images(cast.project)
    refused = api(cast.erin).post(URL, draft(cast, inputs={"images": bare.pk}))
    assert (refused.status_code, refused.json()["reason"]) == (400, "input_missing")
    labelled = make_data(
        make_dataset(cast.project, "labelled"), [("0.png", _png(cast))], labels={"0.png": "cat"}, name="labelled"
    )
    assert api(cast.erin).post(URL, draft(cast, inputs={"images": labelled.pk})).status_code == 201


def _png(_cast: Cast) -> bytes:
    from tests.cast import png

    return png()


def test_unfitting_inputs_are_refused_with_the_cause(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    stranger = make_user("dora")
    from projects.members import create_project

    elsewhere = make_csv(create_project(stranger, name="Other", description="d"), right_csv())
    open_data = Data.objects.create(dataset=images.dataset, name="open", slug="open")
    refusals = {
        "unfitting_data": {"images": labels.pk, "labels": labels.pk},
        "unknown_data": {"images": images.pk, "labels": elsewhere.pk},
        "data_not_completed": {"images": open_data.pk, "labels": labels.pk},
        "unknown_input": {"images": images.pk, "labels": labels.pk, "sounds": 1},
    }
    for reason, inputs in refusals.items():
        refused = api(cast.erin).post(URL, draft(cast, inputs=inputs))
        assert (refused.status_code, refused.json()["reason"]) == (400, reason)
    refused = api(cast.erin).post(URL, draft(cast, algorithm="magic", inputs={}))
    assert (refused.status_code, refused.json()["reason"]) == (400, "unknown_algorithm")
    assert not Job.objects.exists()


def test_custom_job_is_made_but_cannot_train_yet(cast: Cast) -> None:
    made = api(cast.erin).post(
        URL, {"project": cast.project.pk, "name": "mine", "kind": "custom", "instance": {"kind": "cpu", "count": 1}}
    )
    assert made.status_code == 201, made.json()
    refused = api(cast.erin).post("/api/v1/trainings/", {"job": made.json()["id"], "trainings": [{"name": "t"}]})
    assert (refused.status_code, refused.json()["reason"]) == (409, "notebooks_unavailable")


def test_job_is_changed_but_not_its_kind(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    job = make_job(cast.project, images, labels)
    url = f"{URL}{job.pk}/"
    changed = api(cast.erin).patch(url, {"name": "renamed", "class_names": {"1": "sea"}}).json()
    assert (changed["name"], changed["class_names"], changed["path"]) == ("renamed", {"1": "sea"}, job.path)
    assert api(cast.erin).patch(url, {"kind": "custom"}).json()["reason"] == "fixed"


def test_deleting_a_job_frees_its_data(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    job = make_job(cast.project, images, labels)
    assert [each.name for each in dependants(images)] == ["classify"]
    assert [each.name for each in dependants(labels.dataset)] == ["classify"]
    assert counts([cast.project.pk])["jobs"] == {cast.project.pk: 1}
    assert api(cast.erin).delete(f"{URL}{job.pk}/").status_code == 204
    assert dependants(images) == []


def test_stranger_sees_no_job_and_viewer_changes_none(cast: Cast) -> None:
    job = make_job(cast.project, make_images(cast.project))
    for method, url in (
        ("get", f"{URL}{job.pk}/"),
        ("patch", f"{URL}{job.pk}/"),
        ("delete", f"{URL}{job.pk}/"),
        ("get", f"{URL}{job.pk}/check/"),
    ):
        assert getattr(api(cast.charlie), method)(url, {}).status_code == 404
        assert getattr(api(cast.bob), method)(url, {}).status_code == (200 if method == "get" else 403)
    assert api(cast.charlie).get(URL).json()["count"] == 0
    assert api(cast.charlie).post(URL, draft(cast)).status_code == 404
    assert api(cast.bob).post(URL, draft(cast)).status_code == 403


def test_queries_of_the_list_do_not_depend_on_the_count(cast: Cast) -> None:
    images = make_images(cast.project)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api(cast.bob).get(URL).status_code == 200
        return len(captured)

    make_job(cast.project, images)
    one = queries()
    for number in range(5):
        job = Job.objects.create(project=cast.project, name=f"j{number}", slug=f"j{number}")
        job.inputs.create(name="images", data=images)
    assert queries() == one


def test_recommendation_cites_what_was_measured(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    advice = api(cast.bob).post(
        "/api/v1/algorithms/recommend/", {"project": cast.project.pk, "data": [labels.pk, images.pk]}
    )
    (best,) = advice.json()["results"]
    assert best["algorithm"] == "image_classification"
    assert best["inputs"] == {"images": images.pk, "labels": labels.pk}
    assert best["hyperparameters"]["num_types"] == 2
    assert best["hyperparameters"]["epochs"] == 100
    for measured in ("12 images", "2 classes", "6 to 6", "40 x 30", "40 x 41"):
        assert measured in best["reason"]


def test_nothing_is_recommended_without_images_and_the_reason_is_told(cast: Cast) -> None:
    labels = make_csv(cast.project, right_csv())
    advice = (
        api(cast.bob).post("/api/v1/algorithms/recommend/", {"project": cast.project.pk, "data": [labels.pk]}).json()
    )
    assert advice["results"] == []
    assert "train-label" in advice["reason"]


def test_recommendation_is_scoped_to_the_project(cast: Cast) -> None:
    images = make_images(cast.project, image_names(2))
    url = "/api/v1/algorithms/recommend/"
    assert api(cast.charlie).post(url, {"project": cast.project.pk, "data": [images.pk]}).status_code == 404
    refused = api(cast.bob).post(url, {"project": cast.project.pk, "data": [images.pk + 99]})
    assert (refused.status_code, refused.json()["reason"]) == (400, "unknown_data")
