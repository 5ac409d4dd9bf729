"""Jobs on tables: from the form over the check and the training to predictions of rows."""

import csv
import io
import random
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Data
from deployments.deploy import create_deployment
from deployments.models import PredictionJob
from jobs.models import Estimate, Job, JobInput, Training
from tests.cast import Cast, api, make_cast, make_data, make_dataset, run_work
from tests.deployments.parts import activate, keeper

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def table(columns: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def fruit(rows: int = 120, *, seed: int = 1) -> dict[str, list[Any]]:
    """Apples are red and heavy, pears green and light."""
    chance = random.Random(seed)
    kinds = [("apple", "pear")[index % 2] for index in range(rows)]
    weights = [round(chance.gauss(200 if kind == "apple" else 120, 20), 3) for kind in kinds]
    colours = ["red" if (kind == "apple") != (chance.random() < 0.05) else "green" for kind in kinds]
    return {"weight": weights, "colour": colours, "fruit": kinds}


def make_table(cast: Cast, *contents: bytes, name: str = "fruit") -> Data:
    files = [(f"{name}-{index}.csv", content) for index, content in enumerate(contents)]
    return make_data(make_dataset(cast.project, name), files, name=name)


def make_job(cast: Cast, data: Data) -> Job:
    job = Job.objects.create(project=cast.project, name="fruit", slug="fruit", algorithm="tabular")
    JobInput.objects.create(job=job, name="table", data=data)
    return job


def check(cast: Cast, job: Job, **hyperparameters: Any) -> dict[str, dict[str, Any]]:
    url = f"/api/v1/jobs/{job.pk}/check/"
    answer = api(cast.bob).post(url, {"hyperparameters": hyperparameters}, format="json")
    assert answer.status_code == 200, answer.json()
    return {finding["code"]: finding for finding in answer.json()}


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_sound_table_passes_and_others_are_told_what_is_wrong(cast: Cast) -> None:
    assert check(cast, make_job(cast, make_table(cast, table(fruit()))), target="fruit") == {}


@pytest.mark.parametrize(
    ("changes", "code", "severity", "words"),
    [
        ({"same": ["x"] * 120}, "constant_column", "warning", "“same” has the same value"),
        ({"gap": ["", *[""] * 114, *"abcde"]}, "mostly_missing", "warning", "“gap” is mostly empty"),
        ({"none": [""] * 120}, "empty_column", "warning", "“none” is empty"),
        ({"fruit id": list(range(120))}, "id_like_column", "warning", "“fruit id” has another value"),
    ],
)
def test_columns_that_teach_nothing_are_named(
    cast: Cast, changes: dict[str, list[Any]], code: str, severity: str, words: str
) -> None:
    found = check(cast, make_job(cast, make_table(cast, table(changes | fruit()))))
    assert found[code]["severity"] == severity
    assert words in found[code]["message"]


@pytest.mark.parametrize(
    ("target", "given", "code", "severity"),
    [
        ("size", {}, "no_such_column", "error"),
        ("same", {}, "one_class", "error"),
        ("note", {"task": "classification"}, "too_many_classes", "error"),
        ("fruit", {"task": "regression"}, "target_is_no_number", "error"),
        ("gap", {}, "target_missing", "warning"),
        ("sort", {}, "leakage", "warning"),
        ("rare", {}, "tiny_class", "warning"),
        ("rare", {}, "uneven_classes", "warning"),
    ],
)
def test_what_does_not_fit_the_target_is_told(
    cast: Cast, target: str, given: dict[str, Any], code: str, severity: str
) -> None:
    kinds = fruit()["fruit"]
    more = {
        "same": ["x"] * 120,
        "note": [f"note {index}" for index in range(120)],
        "gap": ["", *kinds[1:]],
        "sort": [{"apple": 1, "pear": 2}[kind] for kind in kinds],
        "rare": ["rare"] * 3 + ["often"] * 117,
    }
    job = make_job(cast, make_table(cast, table(more | fruit())))
    finding = check(cast, job, target=target, **given)[code]
    assert finding["severity"] == severity
    if severity == "error":
        request = {"job": job.pk, "trainings": [{"name": "a", "hyperparameters": {"target": target, **given}}]}
        refused = api(cast.erin).post("/api/v1/trainings/", request, format="json")
        assert refused.status_code == 400
        assert finding["message"] in refused.json()["error"]


def test_copies_and_too_few_rows_are_counted(cast: Cast) -> None:
    rows = table(fruit(8))
    found = check(cast, make_job(cast, make_table(cast, rows + rows.split(b"\r\n")[1] + b"\r\n")))
    assert found["too_few_rows"]["message"] == "The table has 9 rows; at least 10 are needed."
    assert found["duplicate_rows"]["message"] == "1 row is the same as another."


def test_a_file_with_other_columns_is_left_out_with_one_click(cast: Cast) -> None:
    data = make_table(cast, table(fruit()), table(fruit(seed=2)), b"a,b\n1,2\n")
    job = make_job(cast, data)
    finding = check(cast, job)["different_columns"]
    assert finding["places"] == [{"name": "fruit-2.csv", "note": "lacks weight, colour, fruit; adds a, b"}]
    fixed = api(cast.erin).post(f"/api/v1/jobs/{job.pk}/fix/", {"code": "different_columns"}, format="json")
    assert fixed.status_code == 201, fixed.json()
    made = run_work(Data.objects.get(pk=fixed.json()["data"]))
    assert sorted(made.files.values_list("name", flat=True)) == ["fruit-0.csv", "fruit-1.csv"]
    assert "different_columns" not in check(cast, job)


def test_tables_are_recommended_with_the_likely_target_and_labels_of_images_are_not(cast: Cast) -> None:
    data = make_table(cast, table(fruit()))
    url = "/api/v1/algorithms/recommend/"
    (found,) = api(cast.bob).post(url, {"project": cast.project.pk, "data": [data.pk]}).json()["results"]
    assert (found["algorithm"], found["inputs"]) == ("tabular", {"table": data.pk})
    assert found["hyperparameters"]["target"] == "fruit"
    for words in ("120 rows", "2 columns: 1 of numbers, 1 of texts", "2 different values: a classification"):
        assert words in found["reason"]
    labels = make_table(cast, b"filename,label\n0.jpg,1\n1.jpg,0\n" + b"2.jpg,1\n" * 20, name="labels")
    assert api(cast.bob).post(url, {"project": cast.project.pk, "data": [labels.pk]}).json()["results"] == []


def test_the_job_form_shows_what_the_algorithm_reads_and_the_training_form_the_columns(cast: Cast) -> None:
    data = make_table(cast, table(fruit()))
    editor = logged_in(cast.erin)
    fields = reverse("jobs:data-fields", args=[cast.project.pk])
    shown = editor.get(fields, {"algorithm": "tabular", "inputs.table": str(data.pk)}).text
    assert data.path in shown
    assert "inputs.images" not in shown
    assert "class_names" not in shown
    assert "inputs.images" in editor.get(fields, {"algorithm": "image_classification"}).text
    url = reverse("jobs:create-basic", args=[cast.project.pk])
    missing = editor.post(url, {"name": "fruit", "algorithm": "tabular"}).text
    assert "needs data for “table”" in missing
    editor.post(url, {"name": "fruit", "algorithm": "tabular", "inputs.table": data.pk})
    job = Job.objects.get()
    assert job.input_ids == {"table": data.pk}
    panel = logged_in(cast.bob).get(reverse("jobs:check", args=[job.pk])).text
    assert "120 rows of 3 columns" in panel
    form = editor.get(reverse("jobs:training-create", args=[job.pk])).text
    assert '<option value="fruit" selected>' in form
    assert '<option value="weight">' in form


@pytest.mark.parametrize("target", ["fruit", "weight"])
def test_life_cycle(cast: Cast, target: str) -> None:
    """csv -> job -> training -> deployment -> rows, csv and a prediction job."""
    data = make_table(cast, table(fruit()))
    job = make_job(cast, data)
    given = {"target": target, "epochs": 2, "hidden_units": 8}
    request = {"job": job.pk, "trainings": [{"name": f"of {target}", "hyperparameters": given}]}
    made = api(cast.erin).post("/api/v1/trainings/", request, format="json")
    assert made.status_code == 201, made.json()
    training = run_work(Training.objects.get())
    assert training.status == "completed", (training.error, training.error_reason)
    is_regression = target == "weight"
    told = api(cast.bob).get(f"/api/v1/trainings/{training.pk}/").json()
    assert told["labels"] == (
        [] if is_regression else [{"label": name, "class_name": name} for name in ("apple", "pear")]
    )
    title, value = training.scores[0]
    assert title == ("R²" if is_regression else "Accuracy")
    assert value is not None
    assert value > (0.3 if is_regression else 0.8)
    for page in (reverse("jobs:training", args=[training.pk]), reverse("jobs:detail", args=[job.pk])):
        assert title in logged_in(cast.bob).get(page).text
    deployment = create_deployment(training, name=f"{target} deployed", creator=cast.alice)
    with keeper() as servers:
        activate(servers, deployment)
        row = {"weight": 210, "colour": "red", "fruit": "apple"}
        sample = api(cast.bob).post(f"/api/v1/deployments/{deployment.pk}/sample/", {"row": row}, format="json").json()
        (prediction,) = sample["predictions"]
        assert 100 < prediction["value"] < 300 if is_regression else prediction["label"] == "apple"
    job_url = "/api/v1/predictions/"
    body = {"deployment": deployment.pk, "name": "all", "data": data.pk}
    predicted = PredictionJob.objects.get(pk=api(cast.erin).post(job_url, body).json()["id"])
    run_work(predicted)
    assert (predicted.status, predicted.row_count, predicted.failed_count) == ("completed", 120, 0)
    if not is_regression:
        right = sum(
            label == kind
            for label, kind in zip(predicted.predictions.values_list("label", flat=True), fruit()["fruit"], strict=True)
        )
        assert right > 100


def test_a_probe_foretells_a_training_of_all_rows_from_some(cast: Cast) -> None:
    job = make_job(cast, make_table(cast, table(fruit(30_000))))
    url = f"/api/v1/jobs/{job.pk}/estimate/"
    given = {"target": "fruit", "epochs": 50, "hidden_units": 8}
    assert api(cast.erin).post(url, {"hyperparameters": given}, format="json").status_code == 202
    estimate = run_work(Estimate.objects.get())
    assert estimate.status == "completed", estimate.error
    parts = estimate.details["parts"]
    assert set(parts) == {"start", "preparing", "training", "export", "measuring"}
    assert estimate.seconds == pytest.approx(sum(parts.values()), abs=0.2)
    assert 10_000 <= estimate.details["samples"] < 10_020
    assert 2e8 < (estimate.memory_bytes or 0) < 3e9
    api(cast.erin).post(url, {"hyperparameters": given | {"epochs": 5000}}, format="json")
    longer = run_work(Estimate.objects.exclude(pk=estimate.pk).get())
    assert longer.details["parts"]["training"] > 10 * parts["training"]
    request = {"job": job.pk, "trainings": [{"name": "foretold", "hyperparameters": given}]}
    api(cast.erin).post("/api/v1/trainings/", request, format="json")
    assert Training.objects.get().estimate == {"seconds": estimate.seconds, "memory_bytes": estimate.memory_bytes}
    assert 'name="form-0-estimate"' in logged_in(cast.erin).get(reverse("jobs:training-create", args=[job.pk])).text


def test_a_small_table_is_probed_as_a_whole(cast: Cast) -> None:
    job = make_job(cast, make_table(cast, table(fruit(14))))
    given = {"target": "weight", "epochs": 2, "validation_split": 0}
    api(cast.erin).post(f"/api/v1/jobs/{job.pk}/estimate/", {"hyperparameters": given}, format="json")
    estimate = run_work(Estimate.objects.get())
    assert (estimate.status, estimate.error, estimate.details.get("samples")) == ("completed", "", 14)
