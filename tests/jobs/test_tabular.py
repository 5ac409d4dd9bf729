"""Learning from tables: what a run folder makes of small csv files."""

import csv
import datetime
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.inspection.values import to_moments
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, read_jsonl, write_jsonl
from jobs.algorithms.base import HyperparameterError, validate_hyperparameters
from jobs.algorithms.tabular import prepared as preparing
from jobs.algorithms.tabular.kinds import judge, parse_number
from jobs.algorithms.tabular.manifest import TABULAR
from jobs.algorithms.tabular.target import read_target
from jobs.algorithms.tabular.train import train
from jobs.bundles.bundle import load_bundle
from jobs.bundles.columns import ColumnsError, match_columns
from jobs.bundles.engine import load_engine

ROWS = 240
CITIES = ("Seoul", "Busan", "Incheon", "Daegu")
PRAISE, BLAME = ("a truly good thing", "good and cheap again"), ("a truly bad thing", "bad and dear again")
SMALL = {"epochs": 4, "hidden_units": 8, "learning_rate": 0.01}


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        yield


def mixed_rows() -> list[dict[str, str]]:
    """A row for each kind of column; what is liked hangs on colour, size, the text and the weekday."""
    generator = np.random.default_rng(3)
    rows = []
    for number in range(ROWS):
        size, colour = generator.normal(50, 20), generator.choice(["red", "green", "blue"])
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=int(generator.integers(0, 365)))
        good = bool(generator.integers(0, 2))
        score = size / 20 + 2 * (colour == "red") + 3 * good + (day.weekday() >= 5)
        rows.append(
            {
                "id": str(1000 + number),
                "source": "survey",
                "size": "" if number % 17 == 0 else f"{size:,.2f}",
                "colour": colour,
                "city": f"{CITIES[number % 4]}-{generator.integers(0, 12)}",
                "day": day.strftime("%d/%m/%Y"),
                "remark": f"{generator.choice(PRAISE if good else BLAME)} {generator.integers(0, 1000)}",
                "fresh": str(generator.choice(["yes", "No", "YES"])),
                "liked": "" if number == 5 else ("yes" if score > 5 else "no"),
                "price": f"{1000 + 100 * score:.1f}",
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, str]], *, names: list[str] | None = None) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_run(path: Path, *files: Path, seed: int = 7, **hyperparameters: Any) -> RunFolder:
    spec = {
        "algorithm": "tabular",
        "name": "tiny",
        "hyperparameters": validate_hyperparameters(TABULAR, SMALL | hyperparameters),
        "table": "input/table.jsonl",
        "labels": [],
        "seed": seed,
        "threads": 2,
        "gpus": 0,
        "cache": str(path.parent / "cache"),
    }
    run = RunFolder.create(path, spec)
    write_jsonl(run.input / "table.jsonl", [{"name": file.name, "path": str(file)} for file in files])
    return run


def epochs(run: RunFolder) -> list[dict[str, Any]]:
    return [event for event in run.read_events(0)[0] if event["type"] == "epoch"]


def result(run: RunFolder) -> dict[str, Any]:
    found = run.result()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two csv files that are one table; the second has its columns the other way round."""
    folder, rows = tmp_path_factory.mktemp("table"), mixed_rows()
    one = write_csv(folder / "one.csv", rows[:140])
    return one, write_csv(folder / "two.csv", rows[140:], names=list(reversed(rows[0])))


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory, halves: tuple[Path, Path]) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("classified") / "run", *halves, target="liked", epochs=20)
    train(run)
    return run


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory, halves: tuple[Path, Path]) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("estimated") / "run", *halves, target="price", validation_split=0)
    train(run)
    return run


def test_a_table_of_all_kinds_of_columns_is_learned_from(classified: RunFolder) -> None:
    found = result(classified)
    kinds = {column["name"]: column["type"] for column in found["record"]["columns"]}
    assert kinds == {
        "size": "number",
        "colour": "category",
        "city": "category",
        "day": "date",
        "remark": "text",
        "fresh": "category",
        "price": "number",
    }
    assert [column["name"] for column in found["record"]["left_out"]] == ["id", "source"]
    rows = found["record"]["rows"]
    assert (rows["table"], rows["without_target"], rows["trained_on"] + rows["held_out"]) == (ROWS, 1, ROWS - 1)
    assert found["record"]["task"] == "classification"
    assert found["metrics"]["val_accuracy"] > 0.85
    assert [baseline["name"] for baseline in found["baselines"]] == ["majority", "logistic_regression"]
    assert found["metrics"]["val_accuracy"] > found["baselines"][0]["accuracy"] + 0.2
    assert found["importance"][0]["column"] == "price", "which tells the answer by itself"
    assert found["importance"][0]["drop"] > 0.1
    assert [event["epochs"] for event in classified.read_events(0)[0] if event["type"] == "plan"] == [20]
    metrics = epochs(classified)[0]["metrics"]
    assert metrics.keys() >= {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "memory_bytes"}


def test_the_bundle_is_one_that_is_served(classified: RunFolder, estimated: RunFolder) -> None:
    bundle = load_bundle(classified.output / "bundle")
    assert (bundle.task, bundle.table.target, bundle.engine.name) == ("classification", "liked", "tensorflow")
    assert [(label.label, label.class_name) for label in bundle.labels] == [("no", "no"), ("yes", "yes")]
    names = [column.name for column in bundle.table.columns]
    assert names == ["size", "colour", "city", "day", "remark", "fresh", "price"]
    assert [column.name for column in bundle.table.columns if column.optional] == ["size"]
    assert bundle.table.left_out == ("id", "source")
    assert match_columns([*names[1:], "liked", "id"], bundle.table).places == (None, 0, 1, 2, 3, 4, 5)
    with pytest.raises(ColumnsError) as refused:
        match_columns(names[2:], bundle.table)
    assert refused.value.details["missing"] == ["colour"], "the size may be absent"
    nonsense = ["twelve", "violet", "\u00a0Paris", "31/02/2024", "", "maybe", "1,0,0"]
    answered = load_engine(bundle, threads=1).predict(np.array([nonsense, [""] * 7], dtype=object))
    assert answered.shape == (2, 2)
    np.testing.assert_allclose(answered.sum(axis=1), 1, atol=1e-5)
    regression = load_bundle(estimated.output / "bundle")
    assert (regression.task, regression.labels) == ("regression", ())


def test_what_is_served_is_what_was_measured(classified: RunFolder) -> None:
    summary = json.loads((classified.output / "evaluation" / "evaluation.json").read_text())
    rows = list(read_jsonl(classified.output / "evaluation" / "evaluation.jsonl"))
    metrics = result(classified)["metrics"]
    assert summary["part"] == "held_out"
    assert summary["accuracy"] == pytest.approx(metrics["val_accuracy"])
    assert summary["loss"] == pytest.approx(metrics["val_loss"], abs=1e-4)
    assert summary["baselines"] == result(classified)["baselines"]
    table = mixed_rows()
    assert all(table[int(row["name"]) - 1]["liked"] == row["target"] for row in rows)


def test_a_regression_without_held_out_rows_learns_from_all(estimated: RunFolder) -> None:
    found = result(estimated)
    assert found["record"]["task"] == "regression"
    assert found["record"]["rows"]["trained_on"] == ROWS
    assert found["metrics"].keys() == {"loss", "r2", "mae"}
    assert found["metrics"]["r2"] > 0.8
    summary = json.loads((estimated.output / "evaluation" / "evaluation.json").read_text())
    assert summary["part"] == "training"
    assert summary["r2"] == pytest.approx(found["metrics"]["r2"], abs=1e-3)


def test_a_large_table_is_read_twice_and_gives_the_same_features(
    tmp_path: Path, halves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.algorithms.tabular.settings import Settings
    from jobs.algorithms.tabular.table import TableFile

    run = make_run(tmp_path / "run", *halves, target="liked")
    files = [TableFile(file.name, file) for file in halves]
    monkeypatch.setattr(preparing, "KEPT_CELLS", 150 * 10)
    data = preparing.prepare(run, files, Settings.of(run.spec["hyperparameters"]), seed=7)
    assert len(data.features.dense) == ROWS - 1
    cells = preparing.chosen_cells(run, files, data, data.held_out)
    again = data.encoder.transform(cells)
    np.testing.assert_allclose(again.dense, data.features.dense[data.held_out], atol=1e-6)
    np.testing.assert_array_equal(again.ids, data.features.ids[data.held_out])


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    values: dict[str, Any] = {"target": "liked", "epochs": 40, "early_stopping": False}
    table = write_csv(tmp_path / "table.csv", [{"size": row["size"], "liked": row["liked"]} for row in mixed_rows()])
    whole = make_run(tmp_path / "whole", table, **values)
    train(whole)
    run = make_run(tmp_path / "run", table, **values)

    def stop_after_an_epoch() -> None:
        while not epochs(run):
            time.sleep(0.002)
        run.request_stop()

    stopper = threading.Thread(target=stop_after_an_epoch)
    stopper.start()
    with pytest.raises(StopRequested):
        train(run)
    stopper.join()
    stopped_at = len(epochs(run))
    assert 0 < stopped_at < 40
    (run.path / "STOP").unlink()
    train(run)
    seen = [event["epoch"] for event in epochs(run)]
    assert seen == list(range(1, 41))
    for one, other in zip(epochs(whole), epochs(run), strict=True):
        assert one["metrics"]["val_loss"] == pytest.approx(other["metrics"]["val_loss"], abs=1e-5)


def test_linear_baselines_are_met_on_real_tables(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes, load_wine

    for load, task, figure in ((load_wine, "classification", "accuracy"), (load_diabetes, "regression", "r2")):
        data = load()
        rows = [
            {**dict(zip(data.feature_names, map(repr, values.tolist()), strict=True)), "target": str(target)}
            for values, target in zip(data.data, data.target, strict=True)
        ]
        run = make_run(tmp_path / task, write_csv(tmp_path / f"{task}.csv", rows), target="target")
        train(run)
        found = result(run)
        assert found["record"]["task"] == task
        assert found["metrics"][f"val_{figure}"] >= found["baselines"][1][figure] - 0.03


def test_cells_are_parsed_in_the_graph_as_they_were_judged() -> None:
    import tensorflow as tf

    from jobs.algorithms.tabular import parsing

    cells = [
        "1.5",
        " 2e3\u00a0",
        "007",
        "1,234.5",
        "1 234",
        "$5.20",
        "-3 %",
        "NA",
        "1e200",
        ".5",
        "1,2",
        "1.234,5",
        "-",
    ]
    cleaned = parsing.clean(tf.constant(cells))
    for comma in (False, True):
        found = parsing.numbers(cleaned, decimal_comma=comma).numpy().tolist()
        expected = [parse_number(cell.strip(), decimal_comma=comma) for cell in cells]
        assert [None if np.isnan(value) else value for value in found] == expected
    dates = ["2024-02-29", "2023-02-29", "2024-01-05 10:20:30+09:30", "2024-01-05T10:20-0330", "1/2/2024", "31.12.1999"]
    for day_first in (True, False):
        found = parsing.moments(tf.constant(dates), day_first=day_first).numpy().tolist()
        moments = [to_moments(date) for date in dates]
        expected = [None if pair is None else pair[0 if day_first else 1] for pair in moments]
        assert [None if np.isnan(value) else value for value in found] == expected
    words = parsing.words(tf.constant(["It's GOOD", "영화가 漢字"])).to_list()
    assert [[word.decode() for word in row] for row in words] == [["it", "s", "good"], ["영화가", "영화", "漢", "字"]]


def test_columns_are_judged_by_their_cells() -> None:
    numbers = [str(number) for number in range(1, 41)]
    assert judge("row", numbers, rows=40).left_out
    assert not judge("weight", [f"{7 * number % 40}" for number in range(40)], rows=40).left_out
    assert judge("price", ["1.234,5", "2,5", "7"] * 10, rows=30).decimal_comma
    assert judge("day", ["01/02/2024", "13/02/2024"] * 10, rows=20).day_first
    assert judge("code", [f"x{number}y" for number in range(40)], rows=40).left_out
    assert judge("zip", ["00123", "00456"] * 10, rows=20).kind == "category"
    assert judge("none", ["", "NA"] * 10, rows=20).left_out


def test_the_task_follows_from_the_target() -> None:
    cases = {
        "classification": (["a", "b"] * 10, ["0", "1", "2"] * 10, ["1.5", "2.5"] * 10),
        "regression": ([str(number) for number in range(40)], ["1.5", "2.5", "3.5"] * 10),
    }
    for task, columns in cases.items():
        for cells in columns:
            assert read_target(cells, column="y", task="auto").task == task
    assert read_target(["10", "9", "b"] * 5, column="y", task="auto").classes == ("9", "10", "b")


@pytest.mark.parametrize(
    ("cells", "task", "reason"),
    [
        (["a"] * 20, "auto", "one_class"),
        (["3"] * 20, "regression", "constant_target"),
        (["a", "b"] * 2 + [""] * 20, "auto", "too_few_rows"),
        ([""] * 20, "auto", "too_few_rows"),
        (["a", "b"] * 10, "regression", "target_is_no_number"),
        ([f"name {number}" for number in range(40)], "classification", "too_many_classes"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(cells: list[str], task: str, reason: str) -> None:
    with pytest.raises(RunError) as refused:
        read_target(cells, column="y", task=task)
    assert refused.value.reason == reason
    assert "'y'" in refused.value.message


def test_tables_that_do_not_fit_are_refused_naming_what_is_wrong(tmp_path: Path) -> None:
    one = write_csv(tmp_path / "one.csv", [{"a": "x", "b": "y"}] * 20)
    two = write_csv(tmp_path / "two.csv", [{"a": "x", "c": "y"}] * 20)
    cases: list[tuple[tuple[Path, ...], str, str, str]] = [
        ((one,), "colour", "no_such_column", "a, b"),
        ((one, two), "a", "different_columns", "two.csv"),
        ((), "a", "no_table", "csv"),
    ]
    for files, target, reason, named in cases:
        with pytest.raises(RunError) as refused:
            train(make_run(tmp_path / "run", *files, target=target))
        assert refused.value.reason == reason
        assert named in refused.value.message


def test_the_target_must_be_given() -> None:
    with pytest.raises(HyperparameterError):
        validate_hyperparameters(TABULAR, {"epochs": 3})
