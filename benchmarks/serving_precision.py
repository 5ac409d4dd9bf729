"""One model served in float32 and in bfloat16: latency through the model server, in turn, of one image and of 50.

python -m benchmarks.serving_precision [--images DIR --labels CSV] [--networks original transfer] [--rounds N]

Trains each network with its defaults first, of which --images and --labels are the photos; without them it draws
digits. Both servers are up, each is asked by itself. The client is another process on the same cores.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.site import machine
from benchmarks.training import draw_digits, make_run_folder
from deployments.client import ModelServerClient
from tests.e2e.site import ROOT

MANY = 50
WARM_UP, START_S = 5, 60
PRECISIONS = ("f32", "bf16")

Server = tuple[ModelServerClient, psutil.Process]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--labels", type=Path, help="csv with a file name and a class in each row")
    parser.add_argument("--networks", nargs="+", default=["original", "transfer"])
    parser.add_argument("--rounds", type=int, default=200, help="requests of one image; of 50 a tenth (default 200)")
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.labels is None):
        parser.error("--images and --labels go together")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images, labels = (arguments.images, arguments.labels) if arguments.images else draw_digits(work)
        contents = [path.read_bytes() for path in sorted(images.iterdir())]
        for network in arguments.networks:
            bundle = _train(work / network, images, labels, network)
            engine = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["engine"]
            print(f"{network}: the gate chose {engine['precision']} {json.dumps(engine['gate'])}", flush=True)
            _measure(work / network, bundle, contents, arguments.rounds)


def _train(work: Path, images: Path, labels: Path, network: str) -> Path:
    run = make_run_folder(work / "run", work / "cache", images, labels, network=network)
    with open(run.log, "wb") as log:
        command = [sys.executable, "-m", "jobs.algorithms", str(run.path)]
        if subprocess.run(command, stdout=log, stderr=log, check=False).returncode:
            raise SystemExit(f"The training failed: {run.error()}\n{run.log_tail()}")
    return run.output / "bundle"


def _measure(work: Path, bundle: Path, contents: list[bytes], rounds: int) -> None:
    with contextlib.ExitStack() as stack:
        servers = {
            precision: stack.enter_context(_server(work, _served_in(bundle, work / precision, precision), precision))
            for precision in PRECISIONS
        }
        running = {name: client.metadata()["engine"]["precision"] for name, (client, _process) in servers.items()}
        if running != dict(zip(PRECISIONS, PRECISIONS, strict=True)):
            raise SystemExit(f"The CPU has no bfloat16: the servers run in {running}.")
        for count, times in ((1, rounds), (MANY, max(rounds // 10, 1))):
            measured = _ask(servers, contents, count, times)
            (f32_ms, f32_cpu_ms), (bf16_ms, bf16_cpu_ms) = (measured[name] for name in PRECISIONS)
            print(
                f"{count:>6} images a request: f32 {f32_ms:.2f} ms, bf16 {bf16_ms:.2f} ms, {f32_ms / bf16_ms:.2f} "
                f"times as fast; CPU an image {f32_cpu_ms:.2f} and {bf16_cpu_ms:.2f} ms ({machine()})",
                flush=True,
            )


def _ask(servers: dict[str, Server], contents: list[bytes], count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Of each server, asked in turn with the same images: the median latency, and CPU time an image, in ms."""
    times_ms: dict[str, list[float]] = {name: [] for name in servers}
    cpu_s = dict.fromkeys(servers, 0.0)
    for number in range(-WARM_UP, rounds):
        if number == 0:
            cpu_s = {name: -_cpu_s(process) for name, (_client, process) in servers.items()}
        images = [contents[(number + place) % len(contents)] for place in range(count)]
        for name, (client, _process) in servers.items():
            began = time.perf_counter()
            client.predict(images)
            if number >= 0:
                times_ms[name].append((time.perf_counter() - began) * 1000)
    return {
        name: (statistics.median(times_ms[name]), (cpu_s[name] + _cpu_s(process)) * 1000 / (rounds * count))
        for name, (_client, process) in servers.items()
    }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _served_in(bundle: Path, target: Path, precision: str) -> Path:
    """A copy of the bundle that is to be served at the precision, whatever the gate chose."""
    shutil.copytree(bundle, target)
    file = target / "bundle.json"
    description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    description["engine"]["precision"] = precision
    file.write_text(json.dumps(description), encoding="utf-8")
    return target


@contextlib.contextmanager
def _server(work: Path, bundle: Path, name: str) -> Iterator[Server]:
    path = work / f"{name}.sock"
    command = [sys.executable, "-m", "deployments.modelserver", str(bundle), "--socket", str(path)]
    with open(work / f"{name}.log", "wb") as log:
        threads = str(len(os.sched_getaffinity(0)))
        process = subprocess.Popen([*command, "--threads", threads], cwd=ROOT, stdout=log, stderr=log)
    client, end = ModelServerClient(path), time.monotonic() + START_S
    try:
        while not client.healthy():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"The model server did not start:\n{(work / f'{name}.log').read_text()}")
            time.sleep(0.05)
        yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
