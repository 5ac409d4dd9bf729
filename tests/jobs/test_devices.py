"""Several devices share a training: nothing of it changes but the time that it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_two_devices_give_the_losses_of_one(tmp_path: Path) -> None:
    """Logical CPU devices, in a process of its own: they must be made before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.mirrored", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"original", "original in pieces", "transfer"} <= found.keys()
    for case, (one, two) in found.items():
        assert len(one) == len(two) > 0, case
        for expected, received in zip(one, two, strict=True):
            assert received == pytest.approx(expected, abs=1e-4), case
