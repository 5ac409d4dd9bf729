import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from dlmodeler_site.compute.base import gpu_count
from dlmodeler_site.process_log import ProcessLog
from dlmodeler_site.processes import Addresses, processes
from dlmodeler_site.start_checks import CannotStart, require_free_ports

PYTHON = sys.executable
SLEEPER = [PYTHON, "-c", "import time; time.sleep(300)"]
STUBBORN = [
    PYTHON,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(300)",
]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor over a table, in a process of its own; whatever is left is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start_site(table: dict[str, list[str]], *, home: Path = tmp_path, **description: Any) -> subprocess.Popen[str]:
        argv = [PYTHON, "-m", "tests.site.fake_site", str(home), json.dumps({"table": table, **description})]
        site = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(site)
        return site

    yield start_site
    for site in started:
        site.kill()
        site.communicate()


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 10) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
    return answer


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def descendants(site: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(site.pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until_gone(processes: list[psutil.Process], *, timeout_s: float) -> None:
    wait_until(lambda: all(is_gone(process) for process in processes), timeout_s=timeout_s)


def test_what_dies_is_restarted_after_growing_delays_and_its_last_words_are_shown(start: Start, tmp_path: Path):
    times = tmp_path / "times"
    code = f"import time; open({str(times)!r}, 'a').write(f'{{time.time()}}\\n'); print('out of luck'); exit(3)"
    site = start({"unlucky": [PYTHON, "-c", code]}, timing={"backoff_first_s": 0.2, "backoff_max_s": 0.8})
    wait_until(lambda: len(lines_of(times)) >= 5)
    site.terminate()
    output, _ = site.communicate(timeout=10)

    starts = [float(line) for line in lines_of(times)]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    for gap, delay in zip(gaps, [0.2, 0.4, 0.8, 0.8], strict=False):
        assert delay <= gap < delay + 0.7
    assert "unlucky: ended with exit code 3" in output
    assert "  out of luck" in output
    assert "out of luck" in (tmp_path / "logs" / "unlucky.log").read_text()


def test_a_killed_process_is_restarted_and_takes_what_it_forked_along(start: Start, tmp_path: Path):
    pids = tmp_path / "pids"
    start({"queue": [PYTHON, "-m", "tests.site.forking", str(pids)]}, timing={"backoff_first_s": 0.1})
    wait_until(lambda: len(lines_of(pids)) == 4)
    first = [psutil.Process(int(pid)) for pid in lines_of(pids)]
    first[0].kill()
    wait_until_gone(first, timeout_s=2)
    wait_until(lambda: len(lines_of(pids)) == 8)


def test_sigterm_stops_all_even_one_that_ignores_it(start: Start, tmp_path: Path):
    site = start({"deaf": STUBBORN, "sleeper": SLEEPER}, timing={"stop_grace_s": 1})
    wait_until(lambda: lines_of(tmp_path / "logs" / "deaf.log"))
    processes = descendants(site)
    assert len(processes) == 2
    began = time.monotonic()
    site.terminate()
    assert site.wait(timeout=10) == 0
    assert 1 <= time.monotonic() - began < 3
    assert all(is_gone(process) for process in processes)


def test_a_second_interrupt_kills_at_once(start: Start, tmp_path: Path):
    site = start({"deaf": STUBBORN}, timing={"stop_grace_s": 60})
    wait_until(lambda: lines_of(tmp_path / "logs" / "deaf.log"))
    processes = descendants(site)
    site.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert site.poll() is None
    site.send_signal(signal.SIGINT)
    assert site.wait(timeout=3) == 0
    assert all(is_gone(process) for process in processes)


def test_stop_also_ends_what_escaped_into_a_session_of_its_own(start: Start, tmp_path: Path):
    escaped = tmp_path / "escaped"
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '300'], start_new_session=True);"
        f"open({str(escaped)!r}, 'w').write(str(child.pid)); time.sleep(300)"
    )
    site = start({"leaky": [PYTHON, "-c", code]})
    child = psutil.Process(int(wait_until(lambda: lines_of(escaped))[0]))
    site.terminate()
    assert site.wait(timeout=10) == 0
    assert is_gone(child)


def test_kill_9_of_the_supervisor_leaves_no_orphan(start: Start, tmp_path: Path):
    pids = tmp_path / "pids"
    gunicorn = [PYTHON, "-m", "gunicorn", "--config", "python:dlmodeler_site.gunicorn_conf", "--bind", "127.0.0.1:0"]
    site = start(
        {
            "web": [*gunicorn, "--workers", "2", "wsgiref.simple_server:demo_app"],
            "queue": [PYTHON, "-m", "tests.site.forking", str(pids)],
            "deaf": STUBBORN,
        },
    )
    web_log = tmp_path / "logs" / "web.log"
    wait_until(lambda: len(lines_of(pids)) == 4 and web_log.read_text().count("Booting worker") == 2)
    processes = descendants(site)
    assert len(processes) == 3 + 4 + 1
    site.kill()
    wait_until_gone(processes, timeout_s=2)


def test_a_second_supervisor_on_one_home_is_refused_and_told_which_process_holds_it(start: Start, tmp_path: Path):
    first = start({"sleeper": SLEEPER})
    wait_until(lambda: (tmp_path / "logs" / "sleeper.log").exists())
    second = start({"sleeper": SLEEPER})
    output, _ = second.communicate(timeout=10)
    assert second.returncode == 1
    assert f"(pid {first.pid})" in output
    assert str(tmp_path) in output

    beside = tmp_path / "beside"
    start({"sleeper": SLEEPER}, home=beside)
    wait_until(lambda: (beside / "logs" / "sleeper.log").exists())

    first.kill()
    first.wait()
    third = start({"sleeper": SLEEPER})
    wait_until(lambda: descendants(third))


def test_a_failed_preparation_is_shown_and_nothing_starts(start: Start, tmp_path: Path):
    site = start({"sleeper": SLEEPER}, prepare=[PYTHON, "-c", "print('no such database'); raise SystemExit(1)"])
    output, _ = site.communicate(timeout=10)
    assert site.returncode == 1
    assert "no such database" in output
    assert "sleeper: started" not in output


def test_a_taken_port_is_named_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        addresses = Addresses.of({"DLM_BIND": "127.0.0.1", "DLM_PORT": str(port - 1)})
        with pytest.raises(CannotStart, match=f"Port {port} on 127.0.0.1 cannot be used"):
            require_free_ports(addresses, patience_s=0)


def test_a_port_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"DLM_PORT must be a port.*'eighty'"):
        Addresses.of({"DLM_PORT": "eighty"})


def test_the_gpu_queue_runs_only_where_a_gpu_is():
    names = [process.name for process in processes({})]
    assert names == ["web", "serving", "keeper", "queue-short", "queue-cpu"] + ["queue-gpu"] * bool(gpu_count())


def test_a_process_log_is_bounded_and_keeps_the_last_lines(tmp_path: Path):
    log = ProcessLog(tmp_path / "web.log", max_bytes=1000)
    for number in range(1000):
        log.write(f"line {number}\n".encode())
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"web.log", "web.log.1", "web.log.2", "web.log.3"}
    assert max(sizes.values()) <= 1000
    assert log.last_lines() == [f"line {number}" for number in range(980, 1000)]
    assert log.last_lines() == []


def test_the_supervisor_holds_no_django():
    code = "import sys, dlmodeler_site.supervisor; print('django' in sys.modules)"
    assert subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
