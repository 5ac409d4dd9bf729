"""The pages of datasets and data."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Data, Dataset, File
from datasets.versions import create_raw_data, preprocess_data
from dlmodeler_site.work.models import Status
from tests.cast import Cast, make_cast, make_data, make_dataset, png, run_work

pytestmark = pytest.mark.django_db

FLIP = [{"op": "flip_up_down"}]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    files = [(f"{n}.png", png((n * 40, 90, 0))) for n in range(3)]
    return make_data(make_dataset(cast.project), [*files, ("cut.jpg", b"no image")], labels={"0.png": "sea"})


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def page(name: str, *args: int) -> str:
    return reverse(f"datasets:{name}", args=args)


def test_the_list_finds_sorts_and_says_when_it_is_empty(cast: Cast) -> None:
    client = browser(cast.alice)
    url = page("list", cast.project.pk)
    assert "No data yet" in client.get(url).text
    for name in ("forests", "seas"):
        make_dataset(cast.project, name)
    assert "No dataset matches" in client.get(url, {"search": "desert"}).text
    found = client.get(url, {"search": "sea", "created_after": "2020-01-01"}).text
    assert "seas" in found
    assert "forests" not in found
    assert "No dataset matches" in client.get(url, {"created_before": "2020-01-01"}).text
    sorted_by_name = client.get(url, {"sort": "-name"}).text
    assert sorted_by_name.index("seas") < sorted_by_name.index("forests")


def test_creating_answers_where_the_files_go_and_marks_what_is_wrong(cast: Cast) -> None:
    client = browser(cast.erin)
    url = page("create", cast.project.pk)
    wrong = client.post(url, {"dataset_name": "train", "name": ""}, headers={"Accept": "application/json"})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["name"])
    assert not Dataset.objects.exists()
    made = client.post(url, {"dataset_name": "train", "name": "raw"}, headers={"Accept": "application/json"}).json()
    data = Data.objects.get(pk=made["data_id"])
    assert made["done_url"] == page("data", data.pk)
    assert (data.dataset.name, data.name, data.status) == ("train", "raw", Status.UPLOADING)


def test_the_path_is_shown_before_anything_is_made(cast: Cast) -> None:
    make_dataset(cast.project, "train")
    client = browser(cast.alice)
    shown = client.get(page("path-preview", cast.project.pk), {"dataset_name": "train", "name": "My raw"}).text
    assert f"/mnt/{cast.project.files_key}/data/train-2/my-raw" in shown


def test_an_unfinished_upload_can_be_gone_on_with(cast: Cast) -> None:
    data = create_raw_data(make_dataset(cast.project), cast.alice, name="half")
    File.objects.create(data=data, name="a.png", sha256="x")
    File.objects.create(data=data, name="../b.png", state=File.State.REJECTED, error="Not allowed.")
    client = browser(cast.erin)
    shown = client.get(page("data", data.pk)).text
    assert "Files taken: 1, refused: 1" in shown
    assert "data-upload-zone" in shown
    assert client.post(page("data-upload", data.pk)).json()["data_id"] == data.pk
    assert "data-upload-zone" not in browser(cast.bob).get(page("data", data.pk)).text
    assert "half" not in client.get(page("preprocess", cast.project.pk)).text


def test_a_data_shows_sample_facts_refused_files_and_lineage(cast: Cast, photos: Data) -> None:
    made = preprocess_data(photos, cast.alice, name="flipped", steps=FLIP)
    client = browser(cast.bob)
    shown = client.get(page("data", photos.pk)).text
    assert photos.path in shown
    assert "flipped" in shown
    assert all(reverse("api-file-thumbnail", args=[file.pk]) in shown for file in photos.files.filter(state="ok"))
    refused = client.get(page("data-files", photos.pk), {"state": "rejected"}).text
    assert "This is text, not an image" in refused
    assert "0.png" not in refused
    grid = client.get(page("data-files", photos.pk), {"view": "grid"}).text
    assert "dlm-thumb" in grid
    assert "Flip up-down" in client.get(page("data", made.pk)).text


def test_a_table_shows_its_first_rows(cast: Cast) -> None:
    data = make_data(make_dataset(cast.project), [("labels.csv", "파일,라벨\n0.jpg,숲\n".encode("cp949"))])
    shown = browser(cast.bob).get(page("data", data.pk)).text
    assert "숲" in shown


@pytest.mark.parametrize("count", [5, 500])
def test_the_queries_of_the_file_page_do_not_grow(cast: Cast, count: int, django_assert_num_queries: Any) -> None:
    data = Data.objects.create(dataset=make_dataset(cast.project), name="many", slug="many")
    File.objects.bulk_create(File(data=data, name=f"{n}.png", state="ok", has_thumbnail=True) for n in range(count))
    client = browser(cast.bob)
    with django_assert_num_queries(9):
        answer = client.get(page("data-files", data.pk), {"per_page": "100", "view": "list"})
    assert answer.text.count("dlm-file-thumb") == min(count, 100)
    assert answer.text.count('class="dlm-cell-main" data-label="Name"><a href="') == min(count, 100)
    with django_assert_num_queries(9):
        answer = client.get(page("data-files", data.pk), {"per_page": "100"})
    assert answer.text.count('class="dlm-thumb-image"') == min(count, 100)


def test_the_status_polls_until_the_end_and_then_loads_the_page_anew(cast: Cast, photos: Data) -> None:
    made = preprocess_data(photos, cast.alice, name="flipped", steps=FLIP)
    client = browser(cast.bob)
    running = client.get(page("data-status", made.pk))
    assert "every 2s" in running.text
    assert "Waiting for a worker" in running.text
    assert "HX-Refresh" not in running
    run_work(made)
    ended = client.get(page("data-status", made.pk))
    assert "every 2s" not in ended.text
    assert ended["HX-Refresh"] == "true"
    assert "every" not in client.get(page("data-status-cell", made.pk)).text


def test_the_browser_leads_to_completed_data_of_the_asked_content(cast: Cast, photos: Data) -> None:
    create_raw_data(photos.dataset, cast.alice, name="unfinished")
    client = browser(cast.bob)
    url = page("browse", cast.project.pk)
    top = client.get(url, {"content": "image"}).text
    assert f"/mnt/{cast.project.files_key}/data" in top
    assert 'aria-expanded="true"' in top
    assert f'data-expand="{url}?content=image&amp;dataset={photos.dataset_id}"' in top
    leaf = client.get(url, {"dataset": photos.dataset_id, "content": "image"}).text  # type: ignore[arg-type]
    assert f'data-value="{photos.pk}" data-path="{photos.path}"' in leaf
    assert "unfinished" in leaf
    assert leaf.count("data-value=") == 1
    assert "data-value=" not in client.get(url, {"dataset": photos.dataset_id, "content": "table"}).text  # type: ignore[arg-type]


def test_deleting_says_why_not_or_deletes(cast: Cast, photos: Data) -> None:
    made = preprocess_data(photos, cast.alice, name="flipped", steps=FLIP)
    client = browser(cast.erin)
    client.post(page("bulk-delete", cast.project.pk), {"row": [photos.dataset_id]})
    assert Dataset.objects.exists()
    assert "Stop it first" in client.get(page("list", cast.project.pk)).text
    client.post(page("data-stop", made.pk))
    client.post(page("data-delete", made.pk))
    client.post(page("data-delete", photos.pk))
    assert not Data.objects.exists()
    client.post(page("bulk-delete", cast.project.pk), {"row": [photos.dataset_id, "x", 10**6]})
    assert not Dataset.objects.exists()


def test_strangers_see_no_page_and_viewers_change_nothing(cast: Cast, photos: Data) -> None:
    of_project = ["list", "path-preview", "browse"]
    reads = [page(name, cast.project.pk) for name in of_project]
    reads += [page("dataset", photos.dataset_id)]
    reads += [
        page(name, photos.pk)
        for name in ("data", "data-files", "data-status", "data-status-cell", "data-sample", "data-balance")
    ]
    assert {browser(cast.charlie).get(url).status_code for url in reads} == {404}
    assert {browser(cast.bob).get(url).status_code for url in reads} == {200}
    assert {Client().get(url).status_code for url in reads} == {302}
    writes = [page(name, cast.project.pk) for name in ("create", "bulk-delete", "preprocess")]
    writes += [page(name, photos.dataset_id) for name in ("dataset-edit", "dataset-delete", "data-create")]
    writes += [page(name, photos.pk) for name in ("data-upload", "data-commit", "data-stop", "data-delete")]
    assert {browser(cast.charlie).post(url).status_code for url in writes} == {404}
    assert {browser(cast.bob).post(url).status_code for url in writes} == {403}
    assert 'data-bs-target="#delete"' not in browser(cast.bob).get(page("data", photos.pk)).text
