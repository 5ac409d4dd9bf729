"""The REST API of datasets and data, beside uploading."""

import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from datasets.models import LARGE, Data, Dataset, File
from datasets.samples import random_files
from datasets.versions import preprocess_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from projects import trash
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work

pytestmark = pytest.mark.django_db

FLIP = [{"op": "flip_up_down"}, {"op": "grayscale"}]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    workspace().delete_tree("project")
    files = [(f"{n}.png", png((n * 40, 90, 200 - n * 40))) for n in range(4)]
    return make_data(make_dataset(cast.project), files, labels={"0.png": "sea", "1.png": "sea", "2.png": "forest"})


def url(data: Data, action: str = "detail") -> str:
    return reverse(f"api-data-{action}", args=[data.pk])


def make_rows(data: Data, count: int) -> None:
    File.objects.bulk_create(
        File(data=data, name=f"f/{n}.png", state=File.State.OK, content="image", has_thumbnail=True)
        for n in range(count)
    )


def test_a_dataset_is_made_changed_and_deleted(cast: Cast) -> None:
    client = api(cast.erin)
    made = client.post(reverse("api-dataset-list"), {"project": cast.project.pk, "name": "My photos"}).json()
    assert made["path"] == f"/mnt/{cast.project.files_key}/data/my-photos"
    again = client.post(reverse("api-dataset-list"), {"project": cast.project.pk, "name": "My photos"}).json()
    assert again["path"].endswith("/my-photos-2")
    detail = reverse("api-dataset-detail", args=[made["id"]])
    changed = client.patch(detail, {"name": "Renamed"}).json()
    assert (changed["name"], changed["path"]) == ("Renamed", made["path"])
    listed = client.get(reverse("api-dataset-list"), {"project": cast.project.pk, "search": "renamed"}).json()  # type: ignore[arg-type]
    assert [dataset["id"] for dataset in listed["results"]] == [made["id"]]
    assert client.delete(detail).status_code == 204
    assert client.get(detail).status_code == 404


def test_an_idempotency_key_makes_one_data(cast: Cast) -> None:
    dataset = make_dataset(cast.project)
    answers = [
        api(cast.alice).post(
            reverse("api-data-list"), {"dataset": dataset.pk, "name": "photos"}, headers={"Idempotency-Key": "k"}
        )
        for _call in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert (answers[0].json()["status"], answers[0].json()["algorithm"]) == ("uploading", "rawData")
    assert Data.objects.count() == 1


def test_a_completed_data_says_what_it_is(cast: Cast, photos: Data) -> None:
    answer = api(cast.bob).get(url(photos)).json()
    expected = {"status": "completed", "kind": "raw", "content": "image", "file_count": 4, "rejected_count": 0}
    assert expected.items() <= answer.items()
    assert (answer["progress"], answer["error"], answer["parent"], answer["steps"]) == (1.0, None, None, [])
    assert answer["path"] == f"/mnt/{photos.files_key}"
    assert len(answer["manifest_sha256"]) == 64


def test_files_are_paged_and_filtered(cast: Cast, photos: Data) -> None:
    photos.files.filter(name="3.png").update(state=File.State.REJECTED, error="Broken.")
    files = reverse("api-data-files", args=[photos.pk])
    page = api(cast.bob).get(files, {"page_size": 2, "page": 2}).json()
    assert (page["count"], [file["name"] for file in page["results"]]) == (4, ["2.png", "3.png"])
    rejected = api(cast.bob).get(files, {"state": "rejected"}).json()["results"]
    assert [(file["name"], file["error"], file["url"]) for file in rejected] == [("3.png", "Broken.", None)]
    assert api(cast.bob).get(files, {"label": "sea"}).json()["count"] == 2
    assert api(cast.bob).get(files, {"state": "good"}).status_code == 400


@pytest.mark.parametrize("count", [5, 500])
def test_the_queries_of_a_file_list_do_not_grow(cast: Cast, count: int, django_assert_num_queries: Any) -> None:
    data = Data.objects.create(dataset=make_dataset(cast.project), name="many", slug="many")
    make_rows(data, count)
    client = api(cast.bob)
    with django_assert_num_queries(3):
        answer = client.get(reverse("api-data-files", args=[data.pk]), {"page_size": 200})
    assert len(answer.json()["results"]) == min(count, 200)


@pytest.mark.parametrize("count", [5, 2500])
def test_the_queries_of_a_sample_do_not_grow(cast: Cast, count: int, django_assert_num_queries: Any) -> None:
    data = Data.objects.create(dataset=make_dataset(cast.project), name="many", slug="many")
    make_rows(data, count)
    with django_assert_num_queries(3):
        assert len(random_files(data, 12)) == min(count, 12)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="each database tells its plans differently")
def test_files_are_looked_up_by_their_names_whatever_else_is_asked(cast: Cast, photos: Data) -> None:
    plan = photos.files.named(["0.png", "1.png"]).filter(state=File.State.OK).order_by("pk").explain()
    assert "data_id=? AND name=?" in plan


def test_samples_are_sound_different_and_equally_likely(cast: Cast, photos: Data) -> None:
    photos.files.filter(name="3.png").update(state=File.State.REJECTED)
    client = api(cast.bob)
    assert client.get(url(photos, "sample")).json()["name"] in ("0.png", "1.png", "2.png")
    assert {file["name"] for file in client.get(url(photos, "sample"), {"n": 9}).json()} == {"0.png", "1.png", "2.png"}
    assert client.get(url(photos, "sample"), {"n": "0"}).status_code == 400
    many = Data.objects.create(dataset=photos.dataset, name="many", slug="many")
    make_rows(many, 1500)
    make_rows_of_another = Data.objects.create(dataset=photos.dataset, name="other", slug="other")
    make_rows(make_rows_of_another, 500)
    File.objects.bulk_create(File(data=many, name=f"g/{n}.png", state=File.State.OK) for n in range(1500))
    drawn = [file for _draw in range(20) for file in random_files(many, 100)]
    assert len({file.pk for file in drawn[:100]}) == 100
    assert {file.data_id for file in drawn} == {many.pk}
    assert 800 < sum(file.name.startswith("f/") for file in drawn) < 1200


def test_lists_leave_out_what_is_large(cast: Cast, photos: Data, django_assert_num_queries: Any) -> None:
    make_rows(photos, 30)
    client, names = api(cast.bob), [f"f/{n}.png" for n in range(30)]
    steps = [{"op": "exclude", "files": names}, {"op": "relabel", "files": ["0.png"], "label": "sky"}]
    made = [preprocess_data(photos, cast.alice, name=f"less {n}", steps=steps) for n in range(3)]
    pages = Client()
    pages.force_login(cast.bob)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(reverse("api-data-list")).status_code == 200
        assert pages.get(reverse("datasets:dataset", args=[photos.dataset_id])).status_code == 200
        tree = reverse("datasets:browse", args=[cast.project.pk])
        assert pages.get(tree, {"dataset": photos.dataset_id}).status_code == 200
    assert not any(f'"datasets_data"."{name}"' in query["sql"] for query in asked for name in LARGE)
    with django_assert_num_queries(2):
        listed = client.get(reverse("api-data-list")).json()["results"]
    assert listed[0]["steps"] == [{"op": "exclude", "files": names[:20], "files_count": 30}, steps[1]]
    assert client.get(url(made[0])).json()["steps"] == steps
    assert "(30): f/0.png" in client.get(reverse("api-data-lineage", args=[photos.pk])).text


def test_the_profile_is_the_runs(cast: Cast, photos: Data, django_assert_num_queries: Any) -> None:
    client = api(cast.bob)
    with django_assert_num_queries(1):
        profile = client.get(url(photos, "profile")).json()
    assert (profile["files"], profile["rejected"], profile["complete"]) == (4, 0, True)
    assert profile["labels"] == [{"label": "sea", "count": 2}, {"label": "forest", "count": 1}]
    assert profile["unlabelled"] == 1
    assert [profile["width"][key] for key in ("min", "mean", "max")] == [40, 40.0, 40]
    assert profile["size_bytes"]["total"] == photos.size_bytes
    assert profile["duplicates"]["groups"] == profile["near_duplicates"]["groups"] == 0
    assert len(set(photos.files.values_list("fingerprint", flat=True))) == 4
    balance = client.get(reverse("datasets:data-balance", args=[photos.pk]))
    assert balance.status_code == 302  # a page, for those who have signed in
    before = Data.objects.create(dataset=photos.dataset, name="empty", slug="empty")
    assert api(cast.bob).get(url(before, "profile")).json()["complete"] is False


def test_a_profile_is_shown_as_it_comes_and_stays_once_it_is_whole(cast: Cast, photos: Data) -> None:
    data = Data.objects.create(dataset=photos.dataset, name="running", slug="running")
    for found in ({"files": 1, "complete": False}, {"files": 3, "complete": True}, {"files": 2, "complete": False}):
        data.collect([{"type": "profile", "profile": {**found, "contents": {}}}])
    profile = api(cast.bob).get(url(data, "profile")).json()
    assert (profile["files"], profile["complete"], profile["duplicates"]) == (3, True, None)


def test_a_selection_keeps_what_is_known_of_its_files(cast: Cast) -> None:
    files = [("a.png", png()), ("b.png", png()), ("t.csv", b"name,size\nx,1\ny,2\n")]
    data = make_data(make_dataset(cast.project, "mixed"), files)
    profile = api(cast.bob).get(url(data, "profile")).json()
    assert [(column["name"], column["type"]) for column in profile["columns"]] == [
        ("name", "text"),
        ("size", "integer"),
    ]
    assert [[file["name"] for file in group["files"]] for group in profile["duplicates"]["largest"]] == [
        ["a.png", "b.png"]
    ]
    steps = [{"op": "exclude", "files": ["b.png"]}]
    made = api(cast.alice).post(url(data, "preprocess"), {"name": "less", "steps": steps}).json()
    run_work(Data.objects.get(pk=made["id"]))
    less = api(cast.bob).get(reverse("api-data-profile", args=[made["id"]])).json()
    assert (less["files"], less["duplicates"]["groups"], less["columns"]) == (2, 0, profile["columns"])
    assert less["brightness"]["mean"] == pytest.approx(profile["brightness"]["mean"], abs=1)
    assert (less["saturation"], less["colour"]) == (None, None)


def test_preprocessing_makes_a_new_data_with_lineage(cast: Cast, photos: Data) -> None:
    steps = [{"op": "resize", "width": 20, "height": 10}, *FLIP]
    answer = api(cast.erin).post(url(photos, "preprocess"), {"name": "small", "steps": steps})
    assert answer.status_code == 201
    assert answer.json()["status"] == "queued"
    data = Data.objects.get(pk=answer.json()["id"])
    run_work(data)
    shown = api(cast.bob).get(url(data)).json()
    expected = {"status": "completed", "kind": "processed", "algorithm": "image_preprocessing", "parent": photos.pk}
    assert expected.items() <= shown.items()
    assert (shown["steps"], shown["file_count"]) == (steps, 4)
    file = data.files.get(name="0.png")
    assert (file.width, file.height, file.mode, file.label) == (20, 10, "L", "sea")
    refused = api(cast.alice).delete(url(photos))
    assert refused.status_code == 409
    assert refused.json() == {
        "error": "“photos” cannot be deleted now, because of: data “small”. Stop or delete these first.",
        "reason": "in_use",
        "details": {"used_by": ["data “small”"]},
    }


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "1 to 32"),
        ([{"op": "sharpen"}], "flip_up_down, flip_left_right"),
        ([{"op": "rotate", "degrees": 400}], "from -360 to 360"),
    ],
)
def test_wrong_steps_are_400_and_name_what_is_allowed(cast: Cast, photos: Data, steps: Any, words: str) -> None:
    for action in ("preprocess", "preview"):
        answer = api(cast.alice).post(url(photos, action), {"name": "x", "steps": steps})
        assert (answer.status_code, answer.json()["reason"]) == (400, "invalid_steps")
        assert words in answer.json()["error"]
    assert Data.objects.count() == 1


def test_files_that_are_no_images_follow_on_error(cast: Cast) -> None:
    mixed = make_data(make_dataset(cast.project), [("a.png", png()), ("labels.csv", b"a.png,1\n")])
    assert mixed.content == "mixed"
    ends = {}
    for on_error in ("fail", "skip"):
        made = api(cast.alice).post(url(mixed, "preprocess"), {"name": on_error, "steps": FLIP, "on_error": on_error})
        ends[on_error] = run_work(Data.objects.get(pk=made.json()["id"]))
    assert ends["fail"].status == Status.FAILED
    assert "labels.csv" in ends["fail"].error
    assert ends["skip"].status == Status.COMPLETED
    assert dict(ends["skip"].files.values_list("name", "state")) == {"a.png": "ok", "labels.csv": "rejected"}


def test_a_preview_answers_an_image_and_stores_nothing(cast: Cast, photos: Data) -> None:
    before = File.objects.count(), Data.objects.count()
    file = photos.files.get(name="0.png")
    answer = api(cast.bob).post(url(photos, "preview"), {"steps": FLIP, "file": file.pk})
    assert answer["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (40, 30)
    assert (File.objects.count(), Data.objects.count()) == before
    other = api(cast.bob).post(url(photos, "preview"), {"steps": FLIP, "file": 10**9})
    assert (other.status_code, other.json()["reason"]) == (400, "no_image")
    huge = api(cast.bob).post(url(photos, "preview"), {"steps": [{"op": "resize", "width": 8000, "height": 8000}]})
    assert huge.json()["reason"] == "preview_too_large"


def test_only_a_completed_data_is_preprocessed(cast: Cast) -> None:
    data = Data.objects.create(dataset=make_dataset(cast.project), name="x", slug="x")
    for action in ("preprocess", "preview"):
        answer = api(cast.alice).post(url(data, action), {"name": "y", "steps": FLIP})
        assert (answer.status_code, answer.json()["reason"]) == (409, "not_completed")


def test_nothing_that_a_browser_would_run_is_served_as_such(cast: Cast) -> None:
    files = [
        ("page.html", b"<script>alert(1)</script>"),
        ("image.svg", b"<svg><script>x</script></svg>"),
        ("t.csv", b"a,1\n"),
    ]
    data = make_data(make_dataset(cast.project), files)
    for file in data.files.all():
        answer = api(cast.bob).get(reverse("api-file-content", args=[file.pk]))
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in answer["Cache-Control"]
        assert "private" in answer["Cache-Control"]


def test_work_that_runs_is_not_deleted(cast: Cast, photos: Data) -> None:
    made = api(cast.alice).post(url(photos, "preprocess"), {"name": "x", "steps": FLIP}).json()
    data = Data.objects.get(pk=made["id"])
    for target in (url(data), reverse("api-dataset-detail", args=[photos.dataset_id])):
        answer = api(cast.alice).delete(target)
        assert (answer.status_code, answer.json()["reason"]) == (409, "running")
    project = api(cast.alice).delete(reverse("api-project-detail", args=[cast.project.pk]))
    assert (project.status_code, project.json()["reason"]) == (409, "in_use")
    assert api(cast.alice).post(url(data, "stop")).json()["status"] == "cancelled"
    assert api(cast.alice).delete(reverse("api-dataset-detail", args=[photos.dataset_id])).status_code == 204
    assert not Dataset.objects.exists()


def test_a_project_with_lineage_in_it_can_be_deleted(cast: Cast, photos: Data) -> None:
    made = api(cast.alice).post(url(photos, "preprocess"), {"name": "x", "steps": FLIP}).json()
    run_work(Data.objects.get(pk=made["id"]))
    project = reverse("api-project-detail", args=[cast.project.pk])
    assert api(cast.alice).delete(f"{project}?forever=true").status_code == 204
    trash.purge()
    assert not File.objects.exists()


def test_strangers_see_nothing_and_viewers_change_nothing(cast: Cast, photos: Data) -> None:
    file = photos.files.first()
    assert file is not None
    reads = [
        reverse("api-dataset-detail", args=[photos.dataset_id]),
        url(photos),
        url(photos, "sample"),
        url(photos, "profile"),
        reverse("api-data-files", args=[photos.pk]),
        reverse("api-file-content", args=[file.pk]),
        reverse("api-file-thumbnail", args=[file.pk]),
    ]
    assert {api(cast.charlie).get(read).status_code for read in reads} == {404}
    assert {api(None).get(read).status_code for read in reads} == {401}
    assert {api(cast.bob).get(read).status_code for read in reads} == {200}
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("post", reverse("api-dataset-list"), {"project": cast.project.pk, "name": "x"}),
        ("post", reverse("api-data-list"), {"dataset": photos.dataset_id, "name": "x"}),
        ("patch", reverse("api-dataset-detail", args=[photos.dataset_id]), {"name": "x"}),
        ("delete", reverse("api-dataset-detail", args=[photos.dataset_id]), {}),
        ("delete", url(photos), {}),
        ("post", url(photos, "commit"), {}),
        ("post", url(photos, "stop"), {}),
        ("post", url(photos, "preprocess"), {"name": "x", "steps": FLIP}),
    ]
    for method, target, values in writes:
        for user, status in ((cast.charlie, 404), (cast.bob, 403)):
            assert getattr(api(user), method)(target, values).status_code == status, (method, target)
