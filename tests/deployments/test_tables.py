"""Deployments of models that read tables: REST, prediction jobs, pages."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Data
from deployments import authentication
from deployments.deploy import create_deployment
from deployments.models import Deployment, Prediction, PredictionJob
from dlmodeler_site.errors import UserError
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png, run_work
from tests.deployments.parts import RED, activate, keeper, make_table_training, make_training, token_of
from tests.deployments.table_bundles import REGRESSION, make_table_bundle

pytestmark = pytest.mark.django_db
CSV = b"size,colour,fresh\n1,red,yes\n25,green,no\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table_bundle(tmp_path_factory.mktemp("table") / "b")


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table_bundle(tmp_path_factory.mktemp("values") / "b", **REGRESSION)


@pytest.fixture
def cast() -> Cast:
    authentication._remembered.clear()
    return make_cast()


def deploy(cast: Cast, bundle: Path, **values: Any) -> Deployment:
    return create_deployment(make_table_training(cast, bundle, **values), name="fruit", creator=cast.alice)


def ask(deployment: Deployment, body: Any, content_type: str, query: str = "", **headers: str) -> Any:
    client = Client(headers={"token": token_of(deployment), **headers})
    return client.post(f"/d/{deployment.pk}/predict{query}", body, content_type=content_type)


def make_table(cast: Cast, content: bytes = CSV, name: str = "fruit.csv") -> Data:
    return make_data(make_dataset(cast.project, name), [(name, content)], name=name)


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_rows_are_predicted_over_rest_in_every_way(cast: Cast, bundle: Path) -> None:
    deployment = deploy(cast, bundle)
    row = {"size": 1, "colour": "red", "fresh": None, "note": "x"}
    with keeper() as servers:
        activate(servers, deployment)
        answer = ask(deployment, {"rows": [row]}, "application/json").json()
        assert answer["predictions"][0]["label"] == "apple"
        assert (answer["ignored_columns"], answer["model"]["algorithm"]) == (["note"], "tabular")
        instances = {"instances": [row, [3, "blue", ""]]}
        client = Client(headers={"token": token_of(deployment)})
        answer = client.post(f"/d/{deployment.pk}:predict?top_k=1", instances, content_type="application/json").json()
        assert [each["label"] for each in answer["predictions"]] == ["apple", "pear"]

        text = ask(deployment, CSV, "text/csv")
        assert (text["Content-Type"], text.text) == ("text/plain; charset=utf-8", '["apple", "pear"]')
        table = ask(deployment, CSV, "text/csv", accept="text/csv")
        assert table["Content-Type"] == "text/csv; charset=utf-8"
        assert table.text.splitlines() == [
            "size,colour,fresh,prediction,class_name,probability",
            "1,red,yes,apple,apple,0.9",
            "25,green,no,pear,pear,0.8",
        ]
        file = io.BytesIO(CSV)
        file.name = "fruit.csv"
        sent = client.post(f"/d/{deployment.pk}/predict", {"input": file})
        assert sent.text == '["apple", "pear"]'

        image = ask(deployment, png(RED), "image/png")
        assert (image.status_code, image.json()["reason"]) == (415, "unsupported_media_type")
        assert '{"rows": [...]}' in image.json()["error"]
        photo = io.BytesIO(png(RED))
        photo.name = "photo.png"
        assert client.post(f"/d/{deployment.pk}/predict", {"input": photo}).status_code == 415
        missing = ask(deployment, b"size\n1\n", "text/csv")
        assert (missing.status_code, missing.json()["details"]["missing"]) == (400, ["colour"])
        wrong = ask(deployment, CSV, "text/csv", "?format=xml").json()["error"]
        assert wrong == "format must be one of json, csv, text; received “xml”."
        metadata = client.get(f"/d/{deployment.pk}/metadata").json()
        assert [column["name"] for column in metadata["input"]["columns"]] == ["size", "colour", "fresh"]


@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_a_regression_answers_values(cast: Cast, regression: Path) -> None:
    deployment = deploy(cast, regression)
    with keeper() as servers:
        activate(servers, deployment)
        assert ask(deployment, CSV, "text/csv").text == "[100.1, 2.5]"
        assert ask(deployment, CSV, "text/csv", "?format=json").json()["predictions"] == [
            {"value": 100.1},
            {"value": 2.5},
        ]
        assert ask(deployment, CSV, "text/csv", "?format=csv").text.splitlines()[1] == "1,red,yes,100.1"


@pytest.mark.urls("dlmodeler_site.serving_urls")
def test_a_table_sent_to_a_model_of_images_is_refused(cast: Cast, tmp_path: Path) -> None:
    deployment = create_deployment(make_training(cast, tmp_path), name="photos", creator=cast.alice)
    with keeper() as servers:
        activate(servers, deployment)
        for body, kind in ((CSV, "text/csv"), ({"rows": [{"size": 1}]}, "application/json")):
            answer = ask(deployment, body, kind)
            assert (answer.status_code, answer.json()["reason"]) == (415, "unsupported_media_type")
            assert "image" in answer.json()["error"]


def test_the_api_tells_columns_and_task_and_predicts_samples(cast: Cast, bundle: Path) -> None:
    deployment, data = deploy(cast, bundle), make_table(cast)
    url = f"/api/v1/deployments/{deployment.pk}/"
    told = api(cast.bob).get(url).json()
    assert (told["task"], told["input"]["kind"], told["input"]["shape"]) == ("classification", "table", [None, 3])
    assert told["input"]["columns"][0] == {"name": "size", "type": "number", "examples": ["1.5", "8"]}
    with keeper() as servers:
        activate(servers, deployment)
        answer = api(cast.bob).post(f"{url}sample/", {"data": data.pk}).json()
        values = answer["row"]["values"]
        assert answer["row"]["number"] == (1 if values["colour"] == "red" else 2)
        assert answer["predictions"][0]["label"] == ("apple" if values["colour"] == "red" else "pear")
        assert answer["file"]["name"] == "fruit.csv"
        own = {"row": {"size": 1, "colour": "red", "fresh": None}}
        answer = api(cast.bob).post(f"{url}sample/", own, format="json").json()
        assert (answer["predictions"][0]["label"], answer["file"]) == ("apple", None)
        wrong = api(cast.bob).post(f"{url}sample/", {"row": {"size": 1}}, format="json")
        assert (wrong.status_code, wrong.json()["reason"]) == (400, "missing_columns")
    other = make_table(cast, b"a,b\n1,2\n", "other.csv")
    unfitting = api(cast.bob).post(f"{url}sample/", {"data": other.pk})
    assert unfitting.json()["reason"] == "unfitting_table"
    photos = make_data(make_dataset(cast.project, "photos"), [("a.png", png(RED))])
    assert api(cast.bob).post(f"{url}sample/", {"data": photos.pk}).json()["reason"] == "no_tables"


def test_preprocessing_cannot_be_connected(cast: Cast, bundle: Path) -> None:
    training = make_table_training(cast, bundle)
    with pytest.raises(UserError, match="reads tables"):
        create_deployment(training, name="fruit", creator=cast.alice, preprocess=True)


def predicted(cast: Cast, deployment: Deployment, data: Data) -> PredictionJob:
    url = "/api/v1/predictions/"
    made = api(cast.erin).post(url, {"deployment": deployment.pk, "name": "pred", "data": data.pk})
    assert made.status_code == 201, made.json()
    return run_work(PredictionJob.objects.get(pk=made.json()["id"]))


def test_a_prediction_job_has_a_result_for_each_row(cast: Cast, bundle: Path) -> None:
    deployment = deploy(cast, bundle)
    content = CSV + b"3,red,,,too long\n"
    files = [
        ("fruit.csv", content),
        ("read me.txt", b"Hello, this is no table."),
        ("more.csv", b"colour,size\nred,4\n"),
    ]
    data = make_data(make_dataset(cast.project, "mixed"), files, name="mixed")
    job = predicted(cast, deployment, data)
    assert (job.status, job.file_count, job.row_count, job.failed_count) == ("completed", 2, 4, 1)
    url = f"/api/v1/predictions/{job.pk}/results/"
    rows = api(cast.bob).get(url).json()["results"]
    assert [(row["file"], row["row"], row["label"], row["value"]) for row in rows] == [
        ("fruit.csv", 1, "apple", None),
        ("fruit.csv", 2, "pear", None),
        ("fruit.csv", 3, None, None),
        ("more.csv", 1, "apple", None),
    ]
    assert "5 fields" in rows[2]["error"]
    assert [row["row"] for row in api(cast.bob).get(url, {"label": "apple"}).json()["results"]] == [1, 1]
    assert api(cast.bob).get(url, {"failed": 1}).json()["count"] == 1
    found: Any = api(cast.bob).get(f"/api/v1/predictions/{job.pk}/results.csv")
    table = list(csv.reader(io.StringIO(b"".join(found.streaming_content).decode())))
    assert table[0] == ["file", "row", "size", "colour", "fresh", "prediction", "class_name", "probability", "error"]
    assert table[1] == ["fruit.csv", "1", "1", "red", "yes", "apple", "apple", "0.9", ""]
    page = logged_in(cast.bob).get(reverse("deployments:prediction", args=[job.pk])).text
    for shown in (
        "4 rows",
        'apple <span class="text-secondary ms-1">2</span>',
        "1 row or file could not be predicted",
        "[apple]",
    ):
        assert shown in page, shown
    assert "Value" not in page


def test_a_prediction_job_of_a_regression_shows_values(cast: Cast, regression: Path) -> None:
    deployment = deploy(cast, regression, result_metrics={"r2": 0.9, "mae": 3.0, "val_r2": 0.876, "val_mae": 3.5})
    job = predicted(cast, deployment, make_table(cast))
    assert list(Prediction.objects.values_list("row", "value", "label")) == [(1, 100.1, None), (2, 2.5, None)]
    page = logged_in(cast.bob).get(reverse("deployments:prediction", args=[job.pk])).text
    for shown in ("<code>100.1</code>", "51.3", "R² 0.876 · Mean error 3.5"):
        assert shown in page, shown
    assert "Probability" not in page


def test_pages_show_columns_examples_and_a_form_to_try(cast: Cast, bundle: Path) -> None:
    deployment, data = deploy(cast, bundle), make_table(cast, b"size,colour,fresh\n1,red,yes\n")
    editor = logged_in(cast.erin)
    page = editor.get(reverse("deployments:detail", args=[deployment.pk])).text
    for shown in ("(?, 3)", "string", "may be absent", "Try it", "input=@rows.csv", "fruit"):
        assert shown in page, shown
    assert "&quot;size&quot;: 1.5, &quot;colour&quot;: &quot;red&quot;" in page
    assert "Not connected" not in page
    create = editor.get(reverse("deployments:prediction-create", args=[deployment.pk])).text
    assert "?content=table" in create
    url = reverse("deployments:sample-fragment", args=[deployment.pk])
    sample = editor.get(url, {"data": data.pk}).text
    assert "Row 1 of fruit.csv" in sample
    assert 'name="value" value="red"' in sample
    with keeper() as servers:
        activate(servers, deployment)
        url = reverse("deployments:sample-prediction", args=[deployment.pk])
        assert "[apple]" in editor.post(url, {"value": ["1", "red", ""]}).text
        assert "Columns are missing" in editor.post(url, {"value": ["1"]}).text


def test_rows_that_hold_the_target_tell_how_right_the_predictions_are(
    cast: Cast, bundle: Path, regression: Path
) -> None:
    data = make_table(cast, b"size,colour,fresh,fruit\n1,red,yes,apple\n25,green,no,apple\n3,green,no,\n")
    job = predicted(cast, deploy(cast, bundle), data)
    assert (job.summary["of"], job.summary["accuracy"]) == (2, 0.5)
    assert [row.target for row in job.predictions.all()] == ["apple", "apple", None]
    wrong = page(cast.bob, "results-fragment", job.pk, query="?true=apple&predicted=pear")
    assert "True: apple, predicted: pear" in wrong
    data = make_table(cast, b"size,colour,fresh,price\n1,red,yes,2\n25,green,no,3\n", name="prices.csv")
    job = predicted(cast, deploy(cast, regression, name="price"), data)
    assert [row.target for row in job.predictions.all()] == [2, 3]
    assert job.summary["mae"] is not None
    assert "Mean absolute error" in page(cast.bob, "prediction", job.pk)


def page(user: Any, name: str, pk: int, query: str = "") -> str:
    return logged_in(user).get(reverse(f"deployments:{name}", args=[pk]) + query).content.decode()
