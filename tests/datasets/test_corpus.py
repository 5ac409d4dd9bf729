"""Broken, strange and hostile files through the whole of a data's life: see `corpus.py` for what they are."""

import ctypes
import faulthandler
import io
import resource
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from PIL import Image

from datasets.inspection.images import FORMATS, read_rgb
from datasets.inspection.names import check_name
from datasets.inspection.parallel import map_files
from datasets.models import Data, File
from datasets.versions import create_raw_data
from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl, write_jsonl
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_dataset, run_work
from tests.datasets.corpus import Specimen, corpus
from tests.datasets.corpus_strange import scan_bomb
from tests.datasets.test_uploads import commit, upload

SAFE_TYPES = {
    *("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/tiff", "image/jp2"),
    "image/x-icon",
}
STEPS = [{"op": "flip_up_down"}, {"op": "grayscale"}]
NOT_WRITTEN = ("PSD", "SUN")
# Larger ones are decoded by the runs alone: here it would only take time.
SMALL_PIXELS = 4_000_000
_REQUEST_FILES = 500


@pytest.mark.django_db
@pytest.mark.timeout(1200)  # 30 s alone on two cores, which others may be using too; a few minutes if thorough
@pytest.mark.parametrize("is_thorough", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_file_ends_and_none_is_served_as_active_content(is_thorough: bool) -> None:
    cast = make_cast()
    specimens = {check_name(file.name): file for file in corpus(is_thorough=is_thorough)}
    raw = create_raw_data(make_dataset(cast.project), cast.alice, name="corpus")
    for batch in _batches(list(specimens.items()), _REQUEST_FILES):
        answers = upload(
            cast, raw, [("file", file.content) for _name, file in batch], paths=[name for name, _file in batch]
        )
        assert {answer["state"] for answer in answers} == {"ok"}
    commit(cast, raw)
    assert (raw.status, raw.attempt) == (Status.COMPLETED, 1), raw.error
    files = {file.name: file for file in raw.files.all()}
    assert files.keys() == specimens.keys()
    assert raw.file_count + raw.rejected_count == len(specimens)
    assert sum(raw.profile["reasons"].values()) == raw.rejected_count
    for name, file in files.items():
        _check_end(file, specimens[name])

    processed = _processed(cast, raw)
    sound = [file for file in files.values() if file.state == File.State.OK]
    made = {file.name: file for file in processed.files.all()}
    assert made.keys() == {file.name for file in sound}
    for file in sound:
        is_written = file.content == "image" and file.format not in NOT_WRITTEN
        result = made[file.name]
        assert result.state == ("ok" if is_written else "rejected"), (file.name, result.error)
        assert result.error or is_written
        if is_written:
            assert (result.width, result.height) == (file.width, file.height), file.name

    client = api(cast.bob)
    refused = [file for file in files.values() if file.state != File.State.OK]
    for file in (*sound, *refused[:: 9 if is_thorough else 1], *list(made.values())[::5]):
        _check_served(client, file)
    # Of the largest images there are, two at once; the parent's share is small.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2.5 * 2**20, "KiB"


def _batches(items: list[tuple[str, Specimen]], size: int) -> Iterator[list[tuple[str, Specimen]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _processed(cast: Cast, raw: Data) -> Data:
    body = {"name": "processed", "steps": STEPS, "on_error": "skip"}
    answer = api(cast.alice).post(reverse("api-data-preprocess", args=[raw.pk]), body)
    assert answer.status_code in (201, 202), answer.json()
    processed = run_work(Data.objects.get(pk=answer.json()["id"]))
    assert (processed.status, processed.attempt) == (Status.COMPLETED, 1), processed.error
    return processed


def _check_end(file: File, specimen: Specimen) -> None:
    """Either all that is told of a sound file is true, or it is told what is wrong."""
    if file.state == File.State.REJECTED:
        assert file.error.endswith((".", "…")), (file.name, file.error)
        assert not file.has_thumbnail
        is_readable = specimen.name.removeprefix("sound/").partition("-")[0] in (*FORMATS, "MPO")
        assert specimen.kind != "sound" or not is_readable, (file.name, file.error)
        return
    assert (file.state, file.error) == (File.State.OK, ""), file.name
    assert file.content in ("image", "text", "table")
    if file.content != "image":
        assert not file.has_thumbnail
        return
    assert file.has_thumbnail
    assert file.mode
    assert file.width
    assert file.height
    if file.width * file.height <= SMALL_PIXELS:
        # What is ok can be used by trainings, predictions and the model server, all of which read it so.
        assert read_rgb(specimen.content).shape == (file.height, file.width, 3), file.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(specimen.content), formats=FORMATS) as image:
                assert {file.width, file.height} == set(image.size), file.name
                assert file.format == image.format


def _check_served(client: Any, file: File) -> None:
    answer = client.get(reverse("api-file-content", args=[file.pk]))
    if file.state != File.State.OK:
        assert answer.status_code == 404, file.name
        assert answer["Content-Type"] == "application/json"
        return
    assert answer.status_code == 200, file.name
    assert b"".join(answer.streaming_content) == _stored(file.key)
    _check_inert(answer, file)
    if not file.has_thumbnail:
        return
    answer = client.get(reverse("api-file-thumbnail", args=[file.pk]))
    assert answer["Content-Type"] == "image/jpeg"
    _check_inert(answer, file)
    with Image.open(io.BytesIO(b"".join(answer.streaming_content)), formats=["JPEG"]) as thumbnail:
        thumbnail.load()
        assert max(thumbnail.size) <= 256


def _check_inert(answer: Any, file: File) -> None:
    """A browser shows nothing but pictures, and guesses and runs nothing."""
    kind = answer["Content-Type"]
    if kind not in SAFE_TYPES:
        assert answer["Content-Disposition"].startswith("attachment"), (file.name, kind)
        assert kind in ("application/octet-stream", "text/plain; charset=utf-8"), (file.name, kind)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def _stored(key: str) -> bytes:
    with workspace().open(key) as file:
        content: bytes = file.read()
    return content


@pytest.mark.parametrize("module", ["datasets.inspection", "datasets.preprocessing"])
def test_a_decoder_that_does_not_end_costs_its_file_alone(tmp_path: Path, module: str) -> None:
    """A progressive JPEG of some 100 KB that takes longer than is allowed: the worker that reads it is killed."""
    rows = []
    for number in range(40):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(scan_bomb(8000, 98) if number == 7 else scan_bomb(80, 2))
        rows.append({"id": number, "name": path.name, "path": str(path), "label": "", "content": "image"})
    spec = {"files": "input/files.jsonl", "thumbnail_px": 256, "workers": 2, "decode_seconds": 0.2}
    run = RunFolder.create(tmp_path / "run", {**spec, "steps": STEPS, "on_error": "skip"})
    write_jsonl(run.input / "files.jsonl", rows)
    ended = subprocess.run([sys.executable, "-m", module, str(run.path)], cwd=Path(__file__).parents[2], timeout=60)
    assert ended.returncode == 0
    found = {row["id"]: row for row in read_jsonl(run.output / "files.jsonl")}
    assert found.keys() == set(range(40))
    assert found[7]["reason"] == "decoder_crashed"
    assert Counter(row["state"] for row in found.values()) == {"ok": 39, "rejected": 1}


def crash_on_13(numbers: Iterable[int]) -> Iterator[str]:
    """As a decoder in C would do it."""
    for number in numbers:
        if number == 13:
            faulthandler.disable()  # or pytest's writes all stacks into the summary
            ctypes.string_at(0)
        yield f"{number}"


def test_a_segmentation_fault_costs_its_file_alone(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    results = map_files(run, crash_on_13, range(100), total=100, workers=2, lost=lambda number: f"lost {number}")
    assert sorted(results) == sorted(["lost 13", *(f"{number}" for number in range(100) if number != 13)])


def take_memory(sizes: Iterable[int]) -> Iterator[bool]:
    for size_bytes in sizes:
        try:
            yield len(bytearray(size_bytes)) == size_bytes
        except MemoryError:
            yield False


def test_the_memory_of_a_worker_is_bounded(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    sizes = [1 << 20, 16 << 30]
    assert sorted(map_files(run, take_memory, sizes, total=2, workers=1, lost=lambda _size: False)) == [False, True]
