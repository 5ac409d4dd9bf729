"""Deleting data in the admin goes the way that pages and API go."""

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.urls import reverse

from datasets.models import Data, Dataset
from datasets.trash import entries
from datasets.versions import preprocess_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import make_cast, make_data, make_dataset, make_user, png, run_work

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(make_user("operator", is_staff=True, is_superuser=True))
    return client


def test_operator_moves_a_dataset_to_the_trash(operator: Client) -> None:
    data = make_data(make_dataset(make_cast().project), [("a.png", png())])
    key = data.files.get().key_in(data)
    assert workspace().exists(key)
    url = reverse("admin:datasets_dataset_delete", args=[data.dataset_id])
    assert operator.get(url).status_code == 200
    operator.post(url, {"post": "yes"})
    assert not Dataset.objects.exists()
    assert [entry.deleted_by for entry in entries([data.project])] == ["operator"]
    assert workspace().exists(key)


def test_the_audit_log_takes_no_large_json() -> None:
    cast = make_cast()
    data = make_data(make_dataset(cast.project), [(f"{n}.png", png((n * 20, 90, 0))) for n in range(9)])
    steps = [{"op": "exclude", "files": ["7.png", "8.png"]}]
    made = run_work(preprocess_data(data, cast.alice, name="less", steps=steps))
    assert (made.file_count, made.profile["files"]) == (7, 7)
    made.description = "Without the worst"
    made.save()
    Data.objects.filter(pk=made.pk).delete()
    recorded = {field for entry in LogEntry.objects.filter(content_type__model="data") for field in entry.changes}
    assert {"name", "description", "file_count", "status"} <= recorded
    assert not recorded & {"profile", "steps", "selections", "source_keys", "source_options"}


def test_what_is_at_work_stays_and_says_why(operator: Client) -> None:
    data = make_data(make_dataset(make_cast().project), [("a.png", png())])
    Data.objects.update(status=Status.RUNNING)
    url = reverse("admin:datasets_data_delete", args=[data.pk])
    answer = operator.post(url, {"post": "yes"}, follow=True)
    assert data.name in answer.text
    assert "was moved" not in answer.text
    action = {"action": "delete_selected", "_selected_action": data.pk, "post": "yes"}
    answer = operator.post(reverse("admin:datasets_data_changelist"), action, follow=True)
    assert "queued or running" in answer.text
    assert "was moved" not in answer.text
    assert Data.objects.filter(pk=data.pk).exists()
