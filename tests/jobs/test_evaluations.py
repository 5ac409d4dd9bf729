"""What a training measured of itself, evaluations on other data, and their pages."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from dlmodeler_site.registry import dependants
from dlmodeler_site.sentences import Sentence, to_json
from dlmodeler_site.storage import workspace
from jobs.evaluating.evaluated import samples
from jobs.evaluating.page import matrix
from jobs.evaluating.rows import Cell
from jobs.models import Evaluation, Job, Training
from tests.cast import Cast, api, make_cast, make_data, make_dataset, png
from tests.jobs.evaluated import make_evaluation, make_training
from tests.jobs.stage import image_names, make_images, make_job

pytestmark = pytest.mark.django_db
URL = "/api/v1/evaluations/"
# Class 0 are the even ones; 0.png and 2.png are taken for blue, the surer mistake being 2.png.
ANSWERS = {name: (place % 2, 0.9 if place % 2 else 0.1) for place, name in enumerate(image_names())}
ANSWERS |= {"0.png": (0, 0.7), "2.png": (0, 0.95)}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def job(cast: Cast) -> Job:
    labels = {name: str(place % 2) for place, name in enumerate(image_names())}
    return make_job(cast.project, make_images(cast.project, labels=labels), class_names={"0": "red", "1": "blue"})


@pytest.fixture
def training(job: Job) -> Training:
    return make_training(job)


@pytest.fixture
def evaluation(training: Training, tmp_path: Path) -> Evaluation:
    return make_evaluation(training, ANSWERS, tmp_path)


def test_a_training_tells_what_it_measured_of_itself_with_its_worst_mistakes(
    cast: Cast, training: Training, evaluation: Evaluation
) -> None:
    told = api(cast.bob).get(f"/api/v1/trainings/{training.pk}/evaluation/").json()
    assert (told["part"], told["status"], told["samples"]) == ("held_out", "completed", 12)
    assert told["confusion"] == [[4, 2], [0, 6]]
    assert told["accuracy"] == pytest.approx(10 / 12)
    assert [(row["class_name"], row["recall"], row["support"]) for row in told["per_class"]] == [
        ("red", pytest.approx(4 / 6), 6),
        ("blue", 1.0, 6),
    ]
    worst = told["mistakes"][0]
    assert [each["name"] for each in told["mistakes"]] == ["2.png", "0.png"]
    assert (worst["true_name"], worst["predicted_name"], worst["probability"]) == ("red", "blue", pytest.approx(0.95))
    assert api(cast.bob).get(worst["thumbnail_url"]).status_code == 200
    heatmap = api(cast.bob).get(worst["heatmap_url"], headers={"Accept": "image/*"})
    assert (heatmap["Content-Type"], heatmap.getvalue()) == ("image/png", b"a picture")
    assert told["mistakes"][1]["heatmap_url"] is None


def test_a_cell_of_the_matrix_is_paged_worst_first(cast: Cast, training: Training, evaluation: Evaluation) -> None:
    url = f"/api/v1/trainings/{training.pk}/evaluation/"
    page = api(cast.bob).get(f"{url}?true=0&predicted=1&page_size=1").json()
    assert (page["count"], [each["name"] for each in page["results"]]) == (2, ["2.png"])
    rest = api(cast.bob).get(page["next"]).json()
    assert [each["name"] for each in rest["results"]] == ["0.png"]
    assert api(cast.bob).get(f"{URL}{evaluation.pk}/results/?mistakes=1").json()["count"] == 2
    assert api(cast.bob).get(f"{URL}{evaluation.pk}/results/").json()["count"] == 12
    wrong = api(cast.bob).get(f"{url}?true=7")
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "unknown_label")
    assert "0, 1" in wrong.json()["error"]


def test_every_cell_of_the_matrix_holds_as_many_samples_as_it_says(evaluation: Evaluation) -> None:
    drawn = matrix(evaluation)
    assert drawn
    for true, row in enumerate(drawn.rows):
        for predicted, cell in enumerate(row.cells):
            found = samples(evaluation, Cell(true=true, predicted=predicted))
            assert len(found) == len(found[:100]) == cell.count
            losses = [each.loss for each in found[:100]]
            assert losses == sorted(losses, reverse=True)


def test_results_come_as_csv_without_formulas(cast: Cast, training: Training, tmp_path: Path) -> None:
    evaluation = make_evaluation(training, {"=cmd.png": (0, 0.9), "b.png": (1, 0.9)}, tmp_path)
    answer = api(cast.bob).get(f"{URL}{evaluation.pk}/results.csv")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["name"], row["true"], row["predicted"], row["right"]) for row in rows] == [
        ("'=cmd.png", "0", "1", "False"),
        ("b.png", "1", "1", "True"),
    ]


def test_without_an_evaluation_the_api_says_what_to_do(cast: Cast, training: Training) -> None:
    refused = api(cast.bob).get(f"/api/v1/trainings/{training.pk}/evaluation/")
    assert (refused.status_code, refused.json()["reason"]) == (409, "no_evaluation")
    assert "Evaluate it on labelled data" in refused.json()["error"]
    training.export_key = ""
    training.save()
    refused = api(cast.erin).post(
        f"/api/v1/trainings/{training.pk}/evaluations/", {"data": training.job.input_ids["images"]}
    )
    assert (refused.status_code, refused.json()["reason"]) == (409, "no_model")


def test_other_data_is_in_use_while_an_evaluation_of_it_is_there(cast: Cast, training: Training) -> None:
    files = [("a.png", png()), ("b.png", png((1, 2, 3)))]
    bare = make_data(make_dataset(cast.project, "bare"), files, name="bare")
    other = make_data(make_dataset(cast.project, "other"), files, name="other", labels={"a.png": "0"})
    url = f"/api/v1/trainings/{training.pk}/evaluations/"
    refused = api(cast.erin).post(url, {"data": bare.pk})
    assert (refused.status_code, refused.json()["reason"], refused.json()["details"]["field"]) == (
        400,
        "no_labels",
        "labels",
    )
    made = api(cast.erin).post(url, {"data": other.pk})
    assert (made.status_code, made.json()["status"], made.json()["part"]) == (201, "queued", "other")
    assert [str(each) for each in dependants(other)] == ["evaluation of “first”"]
    assert api(cast.erin).delete(f"/api/v1/data/{other.pk}/").json()["reason"] == "in_use"
    assert api(cast.erin).delete(f"/api/v1/trainings/{training.pk}/").json()["reason"] == "in_use"
    one = f"{URL}{made.json()['id']}/"
    assert api(cast.erin).delete(one).json()["reason"] == "wrong_state"
    assert api(cast.bob).get(f"{one}results/").json()["reason"] == "not_completed"
    assert api(cast.erin).post(f"{one}stop/").json()["status"] == "cancelled"
    assert api(cast.erin).post(f"{one}stop/").status_code == 409
    assert api(cast.erin).post(f"{one}resume/").json()["status"] == "queued"
    api(cast.erin).post(f"{one}stop/")
    assert api(cast.bob).get(url).json()["count"] == 1
    assert api(cast.erin).delete(one).status_code == 204
    assert not dependants(other)


def test_strangers_see_no_evaluation_and_viewers_make_none(
    cast: Cast, training: Training, evaluation: Evaluation
) -> None:
    one, page = f"{URL}{evaluation.pk}/", f"/trainings/{training.pk}/evaluation/"
    for part in ("", "results/", "results.csv", "heatmaps/2/"):
        assert api(cast.charlie).get(one + part).status_code == 404
    data = {"data": training.job.input_ids["images"]}
    for client, status in ((api(cast.charlie), 404), (api(cast.bob), 403)):
        assert client.post(f"/api/v1/trainings/{training.pk}/evaluations/", data).status_code == status
        assert client.post(f"{one}stop/").status_code == status
        assert client.delete(one).status_code == status
    browser = Client()
    browser.force_login(cast.charlie)
    assert browser.get(page).status_code == browser.get(f"/trainings/{training.pk}/card/").status_code == 404
    browser.force_login(cast.bob)
    assert browser.get(f"{page}new/").status_code == 403
    assert b"Evaluate on other data" not in browser.get(page).content


def test_deleting_the_training_takes_its_evaluation_along(
    cast: Cast, training: Training, evaluation: Evaluation
) -> None:
    assert list(workspace().keys(evaluation.results_key))
    refused = api(cast.erin).delete(f"{URL}{evaluation.pk}/")
    assert (refused.status_code, refused.json()["reason"]) == (409, "belongs_to_training")
    assert api(cast.erin).delete(f"/api/v1/trainings/{training.pk}/").status_code == 204
    assert not list(workspace().keys(evaluation.results_key))


def test_the_page_shows_matrix_mistakes_and_classes_and_a_cell_its_samples(
    cast: Cast, training: Training, evaluation: Evaluation
) -> None:
    browser = Client()
    browser.force_login(cast.bob)
    page = browser.get(f"/trainings/{training.pk}/evaluation/").content.decode()
    assert "Measured on data that was held out" in page
    assert "True: red, predicted: blue: 2 (33 % of the class)" in page
    assert page.index("2.png") < page.index("0.png")
    head, _tag, results = page.partition('id="evaluation"')
    assert "cross entropy" not in head, "the head has the figures of the training"
    assert "cross entropy" in results
    cell = browser.get(f"/evaluations/{evaluation.pk}/samples/?true=1&predicted=1").content.decode()
    assert "True: blue, predicted: blue" in cell
    assert cell.count("data-lightbox ") == 6
    assert "takes one of the labels" in browser.get(f"/trainings/{training.pk}/evaluation/?true=9").content.decode()
    assert f"/trainings/{training.pk}/evaluation/" in browser.get(f"/trainings/{training.pk}/?tab=evaluation").url  # type: ignore[attr-defined]


def test_the_page_is_loud_about_data_that_was_trained_on(cast: Cast, training: Training, tmp_path: Path) -> None:
    make_evaluation(training, ANSWERS, tmp_path, part="training")
    browser = Client()
    browser.force_login(cast.bob)
    assert (
        "Measured on data that the model was trained on"
        in browser.get(f"/trainings/{training.pk}/evaluation/").content.decode()
    )
    assert "how good it is on new data is not known" in browser.get(f"/trainings/{training.pk}/card/").content.decode()


def test_the_card_is_one_file_that_loads_nothing(cast: Cast, training: Training, evaluation: Evaluation) -> None:
    browser = Client()
    browser.force_login(cast.bob)
    answer = browser.get(f"/trainings/{training.pk}/card/?download=1")
    card = answer.content.decode()
    assert "attachment" in answer["Content-Disposition"]
    assert training.record_of_run["data"]["images"] in card
    assert 'src="data:image/jpeg;base64,' in card
    for address in ('src="/', 'href="', "url(", "<script"):
        assert address not in card
    assert "hardly known: red, blue" in card


FULL = {"agreement": 1.0, "accuracy": 0.9625, "max_difference": 1e-6, "cpu_ms": 1.375}
HALF = {"agreement": 0.995, "accuracy": 0.96, "max_difference": 0.03, "cpu_ms": 0.645}
GATE = {"part": "held_out", "samples": 400, "accuracy": 0.9625, "f32": FULL, "bf16": HALF}
NO_BFLOAT16 = to_json(Sentence("the CPU is %(name)s", name="old"))


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            {"precision": "bf16", "gate": {**GATE, "refused": ""}},
            "openvino, bf16. In bfloat16 it gives the class of the SavedModel for 99.50 % of 400 samples (float32: "
            "100.00 %), is right for 96.00 % of them (96.25 %) and takes 0.645 ms for one (1.375 ms).",
        ),
        ({"gate": {**GATE, "refused": "other_classes"}}, "for 99.50 % of 400 samples only."),
        (
            {"gate": {**GATE, "refused": "less_accurate"}},
            "right for 96.00 % of 400 samples and float32 for 96.25 %.",
        ),
        (
            {"gate": {**GATE, "refused": "not_faster"}},
            "faster here: 0.645 ms for a sample and float32 1.375 ms.",
        ),
        ({"gate": {**GATE, "refused": "no_bfloat16"}}, "which the CPU that it was trained on does not have."),
        ({"gate": {**GATE, "refused": "float32_wanted"}}, "as the precision float32 was chosen."),
        ({"gate": {"refused": "no_engine"}}, "It is served by TensorFlow"),
        ({"gate": {"refused": "table"}}, "Models of tables are always served in float32."),
        ({"gate": {**GATE, "refused": ""}, "fallback": NO_BFLOAT16}, "Not as its bundle says: the CPU is old."),
        ({}, "openvino, f32."),
    ],
)
def test_page_card_and_api_tell_why_the_model_is_served_at_its_precision(
    cast: Cast, training: Training, evaluation: Evaluation, engine: dict[str, Any], words: str
) -> None:
    evaluation.summary["engine"] |= engine
    evaluation.save()
    browser = Client()
    browser.force_login(cast.bob)
    for page in ("evaluation", "card"):
        shown = " ".join(browser.get(f"/trainings/{training.pk}/{page}/").content.decode().split())
        assert f"Measured through the bundle as it is served: openvino, {engine.get('precision', 'f32')}." in shown
        assert words in shown
    told = api(cast.bob).get(f"/api/v1/trainings/{training.pk}/evaluation/").json()["engine"]
    assert told.get("gate", {}) == engine.get("gate", {})
    assert told.get("fallback", "") == ("the CPU is old" if "fallback" in engine else "")


def test_the_form_keeps_what_is_wrong_beside_its_field(cast: Cast, training: Training) -> None:
    bare = make_data(make_dataset(cast.project, "bare"), [("a.png", png())], name="bare")
    browser = Client()
    browser.force_login(cast.erin)
    url = f"/trainings/{training.pk}/evaluation/new/"
    assert "Choose the data to measure the model on." in browser.post(url, {"data": ""}).content.decode()
    page = browser.post(url, {"data": bare.pk}).content.decode()
    assert "carry no labels" in page
    assert bare.path in page
    made = browser.post(url, {"data": training.job.input_ids["images"]})
    assert made.status_code == 302
    running = browser.get(made.url).content.decode()  # type: ignore[attr-defined]
    assert 'hx-trigger="every 2s"' in running
