"""Evaluations of models of tables: a training's own and those on other tables, against scikit-learn's figures."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from datasets.models import Data
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_json, read_jsonl, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import from_json
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.tabular.manifest import TABULAR
from jobs.algorithms.tabular.train import train
from jobs.bundles.bundle import load_bundle
from jobs.bundles.engine import load_engine
from jobs.evaluating.evaluated import worst
from jobs.evaluating.evaluations import create_evaluation, publish_own, record_own
from jobs.evaluating.page import baselines, charts, figures, importance
from jobs.evaluation.__main__ import evaluate
from jobs.models import Job, JobInput, Training
from tests.cast import Cast, make_cast, make_data, make_dataset, png, run_work

NAMES = ["weight", "colour", "grade", "price"]
TARGETS = {"classification": "grade", "regression": "price"}


def fruit(count: int, seed: int) -> list[list[str]]:
    """Rows of `NAMES`: grades are of weight and colour with a few that are off, so is the price."""
    generator = np.random.default_rng(seed)
    rows = []
    for _row in range(count):
        weight, colour = generator.normal(150, 40), str(generator.choice(["red", "green"]))
        score = weight + 40 * (colour == "red") + generator.normal(0, 25)
        rows.append([f"{weight:.2f}", colour, str(int(score > 150) + int(score > 190) + 1), f"{10 * score:.1f}"])
    return rows


def write_csv(path: Path, names: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunFolder]]:
    """A run for each task; the regression holds nothing out."""
    folder = tmp_path_factory.mktemp("tables")
    table = write_csv(folder / "fruit.csv", NAMES, fruit(120, seed=1))
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(folder))
        for task, target in TARGETS.items():
            given = {"target": target, "task": task, "epochs": 2, "hidden_units": 8}
            given["validation_split"] = 0.4 if task == "classification" else 0
            spec = {
                "algorithm": "tabular",
                "name": task,
                "hyperparameters": validate_hyperparameters(TABULAR, given),
                "table": "input/table.jsonl",
                "labels": [],
                "seed": 3,
                "threads": 1,
                "gpus": 0,
                "cache": str(folder / "cache"),
            }
            runs[task] = RunFolder.create(folder / task, spec)
            write_jsonl(runs[task].input / "table.jsonl", [{"name": table.name, "path": str(table)}])
            train(runs[task])
        yield runs


def answers(run: RunFolder, rows: list[list[str]]) -> Any:
    """What the bundle answers to rows of `NAMES`."""
    bundle = load_bundle(run.output / "bundle")
    places = [NAMES.index(column.name) for column in bundle.table.columns]
    return load_engine(bundle, threads=1).predict(np.array([[row[place] for place in places] for row in rows], object))


def require_classes(summary: dict[str, Any], targets: list[int], answered: Any) -> None:
    labels = [entry["label"] for entry in summary["labels"]]
    predicted = [labels[index] for index in answered.argmax(axis=1)]
    assert summary["samples"] == len(targets)
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(targets, predicted))
    assert summary["loss"] == pytest.approx(metrics.log_loss(targets, answered, labels=labels), abs=1e-4)
    assert summary["confusion"] == metrics.confusion_matrix(targets, predicted, labels=labels).tolist()
    f1 = metrics.f1_score(targets, predicted, labels=labels, average="macro")
    assert summary["macro"]["f1"] == pytest.approx(f1)


def require_numbers(summary: dict[str, Any], targets: list[float], answered: Any) -> None:
    assert summary["samples"] == len(targets)
    assert summary["r2"] == pytest.approx(metrics.r2_score(targets, answered))
    assert summary["mae"] == pytest.approx(metrics.mean_absolute_error(targets, answered))
    assert summary["rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, answered))
    assert sum(summary["residuals"]["histogram"]["counts"]) == len(targets)


def results(run: RunFolder) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    folder = run.output / "evaluation"
    return read_json(folder / "evaluation.json"), list(read_jsonl(folder / "evaluation.jsonl"))


@pytest.mark.parametrize("task", TARGETS)
def test_a_training_measures_itself_on_its_rows(trained: dict[str, RunFolder], task: str) -> None:
    summary, rows = results(trained[task])
    table = fruit(120, seed=1)
    asked = [table[int(row["name"]) - 1] for row in rows]
    answered = answers(trained[task], asked)
    if task == "classification":
        assert (summary["part"], summary["of"]) == ("held_out", 48)
        assert [row["target"] for row in rows] == [int(row[2]) for row in asked]
        require_classes(summary, [int(row[2]) for row in asked], answered)
        key = "accuracy"
    else:
        assert (summary["part"], summary["of"]) == ("training", 120)
        require_numbers(summary, [float(row[3]) for row in asked], answered)
        key = "r2"
    assert len(summary["baselines"]) == 2
    assert all(isinstance(each[key], float) for each in summary["baselines"])
    known = {column.name for column in load_bundle(trained[task].output / "bundle").table.columns}
    assert {each["name"] for each in summary["importance"]} == known
    values = [each["importance"] for each in summary["importance"]]
    assert values == sorted(values, reverse=True)


def measured(run: RunFolder, path: Path, *files: Path) -> RunFolder:
    spec = {"bundle": str(run.output / "bundle"), "samples": "input/samples.jsonl", "part": "other", "threads": 1}
    found = RunFolder.create(path, spec)
    write_jsonl(found.input / "samples.jsonl", ({"id": 7, "name": file.name, "path": str(file)} for file in files))
    evaluate(found)
    return found


def test_a_classifier_is_measured_on_other_tables(trained: dict[str, RunFolder], tmp_path: Path) -> None:
    table = fruit(40, seed=2)
    other = [[*table[0][:2], "9", table[0][3]], [*table[1][:2], "", table[1][3]], [*table[2], "beyond"]]
    straight = write_csv(tmp_path / "a.csv", NAMES, [*table[:20], *other])
    turned = write_csv(tmp_path / "b.csv", [*reversed(NAMES), "note"], [[*reversed(row), "x"] for row in table[20:]])
    run = measured(trained["classification"], tmp_path / "run", straight, turned)
    summary, rows = results(run)
    require_classes(summary, [int(row[2]) for row in table], answers(trained["classification"], table))
    assert (summary["part"], summary["of"]) == ("other", 43)
    unknown = [{"label": "9", "count": 1}, {"label": "", "count": 1}]
    assert summary["unknown_labels"] == {"count": 2, "labels": unknown}
    assert summary["unreadable"] == {"count": 1, "names": ["a.csv, row 23"]}
    assert from_json(rows[22]["error"]) == "The row has 5 fields, the header names 4 columns."
    assert (rows[23]["id"], rows[23]["name"]) == (7, "b.csv, row 1")


def test_a_regression_is_measured_on_numbers_as_the_table_writes_them(
    trained: dict[str, RunFolder], tmp_path: Path
) -> None:
    table = fruit(30, seed=4)
    commas = [[*row[:3], f"{float(row[3]):,.1f}".translate(str.maketrans(",.", ".,"))] for row in table]
    path = write_csv(tmp_path / "c.csv", NAMES, [*commas, [*table[0][:3], "dear"]])
    summary, rows = results(measured(trained["regression"], tmp_path / "run", path))
    require_numbers(summary, [float(row[3]) for row in table], answers(trained["regression"], table))
    assert (summary["of"], summary["unknown_labels"]["count"], rows[30]["target"]) == (31, 1, None)


def test_tables_that_cannot_be_measured_are_told(trained: dict[str, RunFolder], tmp_path: Path) -> None:
    table = fruit(5, seed=2)
    cases = {
        "lacks. Its columns: weight, colour, price": (["weight", "colour", "price"], [0, 1, 3]),
        "Columns are missing: weight": (["colour", "grade", "price"], [1, 2, 3]),
    }
    for number, (words, (names, places)) in enumerate(cases.items()):
        path = write_csv(tmp_path / "d.csv", names, [[row[place] for place in places] for row in table])
        with pytest.raises(RunError) as refused:
            measured(trained["classification"], tmp_path / str(number), path)
        assert refused.value.reason == "nothing_measured"
        assert words in refused.value.message
    path = write_csv(tmp_path / "e.csv", NAMES, [[*row[:3], "dear"] for row in table])
    with pytest.raises(RunError, match="has a number in the target column 'price'"):
        measured(trained["regression"], tmp_path / "numbers", path)


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def finished(cast: Cast, data: Data, run: RunFolder, folder: Path) -> Training:
    """A training on the site as the run has left it, collected from a copy."""
    job = Job.objects.create(project=cast.project, name="fruit", slug="fruit", algorithm="tabular")
    JobInput.objects.create(job=job, name="table", data=data)
    training = Training.objects.create(
        job=job, name="first", slug="first", status=Status.COMPLETED, hyperparameters={"target": "grade"}
    )
    training.export_key = f"{training.files_key}/export/1"
    training.save()
    copy = RunFolder(shutil.copytree(run.path, folder / "copy"))
    workspace().put_tree(training.export_key, copy.output / "bundle")
    publish_own(training, copy)
    record_own(training)
    return training


@pytest.mark.django_db
@pytest.mark.parametrize("task", TARGETS)
def test_the_page_draws_what_a_training_measured(
    cast: Cast, trained: dict[str, RunFolder], tmp_path: Path, task: str
) -> None:
    data = make_data(make_dataset(cast.project, "fruit"), [], name="fruit")
    own = finished(cast, data, trained[task], tmp_path).evaluations.get()
    assert figures(own)
    assert charts(own)
    assert [row["value"] is not None for row in baselines(own)] == [True] * 3
    drawn = importance(own)
    assert drawn is not None
    assert "weight" in drawn.data["labels"]


@pytest.mark.django_db
def test_the_site_measures_on_other_tables(cast: Cast, trained: dict[str, RunFolder], tmp_path: Path) -> None:
    table = fruit(20, seed=5)
    content = write_csv(tmp_path / "other.csv", NAMES, table).read_bytes()
    data = make_data(make_dataset(cast.project, "fruit"), [("other.csv", content)], name="other")
    training = finished(cast, data, trained["classification"], tmp_path)
    evaluation = run_work(create_evaluation(training, data=data, creator=cast.erin))
    assert evaluation.status == "completed", evaluation.error
    require_classes(evaluation.summary, [int(row[2]) for row in table], answers(trained["classification"], table))

    with pytest.raises(UserError) as refused:
        create_evaluation(training, data=data, labels=data, creator=cast.erin)
    assert refused.value.reason == "labels_not_read"
    photos = make_data(make_dataset(cast.project, "photos"), [("red.png", png())], name="photos")
    with pytest.raises(UserError) as refused:
        create_evaluation(training, data=photos, creator=cast.erin)
    assert refused.value.reason == "no_table"
    lacking = write_csv(tmp_path / "lacking.csv", NAMES[:2], [row[:2] for row in table]).read_bytes()
    data = make_data(make_dataset(cast.project, "lacking"), [("lacking.csv", lacking)], name="lacking")
    with pytest.raises(UserError, match="“grade”, which “lacking” lacks") as refused:
        create_evaluation(training, data=data, creator=cast.erin)
    assert (refused.value.reason, refused.value.field) == ("no_target", "data")
    assert training.evaluations.exclude(data=None).count() == 1


@pytest.mark.django_db
def test_rows_are_called_by_their_file_and_number(cast: Cast, trained: dict[str, RunFolder], tmp_path: Path) -> None:
    data = make_data(make_dataset(cast.project, "fruit"), [], name="fruit")
    (first, *_) = worst(finished(cast, data, trained["regression"], tmp_path).evaluations.get(), 1)
    assert first.title == f"Row {first.sample.name}"
    assert replace(first, sample=replace(first.sample, name="a.csv, row 12")).title == "a.csv, row 12"
    assert replace(first, sample=replace(first.sample, name="12.png")).title == "12.png"
