"""The pages of jobs and trainings."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Job, Training
from tests.cast import Cast, api, make_cast
from tests.jobs.stage import make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db
CODE = {"version": "0123456789ab", "sha256": "c" * 64}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    return make_job(
        cast.project,
        make_images(cast.project),
        make_csv(cast.project, right_csv()),
        class_names={"0": "red", "1": "blue"},
    )


def logged_in(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def column(index: int, **values: Any) -> dict[str, Any]:
    return {f"form-{index}-{name}": value for name, value in values.items()}


def posted(*columns: dict[str, Any], **values: Any) -> dict[str, Any]:
    form = {"instance_kind": "cpu", "instance_count": "1", "form-TOTAL_FORMS": len(columns), "form-INITIAL_FORMS": 0}
    for index, each in enumerate(columns):
        form |= column(index, **each)
    return {**form, **values}


def test_list_shows_jobs_and_finds_them(cast: Cast, job: Job) -> None:
    url = reverse("jobs:list", args=[cast.project.pk])
    viewer = logged_in(cast.bob)
    assert "classify" in viewer.get(url).text
    assert "classify" not in viewer.get(url, {"search": "nothing like it"}).text
    assert "classify" not in viewer.get(url, {"created_before": "2001-01-01"}).text
    assert reverse("jobs:create", args=[cast.project.pk]) not in viewer.get(url).text


def test_basic_job_is_made_of_data_that_were_picked(cast: Cast) -> None:
    images, labels = make_images(cast.project), make_csv(cast.project, right_csv())
    url = reverse("jobs:create-basic", args=[cast.project.pk])
    editor = logged_in(cast.erin)
    assert images.path in editor.get(url, {"images": images.pk}).text
    answer = editor.post(
        url,
        {
            "name": "colours",
            "algorithm": "image_classification",
            "inputs.images": images.pk,
            "inputs.labels": labels.pk,
            "class_names": "0 = red\n\n1=blue = sea\n",
        },
    )
    job = Job.objects.get()
    assert answer["Location"] == reverse("jobs:detail", args=[job.pk])
    assert job.class_names == {"0": "red", "1": "blue = sea"}
    assert job.input_ids == {"images": images.pk, "labels": labels.pk}


def test_wrong_job_form_keeps_what_was_typed_and_marks_the_field(cast: Cast) -> None:
    images = make_images(cast.project)
    url = reverse("jobs:create-basic", args=[cast.project.pk])
    given = {"name": "colours", "algorithm": "image_classification", "inputs.images": images.pk}
    answer = logged_in(cast.erin).post(url, {**given, "class_names": "forest"})
    assert "0=forest; received “forest”" in answer.text
    for kept in ('value="colours"', images.path, ">forest</textarea>", "is-invalid"):
        assert kept in answer.text.replace("\nforest", "forest")
    answer = logged_in(cast.erin).post(url, given)
    assert "needs data for “labels”" in answer.text
    assert not Job.objects.exists()


def test_recommendation_answers_for_the_data_in_the_form(cast: Cast, job: Job) -> None:
    url = reverse("jobs:recommendation", args=[cast.project.pk])
    chosen = {f"inputs.{name}": pk for name, pk in job.input_ids.items()}
    assert "12 images" in logged_in(cast.bob).get(url, chosen).text
    assert logged_in(cast.bob).get(url).text.strip() == ""


def test_check_panel_names_files(cast: Cast) -> None:
    labels = make_csv(cast.project, right_csv() + "ghost.png,1\n")
    job = make_job(cast.project, make_images(cast.project), labels)
    panel = logged_in(cast.bob).get(reverse("jobs:check", args=[job.pk])).text
    assert "ghost.png" in panel
    assert "labels-0.csv, line 13" in panel


def test_edit_changes_what_may_be_changed(cast: Cast, job: Job) -> None:
    url = reverse("jobs:edit", args=[job.pk])
    editor = logged_in(cast.erin)
    assert "0=red" in editor.get(url).text
    inputs = {f"inputs.{name}": pk for name, pk in job.input_ids.items()}
    editor.post(url, {"name": "renamed", "class_names": "1=sea", **inputs})
    job.refresh_from_db()
    assert (job.name, job.class_names) == ("renamed", {"1": "sea"})


def test_training_form_starts_with_defaults_the_classes_and_a_free_name(cast: Cast, job: Job) -> None:
    page = logged_in(cast.erin).get(reverse("jobs:training-create", args=[job.pk])).text
    for start in ('name="form-0-name" value="classify-1"', 'name="form-0-num_types" value="2"', 'value="100"'):
        assert start in page
    assert 'name="form-__prefix__-batch_size"' in page


def test_several_columns_start_several_trainings(cast: Cast, job: Job) -> None:
    url = reverse("jobs:training-create", args=[job.pk])
    answer = logged_in(cast.erin).post(url, posted({"name": "a", "epochs": "3"}, {"name": "b", "epochs": "4"}))
    assert answer["Location"] == reverse("jobs:detail", args=[job.pk])
    assert dict(Training.objects.values_list("name", "hyperparameters__epochs")) == {"a": 3, "b": 4}


def test_defaults_of_another_network_are_not_sent_on(cast: Cast, job: Job) -> None:
    """Without the script a column goes on showing the defaults of the network that it began with."""
    url = reverse("jobs:training-create", args=[job.pk])
    shown = {"defaults_of": "original", "epochs": "100", "batch_size": "7", "filter_num1": "20"}
    chosen = {"defaults_of": "transfer", "epochs": "100"}
    columns = posted({"name": "a", "network": "transfer", **shown}, {"name": "b", "network": "transfer", **chosen})
    logged_in(cast.erin).post(url, columns)
    first, second = (Training.objects.get(name=name).hyperparameters for name in "ab")
    assert (first["epochs"], first["batch_size"]) == (20, 7)
    assert "filter_num1" not in first
    assert second["epochs"] == 100


def test_wrong_columns_keep_what_was_typed_and_mark_each_its_field(cast: Cast, job: Job) -> None:
    url = reverse("jobs:training-create", args=[job.pk])
    columns = posted({"name": "a", "epochs": "3"}, {"name": "a", "epochs": "many"}, {"name": "c", "num_types": "1"})
    answer = logged_in(cast.erin).post(url, columns)
    assert answer.status_code == 200
    formset = answer.context["formset"]
    assert [set(form.errors) for form in formset] == [{"name"}, {"name", "epochs"}, {"num_types"}]
    assert 'value="many"' in answer.text
    assert answer.text.count("is-invalid") >= 3
    assert not Training.objects.exists()


def test_gpu_that_is_not_there_marks_the_instance(cast: Cast, job: Job) -> None:
    url = reverse("jobs:training-create", args=[job.pk])
    answer = logged_in(cast.erin).post(url, posted({"name": "a"}, instance_kind="gpu", instance_count="64"))
    assert "GPU" in answer.context["form"].errors["instance_kind"][0]


def test_failed_check_is_shown_with_its_files(cast: Cast) -> None:
    labels = make_csv(cast.project, right_csv() + "ghost.png,1\n")
    job = make_job(cast.project, make_images(cast.project), labels)
    answer = logged_in(cast.erin).post(reverse("jobs:training-create", args=[job.pk]), posted({"name": "a"}))
    assert "ghost.png" in answer.text
    assert "preflight_failed" in answer.text


def queued(cast: Cast, job: Job) -> Training:
    api(cast.erin).post("/api/v1/trainings/", {"job": job.pk, "trainings": [{"name": "first"}]})
    return Training.objects.get()


def test_training_pages_poll_until_the_end_and_offer_deploy_with_a_model(cast: Cast, job: Job) -> None:
    training = queued(cast, job)
    editor = logged_in(cast.erin)
    page = reverse("jobs:training", args=[training.pk])
    status = reverse("jobs:training-status", args=[training.pk])
    deploy = f"{reverse('deployments:create', args=[cast.project.pk])}?training={training.pk}"
    assert "every 2s" in editor.get(status).text
    assert "Waiting for" in editor.get(page).text
    assert deploy not in editor.get(page).text
    trainings = editor.get(reverse("jobs:trainings", args=[job.pk]), headers={"HX-Request": "true"}).text
    assert "every 2s" in trainings
    assert 'id="job-status" hx-swap-oob="true"' in trainings
    editor.post(reverse("jobs:training-stop", args=[training.pk]))
    training.refresh_from_db()
    assert training.status == "cancelled"
    training.export_key = f"{training.files_key}/export/1"
    training.labels = [{"label": 0, "class_name": "red"}]
    training.record_of_run = {
        "data": {"images": "abc123"},
        "attempts": {"1": {"code": CODE, "packages": {"keras": "3"}}},
    }
    training.save()
    ended = editor.get(status).text
    assert "every 2s" not in ended
    assert deploy in ended
    assert reverse("jobs:training-resume", args=[training.pk]) in ended
    details = editor.get(page, {"tab": "details"}).text
    for shown in ("saved_model.pb", "red", "filter_num6"):
        assert shown in details
    record = editor.get(page, {"tab": "record"}).text
    for shown in ("abc123", "0123456789ab", "Keras", "Filters of block 6"):
        assert shown in record
    assert editor.get(page, {"tab": "log"}).status_code == 200


def test_failure_is_shown_with_its_cause(cast: Cast, job: Job) -> None:
    training = queued(cast, job)
    lease = training.claim()
    assert lease
    training.fail(lease, "The loss became NaN. Lower the learning rate.", reason="diverged")
    assert "Lower the learning rate" in logged_in(cast.bob).get(reverse("jobs:training", args=[training.pk])).text


def test_deleting_goes_through_a_post_and_is_refused_while_it_runs(cast: Cast, job: Job) -> None:
    training = queued(cast, job)
    editor = logged_in(cast.erin)
    delete = reverse("jobs:training-delete", args=[training.pk])
    assert editor.get(delete).status_code == 405
    assert editor.post(delete).status_code == 409
    editor.post(reverse("jobs:training-stop", args=[training.pk]))
    assert editor.post(delete)["Location"] == reverse("jobs:detail", args=[job.pk])
    assert editor.post(reverse("jobs:delete", args=[job.pk]))["Location"] == reverse(
        "jobs:list", args=[cast.project.pk]
    )
    assert not Job.objects.exists()


def test_every_page_is_closed_to_strangers_and_writing_ones_to_viewers(cast: Cast, job: Job) -> None:
    training = queued(cast, job)
    from jobs.urls import urlpatterns

    for each in urlpatterns:
        name = f"jobs:{each.name}"
        if not str(each.pattern).startswith(("projects/", "jobs/", "trainings/")) or each.name in OF_A_MODEL:
            continue  # walked with all others in tests/site/test_access_walk.py
        if "project_pk" in str(each.pattern):
            url = reverse(name, args=[cast.project.pk])
        else:
            url = reverse(name, args=[training.pk if str(each.pattern).startswith("trainings/") else job.pk])
        method = "post" if each.name in WRITING else "get"
        assert getattr(logged_in(cast.charlie), method)(url).status_code == 404, url
        viewer = getattr(logged_in(cast.bob), method)(url)
        assert viewer.status_code == (403 if each.name in WRITING | FORMS else 200), url


OF_A_MODEL = {"model", "card"}
WRITING = {"delete", "fix", "estimate", "training-stop", "training-resume", "training-delete"}
FORMS = {"create", "create-basic", "create-custom", "edit", "training-create", "training-again", "evaluation-create"}
