"""What the check offers to mend with one click, and what that does."""

from typing import Any

import pytest
from django.urls import reverse

from datasets.models import Data, File
from datasets.preprocessing.registry import validate_steps
from jobs.checking import preflight
from jobs.checking.findings import Finding
from jobs.models import Job, Training
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.jobs.stage import image_names, make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def found(job: Job, **hyperparameters: Any) -> dict[str, Finding]:
    return {finding.code: finding for finding in preflight.check(job, hyperparameters)}


def fix(cast: Cast, job: Job, code: str, **options: Any) -> Any:
    return api(cast.erin).post(f"/api/v1/jobs/{job.pk}/fix/", {"code": code, **options})


def labels_of(data: Data) -> dict[str, str]:
    return dict(data.files.filter(state=File.State.OK).values_list("name", "label"))


def labelled(cast: Cast, contents: dict[str, tuple[bytes, str]]) -> Data:
    """Images with labels of their own: name -> content and label."""
    files = [(name, content) for name, (content, _label) in contents.items()]
    labels = {name: label for name, (_content, label) in contents.items()}
    return make_data(make_dataset(cast.project, "photos"), files, name="photos", labels=labels)


def test_one_click_leaves_the_images_that_have_one_label_and_drops_the_csv(cast: Cast) -> None:
    rows = right_csv(image_names()[1:]) + "1.png,0\nghost.png,1\n2.png\n"  # 0 has no row, 1 two labels, 2 a bad row too
    labels = make_csv(cast.project, rows)
    job = make_job(cast.project, make_images(cast.project), labels)
    codes = found(job)
    wrong = ("row_without_image", "image_without_row", "contradicting_labels", "bad_row")
    assert all(codes[code].fix_action for code in wrong)
    answer = fix(cast, job, "contradicting_labels")
    assert answer.status_code == 201, answer.json()
    made = Data.objects.get(pk=answer.json()["data"])
    assert (answer.json()["kind"], made.name, made.status) == ("new_data", "train-image-2", "queued")
    assert job.input_ids == {"images": made.pk}
    waiting = found(job)
    assert set(waiting) == {"data_not_completed"}
    refused = api(cast.erin).post("/api/v1/trainings/", {"job": job.pk, "trainings": [{"name": "early"}]})
    assert refused.json()["reason"] == "preflight_failed"
    run_work(made)
    names = image_names()[2:]
    assert labels_of(made) == {name: str(int(name.partition(".")[0]) % 2) for name in names}
    job = Job.objects.get(pk=job.pk)
    assert [code for code, finding in found(job).items() if finding.severity == "error"] == []
    started = api(cast.erin).post("/api/v1/trainings/", {"job": job.pk, "trainings": [{"name": "now"}]})
    assert started.status_code == 201, started.json()


def test_one_click_mends_more_classes_than_a_data_can_have_steps(cast: Cast) -> None:
    names = image_names(80)
    rows = "".join(f"{name},kind {number % 40}\n" for number, name in enumerate(names))
    job = make_job(cast.project, make_images(cast.project, names), make_csv(cast.project, rows + "0.png,kind 7\n"))
    made = Data.objects.get(pk=fix(cast, job, "contradicting_labels").json()["data"])
    assert [step["op"] for step in made.steps] == ["exclude", "relabel_each"]
    run_work(made)
    assert labels_of(made) == {name: f"kind {number % 40}" for number, name in enumerate(names) if number}


def test_a_fix_of_thousands_of_images_is_a_few_steps() -> None:
    from jobs.readers.image_fixes import Mender
    from jobs.readers.image_set import ImageSet

    names = image_names(25_000)
    images = ImageSet(Data(), dict.fromkeys(names, ""), {})
    object.__setattr__(images, "others", {})
    mender = Mender(images, {name: f"kind {int(name[:-4]) % 500}" for name in names[2:]}, is_from_csv=True)
    action = mender.labelled_ones()
    assert action
    steps = validate_steps(action.make_steps())
    assert [(step.op, len(step.values["files"])) for step in steps] == [
        ("exclude", 2),
        ("relabel_each", 10_000),
        ("relabel_each", 10_000),
        ("relabel_each", 4_998),
    ]


def test_images_without_label_are_left_out(cast: Cast) -> None:
    images = make_images(cast.project, labels={name: "a" if int(name[0]) < 5 else "b" for name in image_names()[:8]})
    job = make_job(cast.project, images)
    made = Data.objects.get(pk=fix(cast, job, "image_without_label").json()["data"])
    assert made.steps == [{"op": "exclude", "files": ["10.png", "11.png", "8.png", "9.png"]}]


def test_copies_are_told_by_their_labels_and_each_kind_has_its_fix(cast: Cast) -> None:
    red, blue, grey = png((200, 0, 0)), png((0, 0, 200)), png((90, 90, 90))
    colours = [(9 + number, 9 * number, 200 - number) for number in range(20)]
    contents = {f"{number}.png": (png(colour), "ab"[number % 2]) for number, colour in enumerate(colours)}
    contents |= {"red.png": (red, "a"), "red-too.png": (red, "a")}
    contents |= {"blue.png": (blue, "a"), "blue-too.png": (blue, "b"), "grey.png": (grey, "a")}
    images = labelled(cast, contents)
    job = make_job(cast.project, images)
    codes = found(job)
    assert codes["duplicate"].files == ["red.png", "red-too.png"]
    assert codes["duplicate"].places[1].note == "like red.png; label a"
    assert codes["duplicate_conflict"].files == ["blue.png", "blue-too.png"]
    conflict = codes["duplicate_conflict"].as_dict()["fix_action"]
    assert conflict["steps"] == [{"op": "exclude", "files": ["blue-too.png", "blue.png"]}]
    made = Data.objects.get(pk=fix(cast, job, "duplicate").json()["data"])
    run_work(made)
    left = set(labels_of(made))
    assert set(labels_of(images)) - left == {"blue.png", "blue-too.png", "red-too.png"}


def test_images_that_look_alike_are_told_from_the_profile(cast: Cast) -> None:
    images = make_images(cast.project, labels={name: str(int(name[0]) % 2) for name in image_names()})
    group = {"files": [{"name": "0.png", "label": "0"}, {"name": "2.png", "label": "0"}], "count": 2, "labels": ["0"]}
    images.profile = {"near_duplicates": {"groups": 1, "files": 1, "across_labels": 0, "largest": [group]}}
    images.save()
    finding = found(make_job(cast.project, images))["near_duplicate"]
    assert (finding.severity, finding.files, finding.count) == ("info", ["0.png", "2.png"], 2)
    assert finding.as_dict()["fix_action"]["steps"] == [
        {"op": "drop_duplicates", "near": True, "across_labels": "drop_all"}
    ]


def test_uneven_and_few_images_offer_hyperparameters_until_they_are_taken(cast: Cast) -> None:
    images = labelled(
        cast, {f"{number}.png": (png((number, 90, 200)), "a" if number < 5 else "b") for number in range(24)}
    )
    job = make_job(cast.project, images)
    codes = found(job)
    assert "b, 19 images) has 3.8 times as many images as the smallest (a, 5)" in codes["imbalanced"].message
    assert codes["imbalanced"].as_dict()["fix_action"]["values"] == {"class_weight": "balanced"}
    assert codes["few_images"].as_dict()["fix_action"]["values"] == {"network": "transfer"}
    assert set(found(job, class_weight="balanced", network="transfer")) == {"near_duplicate"}
    answer = fix(cast, job, "imbalanced")
    assert (answer.status_code, answer.json()["hyperparameters"]) == (200, {"class_weight": "balanced"})
    assert (answer.json()["kind"], answer.json()["data"]) == ("hyperparameter", None)


def test_wrong_num_types_is_found_with_its_fix(cast: Cast) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))
    url = f"/api/v1/jobs/{job.pk}/check/"
    asked = {each["code"]: each for each in api(cast.bob).get(url, {"num_types": 5}).json()}
    assert asked["num_types_too_large"]["severity"] == "warning"
    assert asked["num_types_too_large"]["fix_action"]["values"] == {"num_types": 2}
    wider = right_csv(image_names()[:6]) + "".join(f"{name},2\n" for name in image_names()[6:])
    job.inputs.filter(name="labels").update(data=make_csv(cast.project, wider))
    asked = {each["code"]: each for each in api(cast.bob).post(url, {"hyperparameters": {"num_types": 2}}).json()}
    assert asked["num_types_too_small"]["severity"] == "error"
    assert asked["num_types_too_small"]["fix_action"]["values"] == {"num_types": 3}
    wrong = api(cast.bob).post(url, {"hyperparameters": {"num_types": "many"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "invalid_hyperparameters")


def test_what_cannot_be_mended_is_refused_with_the_reason(cast: Cast) -> None:
    job = make_job(cast.project, make_images(cast.project))
    answer = fix(cast, job, "no_labels")
    assert (answer.status_code, answer.json()["reason"]) == (400, "no_fix")
    answer = fix(cast, job, "bad_row")
    assert answer.json()["reason"] == "no_such_finding"
    assert "no_labels" in answer.json()["error"]
    assert Data.objects.filter(kind=Data.Kind.PROCESSED).count() == 0


def test_data_is_not_replaced_under_a_waiting_training(cast: Cast) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv() + "ghost.png,1\n"))
    Training.objects.create(job=job, name="t", slug="t")
    answer = fix(cast, job, "row_without_image")
    assert (answer.status_code, answer.json()["reason"]) == (409, "in_use")
    assert Data.objects.filter(kind=Data.Kind.PROCESSED).count() == 0


def test_page_offers_each_fix_to_editors_and_waits_for_the_data(cast: Cast, client: Any) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv() + "ghost.png,1\n"))
    check = reverse("jobs:check", args=[job.pk])
    client.force_login(cast.bob)
    assert "Train on the 12 images" not in client.get(check).text
    assert client.post(reverse("jobs:fix", args=[job.pk]), {"code": "row_without_image"}).status_code == 403
    client.force_login(cast.erin)
    page = client.get(check).text
    assert "Train on the 12 images that have one label" in page
    assert f"{reverse('jobs:training-create', args=[job.pk])}?network=transfer" in page
    assert client.post(reverse("jobs:fix", args=[job.pk]), {"code": "row_without_image"})["Location"] == reverse(
        "jobs:detail", args=[job.pk]
    )
    waiting = client.get(check).text
    assert "“train-image-2” is being made" in waiting
    assert "every 2s" in waiting
    run_work(Data.objects.get(name="train-image-2"))
    ready = client.get(check).text
    assert "The data is ready: 12 images in 2 classes" in ready
    assert "every 2s" not in ready


def test_form_starts_with_the_hyperparameters_of_the_fix(cast: Cast, client: Any) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv()))
    client.force_login(cast.erin)
    page = client.post(reverse("jobs:fix", args=[job.pk]), {"code": "few_images"}, follow=True)
    (form,) = page.context["formset"].forms
    assert (form["network"].value(), form["epochs"].value()) == ("transfer", "20")
