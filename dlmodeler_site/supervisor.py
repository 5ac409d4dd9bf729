"""`python -m dlmodeler_site.supervisor`: starts the site's processes, restarts what dies, stops them all.

It imports no Django and holds one thread that forks, so that it stays small and its children's parent-death
signal means its own death. What runs is the table in `processes.py`; its logic knows nothing of the site.
"""

import argparse
import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dlmodeler_site.parent_death import adopt_orphans, die_with_parent
from dlmodeler_site.process_log import ProcessLog
from dlmodeler_site.processes import BASE_DIR, Addresses, Process, home_folder, preparation, processes
from dlmodeler_site.start_checks import CannotStart, hold, raise_open_files_limit, require_free_ports
from dlmodeler_site.workspace_settings import workspace_storage


@dataclass(frozen=True)
class Timing:
    """When the supervisor restarts and kills, in seconds."""

    backoff_first_s: float = 0.5
    backoff_max_s: float = 30
    healthy_after_s: float = 60
    stop_grace_s: float = 8


class Child:
    """One entry of the table and the process that runs it at the moment, if any."""

    def __init__(self, process: Process, log: ProcessLog, *, once: bool = False) -> None:
        self.process = process
        self.log = log
        self.once = once
        self.running: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.start_due = 0.0  # monotonic time of the next start, while it does not run
        self.failures = 0
        self.finished = False

    @property
    def pid(self) -> int | None:
        return self.running.pid if self.running else None


class Supervisor:
    """Runs `table` until a signal, after `prepare` (if any) has run and succeeded.

    SIGTERM, SIGINT and SIGHUP stop it: SIGTERM to every child, SIGKILL to what is left after the grace. A second
    SIGINT (Ctrl-C) kills at once. Each child leads its own session; what it forked goes with it, and what escaped
    into sessions of their own is found because the supervisor adopts orphans.
    """

    def __init__(
        self,
        home: Path,
        table: Sequence[Process],
        *,
        prepare: Process | None = None,
        environment: Mapping[str, str] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.home = home
        self.timing = timing or Timing()
        self.environment = dict(os.environ if environment is None else environment)
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.children = [Child(process, ProcessLog(logs / f"{process.name}.log")) for process in table]
        self.prepare = (
            Child(prepare, ProcessLog(logs / f"{prepare.name}.log", echo=say), once=True) if prepare else None
        )
        self.stopping = False
        self._stop_requested = False
        self._interrupts = 0
        self._kill_due = 0.0
        self._failed = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until stopped; answer the exit code: 0 after a clean stop, 1 when the preparation failed."""
        adopt_orphans()
        with self._signals():
            try:
                if self.prepare:
                    self._run_until_idle([self.prepare])
                if not self.stopping:
                    self._run_until_idle(self.children)
            finally:
                self._kill_everything()
        return 1 if self._failed else 0

    # -- the loop ------------------------------------------------------------------------------

    def _run_until_idle(self, children: list[Child]) -> None:
        """Keep `children` running, and return once a stop (or, for the preparation, the end) left none alive."""
        while True:
            self._reap(children)
            if self._stop_requested and not self.stopping:
                self._begin_stop(children)
            now = time.monotonic()
            if self.stopping:
                if self._interrupts > 1 or now >= self._kill_due:
                    return
            else:
                for child in children:
                    if not child.running and not child.finished and now >= child.start_due:
                        self._start(child)
            if not any(child.running or not (child.finished or self.stopping) for child in children):
                return
            self._wait(self._seconds_to_next_event(children, now))

    def _seconds_to_next_event(self, children: list[Child], now: float) -> float | None:
        if self.stopping:
            return max(self._kill_due - now, 0)
        due = [child.start_due for child in children if not child.running and not child.finished]
        return max(min(due) - now, 0) if due else None

    def _wait(self, timeout_s: float | None) -> None:
        for key, _events in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                self._read_output(key.fd, key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)  # the signals themselves are counted by their handler

    def _read_output(self, descriptor: int, child: Child) -> bool:
        """Write what the child said to its log; False when there is nothing (more) to read now."""
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if chunk:
            child.log.write(chunk)
            return True
        self._selector.unregister(descriptor)
        os.close(descriptor)
        return False

    # -- children ------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        supervisor_pid = os.getpid()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            child.running = subprocess.Popen(
                child.process.argv,
                cwd=BASE_DIR,
                env={**self.environment, "PYTHONUNBUFFERED": "1", **child.process.environment},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(supervisor_pid),
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(reading)
            say(f"{child.process.name}: cannot start {child.process.argv[0]}: {error}")
            self._plan_restart(child)
            return
        finally:
            os.close(writing)
        child.started_at = time.monotonic()
        self._selector.register(reading, selectors.EVENT_READ, child)
        if not child.once:
            say(f"{child.process.name}: started (pid {child.pid})")

    def _reap(self, children: list[Child]) -> None:
        """Collect every process that ended, adopted orphans included."""
        by_pid = {child.pid: child for child in children if child.running}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if child := by_pid.get(pid):
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, exit_code: int) -> None:
        if child.running is None:
            return
        pid = child.running.pid
        child.running.returncode = exit_code  # reaped here and not by Popen
        child.running = None
        kill_group(pid)  # what it forked must not go on beside its successor
        for key in [key for key in self._selector.get_map().values() if key.data is child]:
            # Bounded: a descendant that escaped the group may still hold the pipe and talk on.
            any(not self._read_output(key.fd, child) for _chunk in range(32))
        if self.stopping:
            return
        if child.once:
            child.finished = True
            if exit_code != 0:
                self._failed = self.stopping = True
                say(f"{child.process.name}: {describe_exit(exit_code)}. The site does not start.")
            return
        say(f"{child.process.name}: {describe_exit(exit_code)} (pid {pid}). Its last lines:")
        for line in child.log.last_lines():
            say(f"  {line}")
        self._plan_restart(child)

    def _plan_restart(self, child: Child) -> None:
        """Wait longer after each failure, and start afresh after one long healthy run."""
        now = time.monotonic()
        if child.started_at and now - child.started_at >= self.timing.healthy_after_s:
            child.failures = 0
        delay_s = min(self.timing.backoff_first_s * 2**child.failures, self.timing.backoff_max_s)
        child.failures = min(child.failures + 1, 30)
        child.start_due = now + delay_s
        say(f"{child.process.name}: starts again in {delay_s:g} s")

    # -- stopping ------------------------------------------------------------------------------

    def _begin_stop(self, children: list[Child]) -> None:
        self.stopping = True
        self._kill_due = time.monotonic() + self.timing.stop_grace_s
        say("stopping (Ctrl-C once more to kill at once)")
        for child in children:
            # Only the process itself: django-q2's main process deadlocks when its whole group gets SIGTERM.
            if child.running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.running.pid, signal.SIGTERM)

    def _kill_everything(self) -> None:
        """Kill all descendants: each one killed hands its own children to the supervisor, until none is left."""
        while pids := children_of(os.getpid()):
            for pid in pids:
                kill_group(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)
        for child in [*self.children, *([self.prepare] if self.prepare else [])]:
            if child.running:
                child.running.returncode = -signal.SIGKILL
                child.running = None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Count stop signals, and wake the loop for them and for ended children."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._selector.register(reading, selectors.EVENT_READ)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

        def request_stop(signal_number: int, frame: object) -> None:
            self._stop_requested = True
            self._interrupts += signal_number == signal.SIGINT

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, request_stop)
        signal.signal(signal.SIGCHLD, lambda signal_number, frame: None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._selector.close()
            os.close(reading)
            os.close(writing)


def say(line: str) -> None:
    """Tell whoever started the site; a closed terminal is no reason to stop."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def describe_exit(exit_code: int) -> str:
    """`ended with exit code 1` or `was killed by signal 9 (Killed)`."""
    if exit_code < 0:
        return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"ended with exit code {exit_code}"


def kill_group(leader_pid: int) -> None:
    """Kill every process of the group that `leader_pid` led, if any is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """The direct children of a process, zombies included."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            stat = Path(entry.path, "stat").read_bytes()
            # pid (command, which may hold anything) state parent …
            if int(stat.rpartition(b")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def announce_when_ready(addresses: Addresses) -> None:
    """Say `ready` once the site itself says so. Runs in a thread of its own, which ends with the process."""
    host = "127.0.0.1" if addresses.host == "0.0.0.0" else addresses.host
    name = urlsplit(addresses.web_url).netloc  # one that ALLOWED_HOSTS admits
    request = f"GET /api/v1/health/ready/ HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, addresses.web_port), timeout=10) as connection,
        ):
            connection.sendall(request.encode())
            if connection.recv(4096).split(b" ", 2)[1:2] == [b"200"]:
                say(f"ready: {addresses.web_url}")
                return
        time.sleep(0.3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the site of this environment in the foreground."""
    parser = argparse.ArgumentParser(prog="dlmodeler_site.supervisor", description="Run the site in the foreground.")
    parser.add_argument(
        "--stop-with-parent", action="store_true", help="stop when the process that started this one ends"
    )
    options = parser.parse_args(arguments)
    if options.stop_with_parent:
        die_with_parent(os.getppid(), signal_number=signal.SIGTERM)
    home = home_folder(os.environ)
    try:
        addresses = Addresses.of(os.environ)
        workspace_storage(os.environ, folder=home / "workspace")
        with hold(home):
            require_free_ports(addresses)
            raise_open_files_limit()
            say(f"DL Modeler: {addresses.web_url}, serving {addresses.serving_url}, state and logs in {home}")
            environment = {**os.environ, "DLM_HOME": str(home)}
            supervisor = Supervisor(home, processes(environment), prepare=preparation(), environment=environment)
            threading.Thread(target=announce_when_ready, args=[addresses], daemon=True).start()
            return supervisor.run()
    except (CannotStart, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
