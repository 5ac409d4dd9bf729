"""Processes on this machine. They die with whoever started them, so that none is ever left behind."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dlmodeler_site.compute.base import Resources, gpu_count
from dlmodeler_site.compute.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class LocalHandle:
    process: subprocess.Popen[bytes]

    def poll(self) -> int | None:
        return self.process.poll()

    def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)

    def stop(self) -> None:
        # The whole group, also when its leader is dead already: what it forked must not outlive the attempt.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class LocalBackend:
    blocking: bool = False

    def start(self, run: RunFolder, module: str, resources: Resources) -> LocalHandle:
        with open(run.log, "ab") as log:
            process = subprocess.Popen(
                # The kernel kills it when this process dies; `entry` checks that it had not died before.
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module, str(run.path)],
                cwd=ROOT,
                env=clean_environment(resources),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.blocking:
            process.wait()
        return LocalHandle(process)

    def gpus(self) -> int:
        return gpu_count()


def clean_environment(resources: Resources) -> dict[str, str]:
    """The whole environment of a computing process. SECURITY: nothing of the site's own is passed on."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONUNBUFFERED": "1",
        "DLM_PARENT_PID": str(os.getpid()),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the order of the device files
        "CUDA_VISIBLE_DEVICES": ",".join(resources.devices),
    }
