"""What is deleted goes to the trash, comes back whole, and in the end leaves nothing behind."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.authtoken.models import Token

from datasets import purge, trash
from datasets.models import Data, Dataset, File
from datasets.versions import create_dataset, create_raw_data, preprocess_data
from dlmodeler_site.access import Role
from dlmodeler_site.errors import Conflict
from dlmodeler_site.storage import workspace
from dlmodeler_site.trash import GONE
from dlmodeler_site.work.models import Status
from jobs.definition import JobDraft, create_job
from jobs.models import Job, JobInput
from projects.members import Member, create_project
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work

pytestmark = pytest.mark.django_db

FLIP = [{"op": "flip_up_down"}]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    return make_data(make_dataset(cast.project), [(f"{n}.png", png((n * 40, 90, 0))) for n in range(3)])


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def flipped(photos: Data, cast: Cast, name: str = "flipped") -> Data:
    return run_work(preprocess_data(photos, cast.alice, name=name, steps=FLIP))


def keys_of(data: Data) -> list[str]:
    return [key for folder in (data.files_key, data.thumbnails_key) for key in workspace().keys(folder)]


def age(row: Any, days: float) -> None:
    """As if it had been deleted so many days ago."""
    type(row).everything.filter(pk=row.pk).update(deleted_at=timezone.now() - timedelta(days=days))


# -- In the trash --------------------------------------------------------------------------------


def test_a_deleted_data_is_nowhere_but_in_the_trash_and_keeps_its_files(cast: Cast, photos: Data) -> None:
    file = photos.files.first()
    assert file is not None
    client, pages = api(cast.erin), browser(cast.erin)
    gone = [
        reverse("api-data-detail", args=[photos.pk]),
        reverse("api-data-sample", args=[photos.pk]),
        reverse("api-data-files", args=[photos.pk]),
        reverse("api-file-content", args=[file.pk]),
        reverse("api-file-thumbnail", args=[file.pk]),
    ]
    assert client.delete(gone[0]).status_code == 204
    assert {client.get(url).status_code for url in gone} == {404}
    assert client.get(reverse("api-data-list")).json()["count"] == 0
    for page in ("data", "data-files", "data-sample", "data-status"):
        assert pages.get(reverse(f"datasets:{page}", args=[photos.pk])).status_code == 404
    assert "dlm-cell-main" not in pages.get(reverse("datasets:dataset", args=[photos.dataset_id])).text
    listed = pages.get(reverse("datasets:list", args=[cast.project.pk]))
    assert [row.record.data_count for row in listed.context["table"].rows] == [0]
    card = pages.get(reverse("projects:list")).context["cards"][0]["counts"]
    assert (card["bytes"], card["trash_bytes"]) == (0, photos.disk_bytes)
    assert len(keys_of(photos)) == 6
    (entry,) = client.get(reverse("api-trash"), {"project": cast.project.pk}).json()["results"]
    expected = {
        "kind": "data",
        "id": photos.pk,
        "name": "photos",
        "part_of": "photos",
        "contents": 3,
        "size_bytes": photos.disk_bytes,
        "deleted_by": "erin",
        "project": cast.project.pk,
    }
    assert expected.items() <= entry.items()
    shown = pages.get(reverse("datasets:trash", args=[cast.project.pk])).text
    assert "erin" in shown
    assert "14 days" in shown


def test_who_deleted_is_known_of_those_who_come_with_a_token_as_well(cast: Cast, photos: Data) -> None:
    token = Token.objects.create(user=cast.alice)
    headers = {"Authorization": f"Token {token.key}"}
    assert Client().delete(reverse("api-data-detail", args=[photos.pk]), headers=headers).status_code == 204
    assert [entry.deleted_by for entry in trash.entries([cast.project])] == ["alice"]


def test_nothing_can_be_made_of_what_is_in_the_trash(cast: Cast, photos: Data) -> None:
    trash.delete_data(photos)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        preprocess_data(photos, cast.alice, name="x", steps=FLIP)
    draft = JobDraft(name="x", algorithm="image_classification", inputs={"images": photos.pk})
    with pytest.raises(Exception, match="There is no data with the id"):
        create_job(cast.project, cast.alice, draft)
    photos.refresh_from_db()
    trash.delete_dataset(photos.dataset)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        create_raw_data(photos.dataset, cast.alice, name="x")


def test_a_name_in_the_trash_is_not_given_away(cast: Cast, photos: Data) -> None:
    trash.delete_data(photos)
    again = create_raw_data(photos.dataset, cast.alice, name="photos")
    assert (again.slug, again.files_key == photos.files_key) == ("photos-2", False)
    trash.delete_dataset(photos.dataset)
    assert create_dataset(cast.project, cast.alice, name="photos").slug == "photos-2"


def test_what_is_used_is_not_deleted_and_the_preview_says_by_what(cast: Cast, photos: Data) -> None:
    made = flipped(photos, cast)
    job = Job.objects.create(project=cast.project, name="classify", slug="classify")
    JobInput.objects.create(job=job, name="images", data=made)
    pages = browser(cast.alice)
    previews = {
        pages.get(reverse("datasets:data-delete-preview", args=[photos.pk])).text: "data “flipped”",
        pages.get(reverse("datasets:data-delete-preview", args=[made.pk])).text: "job “classify”",
        pages.get(reverse("datasets:dataset-delete-preview", args=[photos.dataset_id])).text: "job “classify”",
    }
    assert all(by in preview for preview, by in previews.items())
    assert not any("can be restored" in preview for preview in previews)
    for row, name in ((photos, "api-data-detail"), (photos.dataset, "api-dataset-detail")):
        answer = api(cast.alice).delete(reverse(name, args=[row.pk]))
        assert (answer.status_code, answer.json()["reason"]) == (409, "in_use")
    job.delete()
    preview = pages.get(reverse("datasets:dataset-delete-preview", args=[photos.dataset_id])).text
    assert all(words in preview for words in ("2 data go along", "6 files", "can be restored for 14 days", "up to"))
    Data.objects.filter(pk=made.pk).update(status=Status.RUNNING)
    assert "data in work “flipped”" in pages.get(reverse("datasets:data-delete-preview", args=[made.pk])).text
    answer = api(cast.alice).delete(reverse("api-data-detail", args=[made.pk]))
    assert (answer.status_code, answer.json()["reason"]) == (409, "running")


def on_disk(*data: Data) -> int:
    """Whatever the names, each file once."""
    files = [workspace().local_path(key, "").stat() for each in data for key in keys_of(each)]
    return sum({file.st_ino: file.st_size for file in files}.values())


def test_files_that_data_share_are_counted_once_and_freed_with_the_last(cast: Cast, photos: Data) -> None:
    steps = [{"op": "exclude", "files": ["0.png"]}, {"op": "relabel", "files": ["1.png"], "label": "sea"}]
    made = run_work(preprocess_data(photos, cast.alice, name="mended", steps=steps))
    again = run_work(preprocess_data(made, cast.alice, name="again", steps=[{"op": "exclude", "files": ["1.png"]}]))
    turned = flipped(made, cast)
    photos.refresh_from_db()
    assert (made.shared_bytes, made.disk_bytes, again.disk_bytes) == (made.size_bytes, 0, 0)
    assert turned.shared_bytes == 0
    every = (photos, made, again, turned)
    pages = browser(cast.alice)
    card = pages.get(reverse("projects:list")).context["cards"][0]["counts"]
    assert card["bytes"] == on_disk(*every) == sum(each.disk_bytes for each in every)
    assert "are shared with “photos”" in pages.get(reverse("datasets:data", args=[made.pk])).text
    assert "stay on the disk with it" in pages.get(reverse("datasets:data-delete-preview", args=[again.pk])).text
    whole = pages.get(reverse("datasets:dataset-delete-preview", args=[photos.dataset_id]))
    assert "lie on the disk only once" in whole.text
    assert whole.context["bytes"] == on_disk(*every)
    for data, frees in ((again, 0), (turned, turned.disk_bytes)):
        trash.delete_data(data)
        assert trash.entries([cast.project])[0].size_bytes == frees
    trash.empty(cast.project)
    purge.purge()
    assert on_disk(*every) == photos.disk_bytes


# -- Back again ----------------------------------------------------------------------------------


def test_a_dataset_brings_back_exactly_the_data_it_took_along(cast: Cast, photos: Data) -> None:
    other = create_raw_data(photos.dataset, cast.alice, name="other")
    made = flipped(photos, cast)
    trash.delete_data(other)
    client = api(cast.erin)
    assert client.delete(reverse("api-dataset-detail", args=[photos.dataset_id])).status_code == 204
    entries = client.get(reverse("api-trash")).json()["results"]
    assert [(entry["kind"], entry["name"], entry["contents"]) for entry in entries] == [
        ("dataset", "photos", 2),
        ("data", "other", 0),
    ]
    assert entries[0]["size_bytes"] == photos.disk_bytes + made.disk_bytes
    refused = client.post(reverse("api-trash-data-restore", args=[other.pk]))
    assert (refused.status_code, refused.json()["reason"]) == (409, "dataset_in_trash")
    assert client.post(reverse("api-trash-data-restore", args=[made.pk])).status_code == 404
    restored = client.post(reverse("api-trash-dataset-restore", args=[photos.dataset_id]))
    assert restored.json()["id"] == photos.dataset_id
    assert set(Data.objects.all()) == {photos, made}
    assert client.post(reverse("api-trash-data-restore", args=[other.pk])).json()["name"] == "other"
    assert client.get(reverse("api-trash")).json()["count"] == 0
    content = client.get(reverse("api-file-content", args=[photos.files.first().pk]))  # type: ignore[union-attr]
    assert content.status_code == 200


def test_a_data_comes_back_after_what_it_was_made_from(cast: Cast, photos: Data) -> None:
    made = flipped(photos, cast)
    trash.delete_data(made)
    trash.delete_data(photos)
    pages = browser(cast.erin)
    url = reverse("datasets:trash", args=[cast.project.pk])
    pages.post(reverse("datasets:data-restore", args=[made.pk]), headers={"referer": f"http://testserver{url}"})
    assert "was made from “photos”" in pages.get(url).text
    end = api(cast.erin).delete(reverse("api-trash-data", args=[photos.pk]))
    assert (end.status_code, end.json()["details"]["used_by"]) == (409, ["data “flipped”"])
    for data in (photos, made):
        pages.post(reverse("datasets:data-restore", args=[data.pk]))
    assert Data.objects.count() == 2


def test_only_editors_restore_and_delete_for_ever(cast: Cast, photos: Data) -> None:
    empty = make_dataset(cast.project, "empty")
    trash.delete_data(photos)
    trash.delete_dataset(empty)
    calls = [
        ("post", reverse("api-trash-data-restore", args=[photos.pk])),
        ("delete", reverse("api-trash-data", args=[photos.pk])),
        ("post", reverse("api-trash-dataset-restore", args=[empty.pk])),
        ("delete", reverse("api-trash-dataset", args=[empty.pk])),
    ]
    for method, url in calls:
        assert [getattr(api(user), method)(url).status_code for user in (cast.charlie, cast.bob)] == [404, 403]
    empty_url, project = reverse("api-trash-empty"), {"project": cast.project.pk}
    assert [api(user).post(empty_url, project).status_code for user in (cast.charlie, cast.bob)] == [404, 403]
    assert api(cast.charlie).get(reverse("api-trash")).json()["count"] == 0
    shown = browser(cast.bob).get(reverse("datasets:trash", args=[cast.project.pk])).text
    assert "photos" in shown
    assert "Restore" not in shown
    assert set(Dataset.everything.exclude(deleted_at=GONE)) == {empty, photos.dataset}


# -- For ever ------------------------------------------------------------------------------------


def test_what_was_in_the_trash_for_long_enough_leaves_nothing_behind(cast: Cast, photos: Data) -> None:
    young = make_data(make_dataset(cast.project, "young"), [("a.png", png())])
    made = flipped(photos, cast)
    folders = [photos.dataset.files_key, f".work/datasets.data/{photos.pk}"]
    folders += [each.thumbnails_key for each in (photos, made)]
    assert all(list(workspace().keys(folder)) for folder in folders)
    trash.delete_dataset(photos.dataset)
    trash.delete_data(young)
    purge.purge()
    assert Data.everything.count() == 3
    photos.dataset.refresh_from_db()
    for row in (photos.dataset, photos, made):
        age(row, settings.DLM_TRASH_DAYS + 0.01)
    age(young, settings.DLM_TRASH_DAYS - 0.01)
    purge.purge()
    assert list(Data.everything.all()) == [young]
    assert list(Dataset.everything.all()) == [young.dataset]
    assert not any(list(workspace().keys(folder)) for folder in folders)
    assert len(keys_of(young)) == 2
    assert {file.data_id for file in File.objects.all()} == {young.pk}


def test_what_is_ended_cannot_be_restored_and_is_shown_no_more(cast: Cast, photos: Data) -> None:
    client = api(cast.alice)
    other = make_data(make_dataset(cast.project, "other"), [("a.png", png())])
    assert client.delete(reverse("api-data-detail", args=[photos.pk]), {"forever": "x"}).status_code == 204
    assert client.delete(f"{reverse('api-data-detail', args=[other.pk])}?forever=maybe").status_code == 400
    assert client.delete(f"{reverse('api-data-detail', args=[other.pk])}?forever=true").status_code == 204
    assert client.post(reverse("api-trash-empty"), {"project": cast.project.pk}).json() == {"deleted": 1}
    assert client.get(reverse("api-trash")).json()["count"] == 0
    for data in (photos, other):
        assert client.post(reverse("api-trash-data-restore", args=[data.pk])).status_code == 404
        with pytest.raises(Conflict, match="being deleted for ever"):
            trash.restore_data(data)
    purge.purge()
    assert not Data.everything.exists()
    assert Dataset.objects.count() == 2


@pytest.mark.parametrize("at", ["rows", "files"])
def test_a_deletion_that_was_cut_off_is_gone_on_with(cast: Cast, photos: Data, at: str) -> None:
    """The last step before the kill is done in part; nothing but the database and the workspace is left of it."""
    trash.delete_data(photos, forever=True)
    photos.files.order_by("pk").first().delete()  # type: ignore[union-attr]
    keys = keys_of(photos)
    if at == "files":
        File.objects.all().delete()
        workspace().delete(keys[0])
    purge.purge()
    assert not Data.everything.exists()
    assert not File.objects.exists()
    assert not any(workspace().exists(key) for key in keys)


def test_what_cannot_be_deleted_keeps_its_row_and_holds_up_nobody(cast: Cast, photos: Data) -> None:
    other = make_data(make_dataset(cast.project, "other"), [("a.png", png())])
    for data in (photos, other):
        trash.delete_data(data, forever=True)
    job = Job.objects.create(project=cast.project, name="classify", slug="classify")
    JobInput.objects.create(job=job, name="images", data=other)  # as if it had been made at the same moment
    purge.purge()
    assert list(Data.everything.all()) == [other]
    assert len(keys_of(other)) == 2


def test_the_trash_of_many_is_listed_in_a_constant_number_of_queries(
    cast: Cast, photos: Data, django_assert_num_queries: Any
) -> None:
    projects = [cast.project]
    for number in range(12):
        project = create_project(cast.alice, name=f"p{number}", description="x", members=[Member("bob", Role.VIEWER)])
        dataset = create_dataset(project, cast.alice, name="one")
        create_raw_data(dataset, cast.alice, name="a")
        trash.delete_dataset(dataset)
        trash.delete_data(create_raw_data(create_dataset(project, cast.alice, name="two"), cast.alice, name="b"))
        projects.append(project)
    with django_assert_num_queries(4):
        assert len(trash.entries(projects)) == 24
