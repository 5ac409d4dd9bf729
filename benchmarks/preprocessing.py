"""Flip up-down and grayscale of many photos: the preprocessing module against a Pillow loop of one and two processes.

python -m benchmarks.preprocessing [--images DIR --quality Q] [--rounds N] [--folder DIR]

Beside it, where the time of one photo goes: what libjpeg-turbo and the file system take is the physical limit.
"""

import argparse
import hashlib
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.photos import photos
from benchmarks.site import machine
from datasets.preprocessing.decoding import read_original
from datasets.preprocessing.files import Places, process_file
from datasets.preprocessing.pipeline import apply_steps
from datasets.preprocessing.plan import Plan
from datasets.preprocessing.registry import validate_steps
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from tests.e2e.site import ROOT

STEPS = [{"op": "flip_up_down"}, {"op": "grayscale"}]
FASTER_THAN_ONE, FASTER_THAN_TWO = 2.5, 1.5
_PARTS_OF, _PARTS_ROUNDS = 600, 5


@dataclass(frozen=True)
class Took:
    """Seconds of one run of all files: by the clock, and of the CPUs in all its processes."""

    wall_s: float
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of JPEG photos; else photos of noise are made")
    parser.add_argument("--quality", type=int, default=95, help="which the photos have and the results get (95)")
    parser.add_argument("--files", type=int, default=4200, help="how many photos to make (4,200)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work, for instance on a disk in memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source = options.images or folder / "photos"
        if options.images is None:
            photos(source, count=options.files, size_px=150, detail_px=5, quality=options.quality)
        paths = sorted(source.rglob("*.jpg"))
        met = _compare(paths, source, folder, options.quality, options.rounds)
        _print_parts(paths[:: max(1, len(paths) // _PARTS_OF)], folder)
    return 0 if met else 1


# -- Against Pillow -----------------------------------------------------------------------------


def _compare(paths: list[Path], source: Path, folder: Path, quality: int, rounds: int) -> bool:
    loop = ["-m", "benchmarks.pillow_loop", str(source), str(folder / "out"), str(quality)]
    commands = {
        "Pillow, 1 process": [*loop, "1"],
        "Pillow, 2 processes": [*loop, "2"],
        "codec and files alone, 2": [*loop, "2", "--bare"],
        "datasets.preprocessing": ["-m", "datasets.preprocessing", str(folder / "run")],
    }
    took: dict[str, list[Took]] = {name: [] for name in commands}
    print(f"{len(paths)} photos, {rounds} rounds in turn   ({machine()})", flush=True)
    for _round in range(rounds):
        for name, words in commands.items():
            shutil.rmtree(folder / "out", ignore_errors=True)
            _stage(folder / "run", paths, source)
            os.sync()
            took[name].append(_run(words))
    _run(commands["Pillow, 2 processes"])
    difference = _difference(paths, source, folder)
    print(f"\n{'':28}{'seconds':>10}{'photos/s':>10}{'CPU us/photo':>14}{'least':>8}")
    median_s = {}
    for name, runs in took.items():
        median_s[name] = statistics.median(run.wall_s for run in runs)
        cpu_us = [run.cpu_s / len(paths) * 1e6 for run in runs]
        print(
            f"{name:28}{median_s[name]:>10.2f}{len(paths) / median_s[name]:>10.0f}"
            f"{statistics.median(cpu_us):>14.0f}{min(cpu_us):>8.0f}"
        )
    ours_s, limit_s = median_s["datasets.preprocessing"], median_s["codec and files alone, 2"]
    one, two = median_s["Pillow, 1 process"] / ours_s, median_s["Pillow, 2 processes"] / ours_s
    print(f"times as fast as Pillow: {one:.2f} (1 process), {two:.2f} (2 processes)   ({machine()})")
    limits = [median_s[name] / limit_s for name in ("Pillow, 1 process", "Pillow, 2 processes")]
    print(f"what codec and files alone would be: {limits[0]:.2f} and {limits[1]:.2f}")
    print(f"greatest difference of a pixel from Pillow's file: {difference} grey levels", flush=True)
    return one >= FASTER_THAN_ONE and two >= FASTER_THAN_TWO and difference == 0


def _stage(run: Path, paths: list[Path], source: Path) -> None:
    """A run folder as the site makes it."""
    spec: dict[str, Any] = {"files": "input/files.jsonl", "steps": STEPS, "on_error": "fail"}
    folder = RunFolder.create(run, {**spec, "thumbnail_px": 256, "workers": len(os.sched_getaffinity(0))})
    rows = (
        {"id": number, "name": path.relative_to(source).as_posix(), "path": str(path), "label": path.parent.name}
        for number, path in enumerate(paths)
    )
    write_jsonl(folder.input / "files.jsonl", rows)


def _run(words: list[str]) -> Took:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _difference(paths: list[Path], source: Path, folder: Path) -> int:
    """The greatest difference between the pixels of our files and of Pillow's, in grey levels."""
    greatest = 0
    for path in paths:
        name = path.relative_to(source)
        ours, theirs = (
            np.asarray(Image.open(each / name), int) for each in (folder / "run/output/files", folder / "out")
        )
        greatest = max(greatest, int(np.abs(ours - theirs).max()))
    return greatest


# -- Where the time goes ------------------------------------------------------------------------


def _print_parts(paths: list[Path], folder: Path) -> None:
    """CPU time of each part of the work on one photo, in this process, the least of some rounds."""
    steps = validate_steps(STEPS)
    contents = [path.read_bytes() for path in paths]
    originals = [read_original(content) for content in contents]
    images = [apply_steps(original.upright, steps) for original in originals]
    results = [_encoded(original, image) for original, image in zip(originals, images, strict=True)]
    places, plan = Places(str(folder / "parts")), Plan.of(steps)
    numbers = range(len(paths))
    parts: dict[str, Callable[[int], object]] = {
        "read the file": lambda n: paths[n].read_bytes(),
        "decode (libjpeg-turbo)": lambda n: simplejpeg.decode_jpeg(contents[n], "RGBX"),
        "grayscale and flip": lambda n: apply_steps(originals[n].upright, steps),
        "encode (libjpeg-turbo)": lambda n: _encoded(originals[n], images[n]),
        "hash": lambda n: hashlib.sha256(results[n]).hexdigest(),
        "create and write the file": lambda n: (folder / "parts" / f"{n}.jpg").write_bytes(results[n]),
        "all of it: process_file": lambda n: list(process_file(str(paths[n]), f"{n}.jpg", plan, places, stem=f"{n}")),
    }
    print(f"\n{'parts of one photo':28}{'CPU us':>10}   ({machine()})")
    for name, do in parts.items():
        print(f"{name:28}{min(_cpu_us(do, numbers) for _round in range(_PARTS_ROUNDS)):>10.0f}", flush=True)


def _encoded(original: Any, image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    original.saver.save(image, buffer)
    return buffer.getvalue()


def _cpu_us(do: Callable[[int], object], numbers: range) -> float:
    began = time.process_time()
    for number in numbers:
        do(number)
    return (time.process_time() - began) / len(numbers) * 1e6


if __name__ == "__main__":
    sys.exit(main())
