"""The model server of a model that reads tables: a real process, a real SavedModel that takes texts."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deployments.client import ModelServerClient, ModelServerError
from deployments.modelserver.protocol import CSV_TYPE, MAX_ROWS
from jobs.bundles.bundle import TableInput, read_input
from jobs.bundles.columns import ColumnsError, match_columns
from tests.deployments.table_bundles import COLUMNS, REGRESSION, make_table_bundle
from tests.deployments.test_modelserver import serving

NAMES = [column["name"] for column in COLUMNS]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerClient]:
    folder = tmp_path_factory.mktemp("table")
    with serving(make_table_bundle(folder / "b"), folder / "server.sock"):
        yield ModelServerClient(folder / "server.sock", 20)


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerClient]:
    folder = tmp_path_factory.mktemp("values")
    with serving(make_table_bundle(folder / "b", **REGRESSION), folder / "server.sock"):
        yield ModelServerClient(folder / "server.sock", 20)


def ask(client: ModelServerClient, value: Any, top_k: int | None = None) -> dict[str, Any]:
    return client.predict_json(json.dumps(value).encode(), top_k)


def labels(answer: dict[str, Any]) -> list[Any]:
    return [prediction["label"] for prediction in answer["predictions"]]


def refused(client: ModelServerClient, value: Any) -> ModelServerError:
    with pytest.raises(ModelServerError) as error:
        if isinstance(value, bytes):
            client.predict_body(value, CSV_TYPE)
        else:
            ask(client, value)
    return error.value


def test_rows_are_answered_in_order_by_the_text_of_their_class(client):
    rows = [{"size": 3, "colour": "red", "fresh": True}, {"colour": "blue", "size": None, "fresh": None}]
    answer = ask(client, {"rows": rows})
    assert labels(answer) == ["apple", "pear"]
    assert answer["predictions"][0] == {
        "label": "apple",
        "class_name": "apple",
        "probability": 0.9,
        "top": [
            {"label": "apple", "class_name": "apple", "probability": 0.9},
            {"label": "pear", "class_name": "pear", "probability": pytest.approx(0.1)},
        ],
    }
    assert labels(ask(client, {"instances": [[3, "red", "yes"], ["", "green", ""]]}, top_k=1)) == ["apple", "pear"]


def test_a_csv_of_any_delimiter_encoding_and_order_of_columns_gives_the_same(client):
    for body in (
        "colour,size,fresh\nred,1,yes\ngreen,2,no\n".encode("utf-8-sig"),
        b"colour;fresh;size\r\nred;yes;1\r\ngreen;no;2\r\n",
        "fruit\tsize\tcolour\napple\t1\tred\n\n?\t2\t녹색\n".encode("cp949"),
    ):
        assert labels(client.predict_body(body, CSV_TYPE)) == ["apple", "pear"]


def test_numbers_keep_how_they_are_written_and_booleans_take_the_words_of_the_column(regression):
    body = b'{"rows": [{"size": 1.50, "colour": 1.0, "fresh": true}, {"size": 25, "colour": NaN, "fresh": false}]}'
    answer = regression.predict_body(body, "application/json", rows=True)
    assert answer["predictions"] == [{"value": 100.15}, {"value": 2.5}]
    assert answer["columns"] == NAMES
    assert answer["rows"] == [["1.50", "1.0", "yes"], ["25", "", "no"]]


def test_unknown_columns_are_ignored_and_told(client):
    answer = ask(client, {"rows": [{"size": 1, "colour": "red", "fresh": "no", "id": 7, "fruit": "pear"}]})
    assert labels(answer) == ["apple"]
    assert answer["ignored_columns"] == ["id", "fruit"]
    assert "ignored_columns" not in ask(client, {"rows": [{"size": 1, "colour": "red"}]})


def test_missing_columns_are_named_with_what_was_expected_and_received(client):
    error = refused(client, {"rows": [{"size": 1, "colour": "red", "fresh": "no"}, {"size": 1, "color": "red"}]})
    assert (error.status, error.reason) == (400, "missing_columns")
    assert error.message.startswith(
        "Row 1: Columns are missing: colour, fresh. Expected: size, colour, fresh; received: size, color."
    )
    assert error.details["missing"] == ["colour", "fresh"]
    # An optional column alone may be absent; beside an unknown one it was perhaps written wrong.
    assert labels(ask(client, {"rows": [{"size": 1, "colour": "red"}]})) == ["apple"]
    error = refused(client, {"rows": [{"size": 1, "colour": "red", "frehs": "no"}]})
    assert (error.details["missing"], error.details["unknown"]) == (["fresh"], ["frehs"])
    assert refused(client, b"1,red,yes\n2,green,no\n").reason == "missing_columns"


def test_an_optional_column_may_be_absent_beside_those_that_the_training_left_out_but_not_all_of_them():
    of = read_input({"kind": "table", "columns": COLUMNS, "target": "fruit", "left_out": ["id"]})
    assert isinstance(of, TableInput)
    assert match_columns(["id", "size", "colour"], of).places == (1, 2, None)
    with pytest.raises(ColumnsError) as error:
        match_columns(["number", "size", "colour"], of)
    assert error.value.details["missing"] == ["fresh"]
    of = replace(of, columns=of.columns[2:])
    with pytest.raises(ColumnsError):
        match_columns([], of)


@pytest.mark.parametrize(
    ("value", "status", "reason", "words"),
    [
        ({"rows": []}, 400, "no_rows", "holds no row"),
        (b"size,colour,fresh\n", 400, "no_rows", "header"),
        (b"", 400, "no_rows", "holds no row"),
        ({"row": {}}, 400, "malformed_body", '{"rows": [{"size": …}]} was expected, an object with [\'row\']'),
        ({"rows": [[1, "red"]]}, 400, "malformed_row", "a list of 3 values"),
        ({"rows": ["red"]}, 400, "malformed_row", "a text was received"),
        ({"rows": [{"size": [1], "colour": "red"}]}, 400, "malformed_row", "the value of “size”"),
        ({"rows": [[1, 2, 3]] * (MAX_ROWS + 1)}, 413, "too_many_rows", "10000 rows"),
        (b"size,colour\n1,red,7\n", 400, "malformed_row", "Line 2 has 3 fields, the header names 2 columns"),
        (b'size,colour\n1,"red\n', 400, "not_csv", "does not parse as csv"),
        (b"\x89PNG\r\n\x1a\n\0\0", 415, "not_text", "A csv with a header was expected"),
    ],
)
def test_what_is_no_table_is_refused_with_what_was_expected(client, value, status, reason, words):
    error = refused(client, value)
    assert (error.status, error.reason) == (status, reason)
    assert words in error.message


def test_an_image_is_refused(client):
    with pytest.raises(ModelServerError, match="takes rows of a table") as error:
        client.predict([b"\xff\xd8\xff"])
    assert (error.value.status, error.value.reason) == (415, "unsupported_media_type")


def test_a_regression_has_no_classes_to_count(regression):
    with pytest.raises(ModelServerError, match="leave top_k out") as error:
        ask(regression, {"rows": [[1, "", ""]]}, top_k=2)
    assert error.value.reason == "invalid_top_k"


def test_metadata_tell_task_columns_types_and_examples(client, regression):
    metadata = client.metadata()
    assert metadata["task"] == "classification"
    assert metadata["input"] == {
        "kind": "table",
        "shape": [None, 3],
        "dtype": "string",
        "columns": [{"optional": False, **column} for column in COLUMNS],
        "target": "fruit",
    }
    assert metadata["engine"]["name"] == "tensorflow"
    assert (regression.metadata()["task"], regression.metadata()["labels"]) == ("regression", [])
