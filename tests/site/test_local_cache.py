"""What was fetched from the bucket keeps to the limit of the cache; what a run may be using stays."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dlmodeler_site import local_cache
from dlmodeler_site.s3_cache import cached_file, cached_tree
from dlmodeler_site.storage import Put
from dlmodeler_site.storage_s3 import S3Workspace
from dlmodeler_site.work import runner
from dlmodeler_site.work.models import Status
from tests.cast import make_cast, make_data, make_dataset, png
from tests.ceph import Ceph

HOUR_S = 3600
SIZE_BYTES = 1_000_000

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def cache(settings: Any, tmp_path: Path) -> Path:
    settings.DLM_CACHE = tmp_path / "cache"
    settings.DLM_CACHE.mkdir()
    return Path(settings.DLM_CACHE)


@pytest.fixture
def storage(ceph: Ceph) -> S3Workspace:
    return S3Workspace(bucket_name=ceph.new_bucket(), **ceph.options)


def fetched(storage: S3Workspace, number: int, tmp_path: Path, *, hours_ago: float) -> Path:
    """A file in the bucket and the cache, used last so long ago."""
    content = bytes([number]) * SIZE_BYTES
    source, sha256 = tmp_path / "source", hashlib.sha256(content).hexdigest()
    source.write_bytes(content)
    storage.put_files([Put(f"data/{number}", source)])
    path = storage.local_path(f"data/{number}", sha256)
    used(path, hours_ago=hours_ago)
    return path


def used(path: Path, *, hours_ago: float) -> None:
    os.utime(path, (time.time() - hours_ago * HOUR_S,) * 2)


def test_what_was_used_least_recently_goes_and_is_fetched_again(
    storage: S3Workspace, settings: Any, tmp_path: Path
) -> None:
    paths = [fetched(storage, number, tmp_path, hours_ago=hours) for number, hours in enumerate((9, 0.5, 4, 2))]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(bytes(SIZE_BYTES))
    storage.put_tree("model", tmp_path / "model")
    tree = storage.local_tree("model")
    used(tree, hours_ago=5)
    settings.DLM_CACHE_MB = 5
    local_cache.trim()
    assert all(path.exists() for path in (*paths, tree)), "all of it fits"
    settings.DLM_CACHE_MB = 3
    local_cache.trim()
    assert [path.exists() for path in (*paths, tree)] == [False, True, True, True, False]
    assert storage.local_path("data/0", paths[0].name).read_bytes() == bytes(SIZE_BYTES)
    assert (storage.local_tree("model") / "weights").stat().st_size == SIZE_BYTES


def test_what_was_used_since_the_oldest_run_began_stays(storage: S3Workspace, settings: Any, tmp_path: Path) -> None:
    before, since = (fetched(storage, number, tmp_path, hours_ago=hours) for number, hours in enumerate((9, 4)))
    data = make_data(make_dataset(make_cast().project), [("a.png", png())])
    type(data).objects.update(status=Status.RUNNING)
    runner.run_folder_path(data).mkdir(parents=True)
    used(runner.run_folder_path(data).parent, hours_ago=5)
    settings.DLM_CACHE_MB = 0
    local_cache.trim()
    assert (before.exists(), since.exists()) == (False, True)
    type(data).objects.update(status=Status.COMPLETED)
    local_cache.trim()
    assert not since.exists()


def test_what_is_used_while_it_is_evicted_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    listed_at = path.stat().st_mtime - 1
    assert not local_cache.evict_unless_used(path, listed_at)
    assert path.read_bytes() == b"content"
    assert local_cache.evict_unless_used(path, path.stat().st_mtime)
    assert not path.exists()


def test_what_killed_fetches_left_goes_after_a_day(cache: Path) -> None:
    parts = [cached_file("a" * 64).with_name(".1"), cached_tree("model").with_name(".2")]
    for path in parts:
        path.parent.mkdir(parents=True)
        path.touch()
    local_cache.trim()
    assert all(path.exists() for path in parts)
    for path in parts:
        used(path, hours_ago=25)
    local_cache.trim()
    assert not any(path.exists() for path in parts)
