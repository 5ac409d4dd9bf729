"""Prediction jobs on csv files: exactly one prediction for each row, whatever happens to the process."""

import csv
import json
from pathlib import Path

import pytest

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.sentences import from_json
from tests.deployments.table_bundles import REGRESSION, make_table_bundle
from tests.deployments.test_modelserver import wait_until
from tests.deployments.test_modelserver_batch import STOPPED, make_run, rows_of, start

__all__ = ["start"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table_bundle(tmp_path_factory.mktemp("bundle") / "b")


def write(folder: Path, **contents: str) -> list[tuple[str, Path]]:
    files = []
    for name, content in contents.items():
        path = folder / f"{name}.csv"
        path.write_text(content, encoding="utf-8")
        files.append((path.name, path))
    return files


def table_of(run: RunFolder) -> list[list[str]]:
    with (run.output / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_row_is_predicted_and_the_csv_has_the_files_own_columns_beside(start, bundle, tmp_path):
    files = write(
        tmp_path,
        a="size,colour,fresh,note,prediction\n1,red,yes,=1+1,-5\n-2,녹색,,,\n",
        b="colour;size\ngreen;3\nred;4;x\n\nred;5\n",
        c="size,shade\n1,red\n",
    )
    run = make_run(tmp_path, bundle, files)
    assert start(run).wait(60) == 0
    rows = rows_of(run)
    assert [(row["id"], row["row"], row["label"]) for row in rows] == [
        (100, 1, "apple"),
        (100, 2, "pear"),
        (101, 1, "pear"),
        (101, 2, None),
        (101, 3, "apple"),
        (102, 0, None),
    ]
    assert rows[0]["probability"] == 0.9
    assert "3 fields, the header names 2 columns" in from_json(rows[3]["error"])
    assert "Columns are missing: colour, fresh" in from_json(rows[5]["error"])
    assert (run.result() or {})["failed"] == 2
    table = table_of(run)
    head = ["file", "row", "size", "colour", "fresh", "note", "prediction"]
    assert table[0] == [*head, "prediction (2)", "class_name", "probability", "error"]
    assert table[1] == ["a.csv", "1", "1", "red", "yes", "'=1+1", "-5", "apple", "apple", "0.9", ""]
    assert table[2][:8] == ["a.csv", "2", "-2", "녹색", "", "", "", "pear"]
    assert table[3][:8] == ["b.csv", "1", "3", "green", "", "", "", "pear"]
    assert table[6][:3] == ["c.csv", "", ""]
    assert table[6][-1].startswith("Columns are missing")


def test_a_regression_has_values(start, tmp_path):
    bundle = make_table_bundle(tmp_path / "b", **REGRESSION)
    run = make_run(tmp_path, bundle, write(tmp_path, a="size,colour\n25,red\n"))
    assert start(run).wait(60) == 0
    assert rows_of(run) == [{"id": 100, "name": "a.csv", "row": 1, "value": 2.5, "truth": None, "error": ""}]
    head = ["file", "row", "size", "colour", "prediction", "error"]
    assert table_of(run) == [head, ["a.csv", "1", "25", "red", "2.5", ""]]


def test_stopped_in_the_middle_it_goes_on_without_losing_or_doubling_a_row(start, bundle, tmp_path):
    count = 40_000
    content = "size,colour\n" + "".join(f"{index},{'red' if index % 3 else 'blue'}\n" for index in range(count))
    run = make_run(tmp_path, bundle, write(tmp_path, a=content))
    predictions = run.output / "predictions.jsonl"
    process = start(run)
    wait_until(lambda: predictions.exists() and predictions.stat().st_size > 0)
    run.request_stop()
    assert process.wait(30) == STOPPED
    stopped_at = json.loads((run.checkpoint / "position.json").read_text())["rows"]
    assert 0 < stopped_at < count
    (run.path / "STOP").unlink()
    assert start(run).wait(60) == 0
    rows = rows_of(run)
    assert [row["row"] for row in rows] == list(range(1, count + 1))
    assert all(row["label"] == ("apple" if index % 3 else "pear") for index, row in enumerate(rows))
    assert len(table_of(run)) == count + 1
