"""A zip of images through the API, first byte to completed, against a plain script on the same cores.

python -m benchmarks.archive [--archive FILE.zip] [--rounds N]

The script unzips, decodes each image with Pillow and writes a thumbnail; with one process and with two. The site does
that too, and takes the upload, hashes, labels, profiles and records each file.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.photos import photos
from benchmarks.site import MIB, Measured, MemoryPeak, machine, measured_site, settle, spent_seconds
from tests.e2e.site import ROOT

FILES, POLL_S = 4200, 0.5
MAX_RATIO, MAX_GROWTH_BYTES = 2.0, 100 * MIB


@dataclass(frozen=True)
class Run:
    files: int
    seconds: float
    cpu_s: float

    def line(self, name: str) -> str:
        return f"{name:28}{self.seconds:>9.2f}{self.cpu_s:>9.2f}{self.cpu_s * 1000 / self.files:>14.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--archive", type=Path, help=f"a zip of images in folders (default: {FILES} drawn ones)")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with measured_site() as measured:
        archive = given.archive or _drawn(measured.folder)
        project = measured.client.post("/projects/", {"name": "archive", "description": "benchmark"})
        dataset = measured.client.post("/datasets/", {"project": project["id"], "name": "photos", "description": ""})
        runs: dict[str, list[Run]] = {"script, 1 process": [], "script, 2 processes": [], "site": []}
        growth_bytes = 0
        for number in range(given.rounds):  # in turns: what else the machine does is in all of them
            for processes, name in enumerate(list(runs)[:2], 1):
                # Nothing is deleted in between: ext4 is slow to make files where it has just deleted many.
                folder = measured.folder / f"script-{number}-{processes}"
                runs[name].append(_script(archive, folder, processes))
            settle(measured.site)
            with MemoryPeak(measured.site.find("gunicorn", "dlmodeler_site.wsgi")) as memory:
                runs["site"].append(_upload(measured, dataset["id"], archive))
            growth_bytes = max(growth_bytes, memory.growth_bytes)
        return _report(runs, growth_bytes)


def _report(runs: dict[str, list[Run]], growth_bytes: int) -> int:
    print(f"{runs['site'][0].files} files, median of {len(runs['site'])}   ({machine()})")
    print(f"{'':28}{'seconds':>9}{'CPU s':>9}{'CPU ms a file':>14}")
    median = {name: sorted(each, key=lambda run: run.seconds)[len(each) // 2] for name, each in runs.items()}
    for name, run in median.items():
        print(run.line(name))
    ratios = {
        name: statistics.median(site.seconds / script.seconds for site, script in zip(runs["site"], each, strict=True))
        for name, each in runs.items()
        if name != "site"
    }
    for name, ratio in ratios.items():
        print(f"{f'site / {name}':28}{ratio:>9.2f}")
    print(f"{'growth of the web processes':28}{growth_bytes / MIB:>5.0f} MiB", flush=True)
    return 0 if max(ratios.values()) <= MAX_RATIO and growth_bytes < MAX_GROWTH_BYTES else 1


def _drawn(folder: Path) -> Path:
    """An archive of about 15 kB a file in six folders, as photos of 150 px have it."""
    paths = photos(folder / "photos", count=FILES, size_px=150, detail_px=4, quality=91)
    archive = folder / "photos.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for number, path in enumerate(paths):
            packed.write(path, f"class-{number % 6}/{path.name}")
    return archive


def _script(archive: Path, folder: Path, processes: int) -> Run:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_unzip", str(archive), str(folder), str(processes)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return Run(**json.loads(done.stdout))


def _upload(measured: Measured, dataset: int, archive: Path) -> Run:
    client = measured.client
    data = client.post("/data/", {"dataset": dataset, "name": archive.stem, "description": ""})
    path = f"/data/{data['id']}/"
    spent_s, began = spent_seconds(measured.site), time.time()
    with archive.open("rb") as file:
        (taken,) = client.post(
            f"{path}files/",
            data={"unzip": "true", "labels_from_folders": "true"},
            files=[("files", (archive.name, file))],
        )
    if taken["state"] != "ok":
        raise SystemExit(f"{taken['name']}: {taken['error']}")
    client.post(f"{path}commit/")
    while (state := client.get(path))["status"] in ("queued", "running"):
        time.sleep(POLL_S)
    # When it was completed, not when that was seen: to ask more often would cost the site what is measured.
    seconds = datetime.fromisoformat(state["finished_at"]).timestamp() - began
    if state["status"] != "completed" or state["rejected_count"]:
        raise SystemExit(f"{state['status']}, {state['rejected_count']} rejected: {state['error']}")
    return Run(state["file_count"], seconds, spent_seconds(measured.site) - spent_s)


if __name__ == "__main__":
    sys.exit(main())
