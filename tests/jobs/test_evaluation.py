"""Evaluations: the figures against scikit-learn's, the rows against the files, kills and stops."""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from dlmodeler_site.compute.run_folder import RunFolder, read_json, read_jsonl, write_jsonl
from dlmodeler_site.sentences import from_json
from jobs.bundles.bundle import Label
from jobs.evaluation.classification import ClassificationTally
from jobs.evaluation.regression import RegressionTally
from jobs.evaluation.rows import classification_rows, regression_rows, unreadable_row
from jobs.evaluation.samples import LabelMap, Sample
from tests.deployments.bundles import make_bundle
from tests.deployments.test_modelserver import BLUE, GREEN, RED, ROOT, encoded, wait_until

LABELS = (Label(1, "one"), Label(2, "two"), Label(3, "three"), Label(9, "never"), Label(0, ""))


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    tally = ClassificationTally(LABELS)
    for row in rows:
        tally.add(row)
    return tally.summary()


def test_the_figures_are_scikit_learns() -> None:
    generator = np.random.default_rng(5)
    targets = generator.integers(0, 3, 500)
    logits = generator.normal(size=(500, 5)) + 1.5 * np.eye(5)[targets] - [0, 0, 0, 50, 50]
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    samples = [Sample(None, f"{n}.jpg", LABELS[t].label, int(t)) for n, t in enumerate(targets)]
    rows = classification_rows(samples, probabilities, LABELS)
    summary = counted(rows)

    answers = probabilities.argmax(axis=1)
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(targets, answers))
    assert summary["loss"] == pytest.approx(metrics.log_loss(targets, probabilities, labels=range(5)), abs=1e-5)
    assert summary["labels"] == [
        {"label": label.label, "class_name": label.class_name} for label in LABELS if label.class_name
    ]
    confusion = metrics.confusion_matrix(targets, answers, labels=range(4))
    assert summary["confusion"] == confusion.tolist()
    expected = metrics.precision_recall_fscore_support(targets, answers, labels=range(4), zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        received = [entry[name] for entry in summary["per_class"]]
        assert received == [None if math.isnan(value) else pytest.approx(value) for value in values]
    assert summary["macro"]["f1"] == pytest.approx(metrics.f1_score(targets, answers, average="macro"))

    confidence, right = probabilities.max(axis=1), answers == targets
    inside = (confidence >= 0.6) & (confidence < 0.7)
    calibration = summary["calibration"]
    assert calibration["bins"][6] == {
        "from": 0.6,
        "to": 0.7,
        "count": int(inside.sum()),
        "confidence": pytest.approx(confidence[inside].mean(), abs=1e-5),
        "accuracy": pytest.approx(right[inside].mean()),
    }
    gaps = [
        abs(entry["confidence"] - entry["accuracy"]) * entry["count"] for entry in calibration["bins"] if entry["count"]
    ]
    assert calibration["ece"] == pytest.approx(sum(gaps) / 500)

    off = confusion - np.diag(np.diag(confusion))
    most = summary["most_confused"][0]
    assert most["count"] == off.max() == confusion[most["true"] - 1, most["predicted"] - 1]
    assert sum(entry["count"] for entry in summary["most_confused"]) == off.sum()

    losses = np.array([row["loss"] for row in rows])
    wrong = np.flatnonzero(~right)
    order = wrong[np.argsort(-losses[wrong], kind="stable")][:24]
    assert [mistake["row"] for mistake in summary["worst"]] == order.tolist()
    assert [row["top"][1]["label"] for row in rows[:9]] == [
        LABELS[index].label for index in probabilities[:9].argsort(axis=1)[:, -2]
    ]


def test_unknown_labels_and_unreadable_files_count_in_no_figure() -> None:
    sure = np.eye(5, dtype=np.float32)
    known = classification_rows([Sample(1, "a.jpg", "two", 1)], sure[[1]], LABELS)
    unknown = classification_rows([Sample(2, "b.jpg", "cat", None), Sample(3, "c.jpg", None, None)], sure[:2], LABELS)
    summary = counted([*known, *unknown, unreadable_row(Sample(4, "d.jpg", "one", 0), "broken")])
    assert (summary["samples"], summary["accuracy"], summary["loss"]) == (1, 1.0, 0.0)
    assert summary["unknown_labels"] == {
        "count": 2,
        "labels": [{"label": "cat", "count": 1}, {"label": "", "count": 1}],
    }
    assert summary["unreadable"] == {"count": 1, "names": ["d.jpg"]}
    assert unknown[0]["predicted"] == 1
    nothing = counted(unknown)
    assert (nothing["samples"], nothing["accuracy"], nothing["macro"]["f1"]) == (0, None, None)
    json.dumps(nothing, allow_nan=False)


@pytest.mark.parametrize(
    ("label", "output"),
    [(2, 1), ("2", 1), (" 02 ", 1), ("3.0", 2), ("three", 2), ("Three", 2), ("four", None), ("", None), (None, None)],
)
def test_a_label_is_found_by_its_number_or_its_name(label: Any, output: int | None) -> None:
    assert LabelMap(LABELS).index(label) == output


def test_the_figures_of_a_regression_are_scikit_learns() -> None:
    generator = np.random.default_rng(6)
    targets = generator.normal(size=5000)
    predicted = targets + generator.normal(scale=0.3, size=5000)
    predicted[7] = targets[7] + 9
    tally = RegressionTally()
    samples = [Sample(None, str(number), str(target), None) for number, target in enumerate(targets)]
    for row in regression_rows(samples, targets.tolist(), predicted):
        tally.add(row)
    summary = tally.summary()
    assert summary["r2"] == pytest.approx(metrics.r2_score(targets, predicted))
    assert summary["mae"] == pytest.approx(metrics.mean_absolute_error(targets, predicted))
    assert summary["rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, predicted))
    assert sum(summary["residuals"]["histogram"]["counts"]) == 5000
    assert len(summary["residuals"]["points"]) == 2000
    assert (summary["worst"][0]["row"], summary["worst"][0]["residual"]) == (7, pytest.approx(-9))


# -- the process --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


def make_run(tmp_path: Path, bundle: Path, files: list[tuple[Any, Path]]) -> RunFolder:
    spec = {"bundle": str(bundle), "samples": "input/samples.jsonl", "part": "other", "threads": 2}
    run = RunFolder.create(tmp_path / "run", spec)
    rows = (
        {"id": index + 100, "name": path.name, "path": str(path), "label": label}
        for index, (label, path) in enumerate(files)
    )
    write_jsonl(run.input / "samples.jsonl", rows)
    return run


@pytest.fixture
def start() -> Iterator[Callable[[RunFolder], subprocess.Popen[bytes]]]:
    processes = []

    def start_process(run: RunFolder) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "-m", "jobs.evaluation", str(run.path)], cwd=ROOT))
        return processes[-1]

    yield start_process
    for process in processes:
        process.kill()
        process.wait(10)


def image(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_the_model_is_measured_on_labelled_files(start, bundle: Path, tmp_path: Path) -> None:
    red, green = image(tmp_path, "빨강.png", encoded(RED)), image(tmp_path, "green.jpg", encoded(GREEN, kind="JPEG"))
    blue, text = image(tmp_path, "blue.png", encoded(BLUE)), image(tmp_path, "text.jpg", b"no image")
    files = [(10, red), ("green", green), ("20", green), ("10", blue), ("purple", red), ("10", text)]
    run = make_run(tmp_path, bundle, [*files, (30, tmp_path / "gone.png")])
    assert start(run).wait(60) == 0
    rows = list(read_jsonl(run.output / "evaluation" / "evaluation.jsonl"))
    assert [row["id"] for row in rows] == list(range(100, 107))
    assert [row["target"] for row in rows] == [10, 20, 20, 10, None, None, None]
    assert [row["predicted"] for row in rows] == [10, 20, 20, 30, 10, None, None]
    assert from_json(rows[5]["error"]) == "This is text, not an image."
    assert "cannot be read from storage" in from_json(rows[6]["error"])
    summary = read_json(run.output / "evaluation" / "evaluation.json")
    result = run.result()
    assert result is not None
    assert result["summary"] == summary
    assert (summary["task"], summary["part"], summary["of"], summary["samples"]) == ("classification", "other", 7, 4)
    assert summary["accuracy"] == 0.75
    assert summary["confusion"] == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert summary["unreadable"] == {"count": 2, "names": ["text.jpg", "gone.png"]}
    assert summary["unknown_labels"] == {"count": 1, "labels": [{"label": "purple", "count": 1}]}
    assert summary["engine"] == {"name": "openvino", "precision": "f32", "fallback": "", "gate": {}}
    assert [(mistake["row"], mistake["heatmap"]) for mistake in summary["worst"]] == [(3, None)]


def test_labels_that_the_model_does_not_know_are_told(start, bundle: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bundle, [("cat", image(tmp_path, "red.png", encoded(RED)))])
    assert start(run).wait(60) == 1
    error = run.error()
    assert error is not None
    assert error["reason"] == "nothing_measured"
    assert "It knows red, green, 30; received cat." in error["message"]


def test_no_samples_and_no_bundle_are_told(start, bundle: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bundle, [])
    assert start(run).wait(60) == 1
    assert (run.error() or {})["reason"] == "no_samples"
    run = make_run(tmp_path, tmp_path / "none", [("red", image(tmp_path, "red.png", encoded(RED)))])
    assert start(run).wait(60) == 1
    assert (run.error() or {})["reason"] == "bundle_invalid"


def test_a_kill_and_a_stop_cost_no_row(start, bundle: Path, tmp_path: Path) -> None:
    slow = image(tmp_path, "slow.jpg", encoded(RED, size_px=1000, kind="JPEG"))
    run = make_run(tmp_path, bundle, [(10, slow)] * 600)
    rows = run.output / "evaluation" / "evaluation.jsonl"
    first = start(run)
    wait_until(lambda: rows.exists() and rows.stat().st_size > 0, 60)
    run.request_stop()
    assert first.wait(60) == 3
    (run.path / "STOP").unlink()
    stopped_at = read_json(run.checkpoint / "position.json")["rows"]
    assert 0 < stopped_at < 600
    second = start(run)
    wait_until(lambda: rows.stat().st_size > (run.checkpoint / rows.name).stat().st_size, 60)
    second.send_signal(signal.SIGKILL)
    second.wait(10)
    started = time.monotonic()
    assert start(run).wait(60) == 0
    assert [row["id"] for row in read_jsonl(rows)] == list(range(100, 700))
    summary = read_json(run.output / "evaluation" / "evaluation.json")
    assert (summary["samples"], summary["accuracy"]) == (600, 1.0)
    assert summary["seconds"] > 0
    assert time.monotonic() - started < 60
