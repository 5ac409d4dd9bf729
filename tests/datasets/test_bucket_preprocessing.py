"""Preprocessing with the workspace in a bucket: no more is fetched than is read."""

from pathlib import Path
from typing import Any

import pytest

from datasets.models import Data
from datasets.versions import preprocess_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, make_cast, make_data, make_dataset, png, run_work
from tests.ceph import Ceph

pytestmark = pytest.mark.django_db

FLIP = {"op": "flip_up_down"}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def source(cast: Cast, ceph: Ceph, settings: Any, tmp_path: Path) -> Data:
    """Six images, none of which is on this machine any more."""
    ceph.use_as_workspace(settings)
    files = [(f"{number}.png", png((40 * number, 0, 0))) for number in range(6)]
    data = make_data(make_dataset(cast.project), files, labels={"4.png": "odd", "5.png": "odd"})
    settings.DLM_CACHE = tmp_path / "cache"
    settings.DLM_CACHE.mkdir()
    return data


def fetched(ceph: Ceph, data: Data, offset: int) -> set[str]:
    bucket: str = workspace().bucket_name  # type: ignore[attr-defined]
    key = f"{data.files_key}/"
    return {name.removeprefix(key) for name, _size in ceph.gets(bucket, offset=offset) if name.startswith(key)}


@pytest.mark.parametrize("on_disk", [0, 2])
def test_only_what_the_selection_keeps_is_fetched(cast: Cast, ceph: Ceph, source: Data, on_disk: int) -> None:
    for file in source.files.order_by("-name")[:on_disk]:
        workspace().local_path(file.key_in(source), file.sha256)
    offset = ceph.log.stat().st_size
    steps = [{"op": "exclude", "files": ["0.png", "1.png"]}, {"op": "rename_label", "from": "odd", "to": "even"}, FLIP]
    made = run_work(preprocess_data(source, cast.alice, name="flipped", steps=steps))
    assert (made.status, made.file_count) == (Status.COMPLETED, 4), made.error
    assert fetched(ceph, source, offset) == {f"{number}.png" for number in range(2, 6 - on_disk)}
    assert set(made.files.values_list("name", "label")) == {
        ("2.png", ""),
        ("3.png", ""),
        ("4.png", "even"),
        ("5.png", "even"),
    }


def test_a_selection_that_leaves_nothing_fetches_nothing(cast: Cast, ceph: Ceph, source: Data) -> None:
    offset = ceph.log.stat().st_size
    steps = [{"op": "exclude", "files": [f"{number}.png" for number in range(6)]}, FLIP]
    made = run_work(preprocess_data(source, cast.alice, name="none", steps=steps))
    assert (made.status, made.error_reason) == (Status.FAILED, "no_files_left")
    assert fetched(ceph, source, offset) == set()
