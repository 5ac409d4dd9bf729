"""Prediction jobs: exactly one row for each file, whatever happens to the process."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.sentences import from_json, to_json
from tests.deployments.bundles import make_bundle
from tests.deployments.test_modelserver import BLUE, GREEN, RED, ROOT, encoded, wait_until

STOPPED = 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


def make_run(tmp_path: Path, bundle: Path, files: list[tuple[str, Path]]) -> RunFolder:
    run = RunFolder.create(tmp_path / "run", {"bundle": str(bundle), "files": "input/files.jsonl", "threads": 2})
    rows = ({"id": index + 100, "name": name, "path": str(path)} for index, (name, path) in enumerate(files))
    write_jsonl(run.input / "files.jsonl", rows)
    return run


@pytest.fixture
def start() -> Iterator[Callable[[RunFolder], subprocess.Popen]]:
    processes = []

    def start_process(run: RunFolder) -> subprocess.Popen:
        command = [sys.executable, "-m", "deployments.modelserver.batch", str(run.path)]
        processes.append(subprocess.Popen(command, cwd=ROOT))
        return processes[-1]

    yield start_process
    for process in processes:
        process.kill()
        process.wait(10)


def rows_of(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in (run.output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def slow_files(tmp_path: Path, count: int, *, size_px: int = 1000) -> list[tuple[str, Path]]:
    path = tmp_path / "slow.jpg"
    path.write_bytes(encoded(RED, size_px=size_px, kind="JPEG"))
    return [(f"{index}.jpg", path) for index in range(count)]


def test_a_file_that_cannot_be_predicted_is_a_row_with_its_error(start, bundle, tmp_path):
    files = []
    for name, content in [
        ("빨강.png", encoded(RED)),
        ("text.jpg", b"no image"),
        ("green.jpg", encoded(GREEN, size_px=50, kind="JPEG")),
        ("blue.png", encoded(BLUE)),
    ]:
        (tmp_path / name).write_bytes(content)
        files.append((name, tmp_path / name))
    run = make_run(tmp_path, bundle, [*files, ("gone.jpg", tmp_path / "gone.jpg")] * 4)
    assert start(run).wait(30) == 0
    rows = rows_of(run)
    assert [row["id"] for row in rows] == list(range(100, 120))
    assert [row["label"] for row in rows[:5]] == [10, None, 20, 30, None]
    assert (rows[0]["name"], rows[0]["class_name"], rows[0]["error"]) == ("빨강.png", "red", "")
    assert rows[1]["error"] == {"template": "This is text, not an image.", "values": {}}
    assert rows[1]["top"] == []
    assert "gone.jpg cannot be read" in from_json(rows[4]["error"])
    assert "%(file)s" in rows[4]["error"]["template"]
    assert rows[4]["error"]["values"]["file"] == "gone.jpg"
    assert str(tmp_path) not in json.dumps(rows[4]["error"])
    result = run.result()
    assert result is not None
    assert (result["predicted"], result["failed"]) == (12, 8)
    assert result["seconds"] > 0
    assert run.read_events(0)[0][-1]["value"] == 1.0


def test_a_stopped_and_then_killed_job_goes_on_with_one_row_for_each_file(start, bundle, tmp_path):
    count = 80
    run = make_run(tmp_path, bundle, slow_files(tmp_path, count))
    process = start(run)
    wait_until(lambda: run.read_events(0)[0])
    run.request_stop()
    assert process.wait(20) == STOPPED
    stopped_at = json.loads((run.checkpoint / "position.json").read_text())["rows"]
    assert 0 < stopped_at < count
    (run.path / "STOP").unlink()

    events = len(run.read_events(0)[0])
    process = start(run)
    wait_until(lambda: len(run.read_events(0)[0]) > events)
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    assert run.result() is None
    with open(run.output / "predictions.jsonl", "ab") as output:
        output.write(b'{"id": 1, "torn')

    # The next attempt starts in a folder of its own, with only the checkpoint brought over.
    moved = make_run(tmp_path / "second", bundle, slow_files(tmp_path, count))
    shutil.copytree(run.checkpoint, moved.checkpoint)
    assert start(moved).wait(60) == 0
    assert [row["id"] for row in rows_of(moved)] == list(range(100, 100 + count))
    result = moved.result()
    assert result is not None
    assert (result["predicted"], result["failed"]) == (count, 0)


def test_a_checkpoint_that_is_cut_off_is_not_continued(start, bundle, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(RED))
    run = make_run(tmp_path, bundle, [("a.png", tmp_path / "a.png")] * 3)
    run.checkpoint.mkdir()
    position = {"rows": 2, "size_bytes": 1000, "failed": 0, "seconds": 1.0}
    (run.checkpoint / "position.json").write_text(json.dumps(position))
    (run.checkpoint / "predictions.jsonl").write_text('{"id": 100}\n')
    assert start(run).wait(30) == 0
    assert [row["label"] for row in rows_of(run)] == [10, 10, 10]


def test_a_bundle_that_cannot_be_served_is_told_to_the_user(start, tmp_path):
    run = make_run(tmp_path, tmp_path / "no-bundle", [])
    assert start(run).wait(30) == 1
    error = run.error()
    assert error is not None
    assert error["reason"] == "bundle_invalid"
    assert to_json(error["message"])["template"]
    assert str(tmp_path) not in error["message"]


@pytest.mark.slow
@pytest.mark.kill
def test_checkpoints_are_put_while_the_job_runs_and_survive_kill_9(start, bundle, tmp_path):
    run = make_run(tmp_path, bundle, slow_files(tmp_path, 1500, size_px=2000))
    process = start(run)
    started = time.monotonic()
    wait_until(lambda: (run.checkpoint / "position.json").exists(), timeout_s=40)
    assert 9 < time.monotonic() - started < 25
    process.kill()
    process.wait(5)
    events, _ = run.read_events(0)
    assert len(events) <= 2 * (events[-1]["time"] - events[0]["time"]) + 1

    # Only some of the rest, to keep the test short.
    count = json.loads((run.checkpoint / "position.json").read_text())["rows"] + 40
    files = (run.input / "files.jsonl").read_text().splitlines(keepends=True)
    (run.input / "files.jsonl").write_text("".join(files[:count]))
    assert start(run).wait(60) == 0
    assert [row["id"] for row in rows_of(run)] == list(range(100, 100 + count))
