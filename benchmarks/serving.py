"""Latency, throughput and CPU time of `<address>/predict` with different JPEGs, beside the bare engine.

python -m benchmarks.serving [--images DIR] [--seconds N] [--concurrency 1 16 64]

The load is another process on the same machine: it takes cores from the site, as its own column says.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.photos import photos
from benchmarks.site import Measured, cpu_seconds, machine, measured_site, settle
from tests.e2e import life
from tests.e2e.site import ROOT

PHOTOS, WARM_UP_S, BARE_ROUNDS = 200, 3, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of JPEGs (default: noise of about 11 kB)")
    parser.add_argument("--seconds", type=float, default=10, help="of load for each row (default 10)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    with measured_site() as measured:
        images = measured.folder / "images"
        if arguments.images:
            shutil.copytree(arguments.images, images)
        else:
            photos(images, count=PHOTOS, size_px=150, detail_px=5, quality=91)
        job, _data = life.make_job(measured.client, measured.folder / "colours")
        # The original's network and input at its defaults; how well it has learned does not change what it costs.
        training = life.start_training(measured.client, job, "served", epochs=3)
        training = measured.client.wait(f"/trainings/{training['id']}/")
        deployment, token = life.deploy(measured.client, training, "served")
        settle(measured.site)
        _load(deployment["address"], token, images, concurrency=4, seconds=WARM_UP_S)
        print(
            f"{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}"
            f"{'serving':>10}{'model':>8}{'others':>8}{'all':>8}{'load':>8}   CPU ms a request ({machine()})"
        )
        for concurrency in arguments.concurrency:
            _measure(measured, deployment["address"], token, images, concurrency, arguments.seconds)
        _measure_bare(measured, images)


def _measure(measured: Measured, address: str, token: str, images: Path, concurrency: int, seconds: float) -> None:
    before = cpu_seconds(measured.site)
    answer = _load(address, token, images, concurrency=concurrency, seconds=seconds)
    used = {name: value - before.get(name, 0.0) for name, value in cpu_seconds(measured.site).items()}
    times_ms, count = answer["times_ms"], len(answer["times_ms"])
    refused = sum(answer["statuses"].values()) - count
    serving, model, everything = used["serving"], used["model server"], sum(used.values())
    cpu_ms = [value * 1000 / count for value in (serving, model, everything - serving - model, everything)]
    print(
        f"{concurrency:>8}{count / answer['seconds']:>12.0f}{times_ms[count // 2]:>9.1f}"
        f"{times_ms[count * 99 // 100]:>9.1f}{refused:>9}"
        f"{cpu_ms[0]:>10.2f}{cpu_ms[1]:>8.2f}{cpu_ms[2]:>8.2f}{cpu_ms[3]:>8.2f}{answer['cpu_s'] * 1000 / count:>8.2f}",
        flush=True,
    )


def _load(address: str, token: str, images: Path, *, concurrency: int, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", address, str(images), str(concurrency), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "TOKEN": token},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _measure_bare(measured: Measured, images: Path) -> None:
    """The same bundle in this process: one image after the other, decoded, resized and predicted by one thread."""
    from datasets.inspection.images import read_rgb
    from deployments.modelserver.predictor import Predictor
    from jobs.bundles.bundle import load_bundle
    from jobs.bundles.engine import load_engine

    (bundle_file,) = measured.site.home.glob("workspace/**/export/*/bundle.json")
    bundle = load_bundle(bundle_file.parent)
    predictor = Predictor(bundle, load_engine(bundle, threads=1))
    predictor.warm_up()
    contents = [path.read_bytes() for path in sorted(images.iterdir())]
    settle(measured.site)
    began, cpu_began = time.monotonic(), time.process_time()
    times_ms = []
    for number in range(BARE_ROUNDS):
        at = time.monotonic()
        predictor.predict([predictor.fit(read_rgb(contents[number % len(contents)]))], top_k=1)
        times_ms.append((time.monotonic() - at) * 1000)
    times_ms.sort()
    cpu_ms = (time.process_time() - cpu_began) * 1000 / BARE_ROUNDS
    print(
        f"{'bare':>8}{BARE_ROUNDS / (time.monotonic() - began):>12.0f}{times_ms[BARE_ROUNDS // 2]:>9.1f}"
        f"{times_ms[BARE_ROUNDS * 99 // 100]:>9.1f}{0:>9}{'':>10}{cpu_ms:>8.2f}{'':>8}{cpu_ms:>8.2f}{'':>8}"
        f"   {predictor.engine.name}, {predictor.engine.precision}, with decoding and resizing"
    )


if __name__ == "__main__":
    main()
