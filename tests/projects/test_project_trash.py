"""A deleted project is out of everybody's sight, and can be taken back by its owners."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets import purge as purge_data
from datasets.trash import delete_data
from deployments import authentication
from deployments.models import Deployment
from deployments.servers import ModelServers
from deployments.tokens import create_token
from dlmodeler_site.errors import Conflict
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.definition import JobDraft, create_job
from jobs.models import Job, Training
from projects import trash
from projects.members import create_project
from projects.models import Project
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png
from tests.deployments.parts import deployment_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def make_deployment(cast: Cast, **values: Any) -> Deployment:
    job = Job.objects.create(project=cast.project, name="job", slug="job")
    training = Training.objects.create(job=job, name="training", slug="training", status=Status.COMPLETED)
    return deployment_row(training, **values)


def test_a_deleted_project_is_seen_by_nobody_and_comes_back_whole(cast: Cast) -> None:
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    file = data.files.get()
    seen = [
        reverse("api-project-detail", args=[cast.project.pk]),
        reverse("api-dataset-detail", args=[data.dataset_id]),
        reverse("api-data-detail", args=[data.pk]),
        reverse("api-file-content", args=[file.pk]),
        reverse("datasets:list", args=[cast.project.pk]),
        reverse("datasets:trash", args=[cast.project.pk]),
    ]
    people = (cast.alice, cast.bob)

    def statuses() -> set[int]:
        return {
            (api(user) if url.startswith("/api/") else browser(user)).get(url).status_code
            for user in people
            for url in seen
        }

    assert statuses() == {200}
    assert api(cast.alice).delete(seen[0]).status_code == 204
    assert statuses() == {404}
    for user in people:
        assert api(user).get(reverse("api-project-list")).json()["count"] == 0
        assert api(user).get(reverse("api-data-list")).json()["count"] == 0
        assert "Landscapes" not in browser(user).get(reverse("projects:list")).text
    (entry,) = api(cast.alice).get(reverse("api-trash-projects")).json()["results"]
    expected = {"kind": "project", "name": "Landscapes", "deleted_by": "alice", "contents": 1}
    assert expected.items() <= entry.items()
    assert entry["size_bytes"] == data.disk_bytes
    assert api(cast.bob).get(reverse("api-trash-projects")).json()["count"] == 0
    restored = api(cast.alice).post(reverse("api-trash-project-restore", args=[cast.project.pk]))
    assert restored.json()["members"][0] == {"username": "alice", "role": "owner"}
    assert statuses() == {200}


def test_only_owners_restore_and_delete_for_ever(cast: Cast) -> None:
    trash.delete_project(cast.project)
    calls = [
        ("post", reverse("api-trash-project-restore", args=[cast.project.pk])),
        ("delete", reverse("api-trash-project", args=[cast.project.pk])),
    ]
    for method, url in calls:
        assert [getattr(api(user), method)(url).status_code for user in (cast.charlie, cast.erin)] == [404, 403]
    browser(cast.erin).post(reverse("projects:trash-empty"))
    assert Project.everything.get() == trash.trashed_projects(cast.alice).get()
    client = browser(cast.alice)
    assert "Landscapes" in client.get(reverse("projects:trash")).text
    client.post(reverse("projects:restore", args=[cast.project.pk]))
    assert Project.objects.get() == cast.project


def test_the_deployments_of_a_deleted_project_answer_no_more(cast: Cast) -> None:
    deployment = make_deployment(cast, wanted="stopped", status="stopped")
    _token, text = create_token(deployment, name="first", creator=cast.alice)

    def opened() -> bool:
        authentication._remembered.clear()
        return authentication.opened_by(deployment.pk, text) is not None

    assert opened()
    trash.delete_project(cast.project)
    assert not opened()
    Deployment.objects.update(wanted="running", status="active")  # as if it had been started at the same moment
    servers = ModelServers()
    servers.reconcile()
    assert servers.pid_of(deployment) is None
    deployment.refresh_from_db()
    assert deployment.status == "stopped"
    trash.restore_project(cast.project)
    assert opened()


def test_what_runs_is_stopped_before_the_project_is_deleted(cast: Cast) -> None:
    make_deployment(cast, wanted="running", status="active")
    shown = browser(cast.alice).get(reverse("projects:delete", args=[cast.project.pk])).text
    assert "deployment “deployment”" in shown
    answer = api(cast.alice).delete(reverse("api-project-detail", args=[cast.project.pk]))
    assert (answer.status_code, answer.json()["reason"]) == (409, "in_use")


def test_nothing_is_made_in_a_deleted_project_and_its_name_is_free(cast: Cast) -> None:
    trash.delete_project(cast.project)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        create_job(cast.project, cast.alice, JobDraft(name="x", kind="custom"))
    assert create_project(cast.alice, name="Landscapes", description="x").slug == cast.project.slug


def test_a_project_leaves_nothing_behind_when_its_time_is_over(cast: Cast) -> None:
    data = make_data(make_dataset(cast.project), [("a.png", png())])
    old = make_data(make_dataset(cast.project, "old"), [("a.png", png())])
    delete_data(old)
    make_deployment(cast, wanted="stopped", status="stopped")
    thumbnails = [each.thumbnails_key for each in (data, old)]
    trash.delete_project(cast.project)
    purge_data.purge()
    trash.purge()
    assert Project.everything.exists()
    assert all(list(workspace().keys(key)) for key in thumbnails)
    over = timezone.now() - timedelta(days=settings.DLM_TRASH_DAYS, seconds=1)
    Project.everything.update(deleted_at=over)
    trash.purge()
    assert not Project.everything.exists()
    assert not Deployment.objects.exists()
    assert not any(list(workspace().keys(key)) for key in (*thumbnails, "project"))
