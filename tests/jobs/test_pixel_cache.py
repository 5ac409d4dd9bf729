"""The cache of decoded images keeps to its limit, and never takes away what is used."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dlmodeler_site import local_cache
from dlmodeler_site.compute.run_folder import RunFolder
from jobs import pixel_cache
from jobs.algorithms.data import LabelledImage, LabelledPixels, load_pixels
from tests.cast import png

HOUR_S = 3600
SIZE_PX = 577  # 1 MB


@pytest.fixture(autouse=True)
def cache(settings: Any, tmp_path: Path) -> Path:
    settings.DLM_CACHE = tmp_path
    return pixel_cache.folder()


def decode(tmp_path: Path, red: int, *, hours_ago: float = 0) -> tuple[LabelledPixels, Path]:
    """One image through the cache, and where it lies there."""
    source = tmp_path / f"{red}.png"
    source.write_bytes(png((red, 0, 0)))
    image = LabelledImage(source.name, source, hashlib.sha256(source.read_bytes()).hexdigest(), 0)
    run = RunFolder.create(tmp_path / f"run-{red}-{time.monotonic_ns()}", {})
    pixels = load_pixels(run, [image], cache=pixel_cache.folder(), size_px=SIZE_PX, threads=1)
    path = pixel_cache.folder() / f"{pixels.key}.npy"
    os.utime(path, (time.time() - hours_ago * HOUR_S,) * 2)
    return pixels, path


def test_what_was_used_least_recently_goes_first_until_the_rest_fits(settings: Any, tmp_path: Path) -> None:
    paths = [decode(tmp_path, red, hours_ago=hours)[1] for red, hours in ((1, 3), (2, 5), (3, 4), (4, 2))]
    settings.DLM_CACHE_MB = 2
    local_cache.trim()
    assert [path.exists() for path in paths] == [True, False, False, True]


def test_what_a_training_has_open_stays_and_counts_as_used_now(settings: Any, tmp_path: Path) -> None:
    pixels, used = decode(tmp_path, 1, hours_ago=9)
    _, young = decode(tmp_path, 2, hours_ago=0.5)
    settings.DLM_CACHE_MB = 0
    local_cache.trim()
    assert used.exists()
    assert young.exists()
    assert time.time() - used.stat().st_mtime < HOUR_S
    pixels.file.close()
    os.utime(used, (0, 0))
    local_cache.trim()
    assert not used.exists()
    assert not used.with_suffix(".lock").exists()
    assert (decode(tmp_path, 1)[0].pixels[0, 0, 0] == (1, 0, 0)).all()


def test_without_a_limit_given_a_fifth_of_the_disk_is_enough_for_a_few_images(settings: Any, tmp_path: Path) -> None:
    _, path = decode(tmp_path, 1, hours_ago=100)
    assert settings.DLM_CACHE_MB is None
    local_cache.trim()
    assert path.exists()


def test_what_a_killed_decoder_left_goes_after_a_day(cache: Path) -> None:
    cache.mkdir()
    old, young = cache / ".0a.npy.11", cache / ".0b.npy.22"
    for path, hours in ((old, 25), (young, 23)):
        path.touch()
        os.utime(path, (time.time() - hours * HOUR_S,) * 2)
    local_cache.trim()
    assert (old.exists(), young.exists()) == (False, True)


def test_no_cache_yet_is_no_error() -> None:
    local_cache.trim()
