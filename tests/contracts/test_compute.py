"""What every compute backend does with a run folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmodeler_site.compute.base import Backend, Resources
from dlmodeler_site.compute.inline import InlineBackend
from dlmodeler_site.compute.local import ROOT, LocalBackend
from dlmodeler_site.compute.run_folder import RunFolder

MODULE = "tests.contracts.module"
every_backend = pytest.mark.parametrize("backend", [LocalBackend(), LocalBackend(blocking=True), InlineBackend()])


def wait_until(holds: Callable[[], object], timeout_s: float = 15) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def run_to_end(backend: Backend, run: RunFolder) -> int:
    handle = backend.start(run, MODULE, Resources())
    wait_until(lambda: handle.poll() is not None)
    code = handle.poll()
    assert code is not None
    return code


@every_backend
def test_a_result_means_success(backend: Backend, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"steps": 3})
    assert run_to_end(backend, run) == 0
    assert run.result() == {"answer": 42}
    events, _offset = run.read_events(0)
    assert [event["value"] for event in events] == pytest.approx([1 / 3, 2 / 3, 1])
    assert "working" in run.log_tail()


@every_backend
def test_what_the_user_can_mend_is_told_in_one_sentence(backend: Backend, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"raise": "user"})
    assert run_to_end(backend, run) == 1
    assert run.error() == {"message": "The data has no images.", "reason": "no_images"}
    assert run.result() is None


@every_backend
def test_a_bug_leaves_a_traceback_in_the_log_and_no_result(backend: Backend, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"raise": "bug"})
    assert run_to_end(backend, run) == 1
    assert "ZeroDivisionError" in run.log_tail()
    assert run.result() is None
    assert run.error() is None


def test_a_stop_is_taken_at_the_next_safe_point(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"steps": 1000, "seconds": 0.05})
    handle = LocalBackend().start(run, MODULE, Resources())
    run.request_stop()
    wait_until(lambda: handle.poll() is not None)
    assert handle.poll() == 3


def test_stopping_ends_what_the_process_started(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"grandchild": True, "steps": 1000, "seconds": 0.1})
    handle = LocalBackend().start(run, MODULE, Resources())
    wait_until(lambda: (run.output / "grandchild").exists() and (run.output / "grandchild").read_text())
    grandchild = int((run.output / "grandchild").read_text())
    handle.stop()
    wait_until(lambda: not alive(grandchild))


def test_stopping_ends_what_a_killed_process_left_behind(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"grandchild": True, "steps": 1000, "seconds": 0.1})
    handle = LocalBackend().start(run, MODULE, Resources())
    wait_until(lambda: (run.output / "grandchild").exists() and (run.output / "grandchild").read_text())
    grandchild = int((run.output / "grandchild").read_text())
    os.kill(handle.process.pid, signal.SIGKILL)
    wait_until(lambda: handle.poll() is not None)
    assert alive(grandchild)
    handle.stop()
    wait_until(lambda: not alive(grandchild))


def test_a_killed_starter_takes_the_process_with_it(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"steps": 1000, "seconds": 0.1})
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from dlmodeler_site.compute.local import LocalBackend\nfrom dlmodeler_site.compute.base import Resources\n"
        "from dlmodeler_site.compute.run_folder import RunFolder\n"
        f"handle = LocalBackend().start(RunFolder(Path(sys.argv[1])), '{MODULE}', Resources())\n"
        "print(handle.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        wait_until(lambda: run.read_events(0)[0])
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(pid))


def test_no_secret_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host/db")
    monkeypatch.setenv("DLM_SECRET_KEY", "secret")
    run = RunFolder.create(tmp_path / "run", {})
    run_to_end(LocalBackend(), run)
    names = set((run.output / "environment").read_text().split())
    assert not names & {"DATABASE_URL", "DLM_SECRET_KEY", "DJANGO_SETTINGS_MODULE", "DLM_HOME"}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX" and os.path.exists(f"/proc/{pid}")
