"""Who may make, see, change and delete projects over the API."""

import pytest

from deployments.models import PredictionJob
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.models import Job, JobInput, Training
from projects.models import Project
from projects.trash import purge
from tests.cast import api, make_cast, make_data, make_dataset, make_user, png
from tests.deployments.parts import deployment_row

pytestmark = pytest.mark.django_db
URL = "/api/v1/projects/"


def test_creator_becomes_owner_and_path_is_the_originals() -> None:
    alice = make_user("alice")
    made = api(alice).post(URL, {"name": "Image classification", "description": "demo project"})
    assert made.status_code == 201, made.json()
    assert made.json()["members"] == [{"username": "alice", "role": "owner"}]
    assert made.json()["path"] == f"/mnt/project/image-classification_{made.json()['id']}_alice"


def test_members_are_taken_with_their_roles() -> None:
    alice, _bob = make_user("alice"), make_user("bob")
    made = api(alice).post(URL, {"name": "x", "description": "y", "members": [{"username": "bob", "role": "viewer"}]})
    assert {"username": "bob", "role": "viewer"} in made.json()["members"]


def test_unknown_member_is_named_and_nothing_is_made() -> None:
    made = api(make_user("alice")).post(
        URL, {"name": "x", "description": "y", "members": [{"username": "nobody", "role": "viewer"}]}
    )
    assert made.status_code == 400
    assert made.json()["reason"] == "unknown_user"
    assert "nobody" in made.json()["error"]
    assert not Project.objects.exists()


def test_missing_fields_are_named() -> None:
    made = api(make_user("alice")).post(URL, {"name": ""})
    assert made.status_code == 400
    assert set(made.json()["details"]["fields"]) == {"name", "description"}


def test_only_members_see_a_project() -> None:
    cast = make_cast()
    assert api(cast.bob).get(URL).json()["count"] == 1
    assert api(cast.charlie).get(URL).json()["count"] == 0
    assert api(cast.charlie).get(f"{URL}{cast.project.pk}/").status_code == 404
    assert api(None).get(URL).status_code == 401


def test_an_operator_sees_only_its_own_projects_outside_the_admin() -> None:
    cast = make_cast()
    operator = make_user("root", is_superuser=True, is_staff=True)
    assert api(operator).get(f"{URL}{cast.project.pk}/").status_code == 404


def test_only_owners_change_and_delete_a_project() -> None:
    cast = make_cast()
    url = f"{URL}{cast.project.pk}/"
    for user, status in ((cast.charlie, 404), (cast.bob, 403), (cast.erin, 403)):
        assert api(user).patch(url, {"name": "mine"}).status_code == status
        assert api(user).delete(url).status_code == status
    assert api(cast.alice).patch(url, {"name": "Renamed"}).json()["name"] == "Renamed"
    assert api(cast.alice).delete(url).status_code == 204


def test_a_rename_never_moves_the_files() -> None:
    cast = make_cast()
    before = cast.project.files_key
    api(cast.alice).patch(f"{URL}{cast.project.pk}/", {"name": "Something else"})
    cast.project.refresh_from_db()
    assert cast.project.files_key == before


def test_the_last_owner_stays() -> None:
    cast = make_cast()
    answer = api(cast.alice).patch(f"{URL}{cast.project.pk}/", {"members": [{"username": "alice", "role": "viewer"}]})
    assert answer.json()["reason"] == "no_owner"
    assert cast.project.memberships.filter(role="owner").exists()


def test_the_same_idempotency_key_makes_one_project() -> None:
    client = api(make_user("alice"))
    answers = [
        client.post(URL, {"name": "x", "description": "y"}, headers={"Idempotency-Key": "one"}).json() for _ in range(2)
    ]
    assert answers[0]["id"] == answers[1]["id"]
    assert Project.objects.count() == 1


def test_deleting_a_project_deletes_all_that_is_in_it() -> None:
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    job = Job.objects.create(project=cast.project, name="job", slug="job")
    JobInput.objects.create(job=job, name="images", data=data)
    training = Training.objects.create(job=job, name="training", slug="training", status=Status.COMPLETED)
    deployment = deployment_row(training, wanted="stopped", status="stopped")
    PredictionJob.objects.create(
        deployment=deployment,
        version=deployment.version,
        data=data,
        name="prediction",
        slug="prediction",
        status=Status.COMPLETED,
    )
    thumbnail = data.files.get().thumbnail_key
    assert workspace().exists(thumbnail)
    assert api(cast.alice).delete(f"{URL}{cast.project.pk}/?forever=true").status_code == 204
    assert not Project.objects.exists()
    purge()
    assert not Project.everything.exists()
    assert not workspace().exists(thumbnail)
    assert not list(workspace().keys("project"))


def test_a_project_is_not_deleted_while_something_in_it_runs() -> None:
    cast = make_cast()
    job = Job.objects.create(project=cast.project, name="job", slug="job")
    Training.objects.create(job=job, name="busy", slug="busy", status=Status.RUNNING)
    answer = api(cast.alice).delete(f"{URL}{cast.project.pk}/")
    assert (answer.status_code, answer.json()["reason"]) == (409, "in_use")
    assert "busy" in answer.json()["error"]
