"""Many small files in one data, from the archive to the deletion for ever: seconds, memory, disk, pages, queries.

python -m benchmarks.scale [--files 200000]

Every page is compared with the same page of a data of 200 files: it must take no more queries.
"""

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pages import Ask, Browser, count_queries, measure
from benchmarks.scale_files import write_archive
from benchmarks.site import MIB, Measured, PartPeaks, machine, measured_site, settle

FILES, FEW, SINGLE = 200_000, 200, 1000
EXCLUDED = 5000
ROUNDS = 5
MAX_PAGE_MS, MAX_PROCESS_BYTES = 200, 1000 * MIB
BUCKETS, DRAWS, DRAWN = 20, 300, 100
MAX_CHI_SQUARE = 43.8  # 19 degrees of freedom: one in a thousand uniform samples is beyond
SLICE_S, SLOW_S = 1.0, 3600.0


@dataclass
class Scale:
    """The measurement so far."""

    measured: Measured
    files: int
    peaks: PartPeaks
    project: int = 0
    dataset: int = 0
    phases: list[tuple[str, float, int]] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str, files: int) -> Iterator[None]:
        self.peaks.phase = name
        began = time.monotonic()
        yield
        self.took(name, time.monotonic() - began, files)

    def took(self, name: str, seconds: float, files: int) -> None:
        self.phases.append((name, seconds, files))
        print(f"{name:44}{seconds:>9.1f} s{seconds * 1000 / max(files, 1):>9.2f} ms a file   ({machine()})", flush=True)

    # -- In ----------------------------------------------------------------------------------------

    def upload(self, archive: Path, name: str) -> int:
        client = self.measured.client
        data = client.post("/data/", {"dataset": self.dataset, "name": name, "description": ""})["id"]
        with archive.open("rb") as file:
            (taken,) = client.post(
                f"/data/{data}/files/",
                data={"unzip": "true", "labels_from_folders": "true"},
                files=[("files", (archive.name, file))],
            )
        if taken["state"] != "ok":
            raise SystemExit(f"{taken['name']}: {taken['error']}")
        return int(data)

    def wait(self, *data: int) -> tuple[float, float]:
        """Until all are completed; seconds until the last run's computing had ended, and until the end."""
        client, began, computed_s = self.measured.client, time.monotonic(), 0.0
        for each in data:
            while (state := client.get(f"/data/{each}/"))["status"] in ("queued", "running"):
                if state["progress"] < 1:
                    computed_s = time.monotonic() - began
                time.sleep(0.5)
            if state["status"] != "completed":
                raise SystemExit(f"{each}: {state['status']}: {state['error']}")
        return computed_s, time.monotonic() - began

    def upload_singly(self) -> None:
        """What 1,000 files cost that come one by one, 200 in a call."""
        client = self.measured.client
        archive = self.measured.folder / "single.zip"
        with tempfile.TemporaryDirectory(dir=self.measured.folder) as name:
            write_archive(archive, count=SINGLE, seed=2)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(name)
            paths = [path for path in sorted(Path(name).rglob("*")) if path.is_file()]
            data = client.post("/data/", {"dataset": self.dataset, "name": "single", "description": ""})["id"]
            with self.phase(f"API: {SINGLE} files, 200 in a call", SINGLE):
                for start in range(0, SINGLE, 200):
                    with contextlib.ExitStack() as opened:
                        parts = [
                            ("files", (path.name, opened.enter_context(path.open("rb"))))
                            for path in paths[start : start + 200]
                        ]
                        client.post(f"/data/{data}/files/", files=parts)
            with self.phase(f"inspection of these {SINGLE}", SINGLE):
                client.post(f"/data/{data}/commit/")
                self.wait(data)

    # -- Told by the database ------------------------------------------------------------------------

    def ids(self, data: int) -> list[int]:
        """The ids of the sound files, in order."""
        return [pk for (pk,) in self._rows("SELECT id FROM datasets_file WHERE data_id=? AND state='ok'", data)]

    def is_gone(self, data: int) -> bool:
        return not self._rows("SELECT id FROM datasets_data WHERE id=?", data)

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.measured.site.home}/db.sqlite3?mode=ro", uri=True)) as db:
            return sorted(db.execute(query, values).fetchall())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES)
    given = parser.parse_args()
    with measured_site() as measured, PartPeaks(measured.site) as peaks:
        scale = Scale(measured, given.files, peaks)
        project = measured.client.post("/projects/", {"name": "scale", "description": "benchmark"})
        scale.project = project["id"]
        scale.dataset = measured.client.post(
            "/datasets/", {"project": scale.project, "name": "photos", "description": ""}
        )["id"]
        few, many = _fill(scale)
        settle(measured.site)
        browser = Browser(measured.site.address)
        peaks.phase = "pages"
        is_quick = _measure_pages(scale, browser, few, many)
        is_uniform = _measure_sample(scale, many)
        made = _select(scale, many)
        settle(measured.site)
        _delete(scale, [*made, many])
        is_small = _report_memory(peaks)
    return 0 if is_quick and is_uniform and is_small else 1


def _fill(scale: Scale) -> tuple[int, int]:
    """A data of few and one of many files."""
    folder, client = scale.measured.folder, scale.measured.client
    write_archive(folder / "few.zip", count=FEW, seed=1)
    with scale.phase("drawing the archive", scale.files):
        write_archive(folder / "many.zip", count=scale.files)
    print(f"{'archive':44}{(folder / 'many.zip').stat().st_size / MIB:>9.1f} MiB", flush=True)
    few = scale.upload(folder / "few.zip", "few")
    client.post(f"/data/{few}/commit/")
    scale.wait(few)
    with scale.phase("upload of the archive", scale.files):
        many = scale.upload(folder / "many.zip", "many")
    with scale.phase("commit to completed", scale.files), _Beside(scale, few):
        client.post(f"/data/{many}/commit/")
        computed_s, whole_s = scale.wait(many)
    scale.took("  of it unpacked and inspected", computed_s, scale.files)
    scale.took("  of it profiled, moved and recorded", whole_s - computed_s, scale.files)
    state = client.get(f"/data/{many}/")
    print(f"{'files; rejected':44}{state['file_count']:>9}; {state['rejected_count']}")
    _report_disk(scale)
    scale.upload_singly()
    return few, many


class _Beside:
    """Asks for a page of another data each second, and prints how long that took while the block ran."""

    def __init__(self, scale: Scale, data: int) -> None:
        self._browser, self._wanted = Browser(scale.measured.site.address), Ask("", "/data/{}/files/").of(data)
        self._times: list[float] = []
        self._largest: dict[str, int] = {}
        self._runs = scale.measured.site.home / "runs"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        print(
            f"{'  a page of another data meanwhile':44}{statistics.median(self._times):>9.0f} ms, "
            f"at worst {max(self._times):.0f} ms"
        )
        sizes = ", ".join(f"{name} {size / MIB:.1f}" for name, size in sorted(self._largest.items()))
        print(f"{'  files of the run at their largest, MiB':44}   {sizes}", flush=True)

    def _ask(self) -> None:
        while not self._done.wait(SLICE_S):
            began = time.monotonic()
            self._browser.ask(self._wanted)
            self._times.append((time.monotonic() - began) * 1000)
            for path in [*self._runs.glob("*/*/*.jsonl"), *self._runs.glob("*/*/output/*.json*")]:
                with contextlib.suppress(FileNotFoundError):
                    self._largest[path.name] = max(self._largest.get(path.name, 0), path.stat().st_size)


def _report_disk(scale: Scale) -> None:
    home = scale.measured.site.home
    database = sum(path.stat().st_size for path in home.glob("db.sqlite3*"))
    print(f"{'database':44}{database / MIB:>9.1f} MiB{database / scale.files:>9.0f} bytes a file")
    for folder in sorted(path for path in home.iterdir() if path.is_dir()):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        if len(sizes) > FEW:
            print(f"{folder.name:44}{sum(sizes) / MIB:>9.1f} MiB{len(sizes):>9} files", flush=True)


# -- Pages -----------------------------------------------------------------------------------------


def _pages(scale: Scale, names: list[str]) -> list[Ask]:
    last, middle = -(-scale.files // 25), scale.files // 50
    files = "/data/{}/files/?view=list"
    exclude = json.dumps([{"op": "exclude", "files": names}])
    near = json.dumps([{"op": "drop_duplicates", "near": True}])
    rename = json.dumps([{"op": "rename_label", "from": "class-00", "to": "class-01"}])
    preview = {"data_id": "{}", "name": "new", "on_error": "fail", "description": ""}
    api = "/api/v1/data/{}/"
    return [
        Ask("data page", "/data/{}/"),
        Ask("data page, class balance", "/data/{}/balance/"),
        Ask("sample, refreshed", "/data/{}/sample/"),
        Ask("files, list", files),
        Ask("  middle page", f"{files}&page={middle}"),
        Ask("  last page", f"{files}&page={last}"),
        Ask("files, grid", "/data/{}/files/?view=grid"),
        Ask("  page 1000", "/data/{}/files/?view=grid&page=1000"),
        Ask("  last page", f"/data/{{}}/files/?view=grid&page={last}"),
        Ask("files, refused", f"{files}&state=rejected"),
        Ask("files, accepted, last page", f"{files}&state=ok&page={last}"),
        Ask("files, label", f"{files}&label=class-00"),
        Ask("  last page", f"{files}&label=class-00&page={last}"),
        Ask("  largest first", f"{files}&label=class-00&sort=-size"),
        Ask("files, no label", f"{files}&unlabelled=1"),
        Ask("files, content", f"{files}&content=image&page={middle}"),
        Ask("files, size", f"{files}&min_kb=0.7&max_kb=0.9&page={last}"),
        Ask("files, width and height", f"{files}&min_width=28&max_height=32&page={last}"),
        Ask("files, search", f"{files}&search=0001"),
        Ask("  finds all, last page", f"{files}&search=image&page={last}"),
        Ask("  finds none", f"{files}&search=nothing-like-it"),
        Ask("  by name", f"{files}&search=0001&sort=name"),
        *(Ask(f"files by {order}", f"{files}&sort={order}") for order in ("name", "-name", "size", "-size")),
        *(Ask("  middle page", f"{files}&sort={order}&page={middle}") for order in ("name", "-size")),
        Ask("files, wide and accepted by name", f"{files}&sort=name&state=ok&min_width=28&page={middle}"),
        Ask("names of a class to mend", "/data/{}/files/names/?label=class-39"),
        Ask("explore", "/data/{}/explore/"),
        Ask("  classes", "/data/{}/explore/classes/?page=2"),
        Ask("  duplicates", "/data/{}/explore/alike/"),
        Ask("  look-alikes", "/data/{}/explore/alike/?near=1"),
        Ask("mend dialog, exclude", "/data/{}/mend/", {"steps": exclude}),
        Ask("  drop look-alikes", "/data/{}/mend/", {"steps": near}),
        Ask("  rename a label", "/data/{}/mend/", {"steps": rename}),
        Ask("preprocess page", f"/projects/{scale.project}/data/preprocess/?data={{}}"),
        Ask("  preview", f"/projects/{scale.project}/data/preprocess/preview/", {**preview, "step-0-op": "grayscale"}),
        Ask(
            "  preview of a selection",
            f"/projects/{scale.project}/data/preprocess/preview/",
            {**preview, "step-0-op": "drop_rejected"},
        ),
        Ask("dataset page", f"/datasets/{scale.dataset}/"),
        Ask("list of datasets", f"/projects/{scale.project}/data/"),
        Ask("what a deletion takes along", "/data/{}/delete-preview/"),
        Ask("API: data", api),
        Ask("API: list of data", f"/api/v1/data/?dataset={scale.dataset}"),
        Ask("API: files", f"{api}files/"),
        Ask("  200 rows, last page", f"{api}files/?page_size=200&page={-(-scale.files // 200)}"),
        Ask("  label", f"{api}files/?label=class-00"),
        Ask("  search by name", f"{api}files/?search=0001&ordering=name"),
        Ask("API: sample of 12", f"{api}sample/?n=12"),
        Ask("API: profile", f"{api}profile/"),
        Ask("API: lineage", f"{api}lineage/"),
        Ask("API: selection", f"{api}preprocess/selection/", body={"steps": [{"op": "drop_rejected"}]}),
    ]


def _measure_pages(scale: Scale, browser: Browser, few: int, many: int) -> bool:
    """Whether all were quick and took the same queries for few files as for many."""
    files = scale.measured.client.get(f"/data/{few}/files/?state=ok&page_size=3")["results"]
    of_few = [each["name"] for each in files]
    files = scale.measured.client.get(f"/data/{many}/files/?state=ok&page_size=3")["results"]
    of_many = [each["name"] for each in files]
    pages = _pages(scale, of_many)
    # A page beyond the last is the last one for people, and an error for programs.
    last = f"page={-(-scale.files // 200)}"
    at_few = [
        Ask(each.name, each.path.replace(last, "page=1") if "/api/" in each.path else each.path, each.form, each.body)
        for each in _pages(scale, of_few)
    ]
    # Measured first: what is counted is remembered for a while, and the first answer is to be one without that.
    tooks = [measure(scale.measured, browser, each.of(many), rounds=ROUNDS) for each in pages]
    queries_at_few = count_queries(scale.measured, [each.of(few) for each in at_few])
    queries_at_many = count_queries(scale.measured, [each.of(many) for each in pages])
    print(f"\n{'':36}{'first':>8}{'median':>8}{'worst':>8}{'CPU ms':>8}{'queries':>9}{f'at {FEW}':>8}   ({machine()})")
    is_met = True
    for wanted, took, *queries in zip(pages, tooks, queries_at_many, queries_at_few, strict=True):
        # Fewer are fine: what looks alike is not counted among very many.
        is_good = took.median_ms < MAX_PAGE_MS and queries[0] <= queries[1]
        print(
            f"{wanted.name:36}{took.first_ms:>8.0f}{took.median_ms:>8.0f}{took.worst_ms:>8.0f}{took.cpu_ms:>8.0f}"
            f"{queries[0]:>9}{queries[1]:>8}{'' if is_good else '   <--'}",
            flush=True,
        )
        is_met = is_met and is_good
    times = []
    for _round in range(ROUNDS):
        began = time.monotonic()
        with browser.session.get(f"{browser.address}/data/{many}/download/", stream=True, timeout=120) as answer:
            answer.raise_for_status()
            next(answer.iter_content(1))
            times.append((time.monotonic() - began) * 1000)
    print(f"{'download as zip, first byte':36}{times[0]:>8.0f}{statistics.median(times):>8.0f}{max(times):>8.0f}")
    return is_met


def _measure_sample(scale: Scale, data: int) -> bool:
    """Whether files of every part of the data are drawn alike: chi-square of their places."""
    scale.peaks.phase = "sample"
    place = {pk: number for number, pk in enumerate(scale.ids(data))}
    counts = [0] * BUCKETS
    for _draw in range(DRAWS):
        for file in scale.measured.client.get(f"/data/{data}/sample/?n={DRAWN}"):
            counts[place[file["id"]] * BUCKETS // len(place)] += 1
    expected = sum(counts) / BUCKETS
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    print(
        f"\n{sum(counts)} files drawn in {DRAWS} samples: {min(counts)} to {max(counts)} in each twentieth; "
        f"chi-square {chi_square:.1f}, at most {MAX_CHI_SQUARE} in 999 of 1,000 cases",
        flush=True,
    )
    return chi_square <= MAX_CHI_SQUARE


# -- Out -------------------------------------------------------------------------------------------


def _select(scale: Scale, data: int) -> list[int]:
    """Leave out many files, and split what stays into three data."""
    client = scale.measured.client
    count = min(EXCLUDED, scale.files // 10)
    names = [
        file["name"]
        for page in range(1, -(-count // 200) + 1)
        for file in client.get(f"/data/{data}/files/?state=ok&page_size=200&page={page}")["results"]
    ]
    with scale.phase("exclude and split into three data", scale.files):
        began = time.monotonic()
        made = client.post(
            f"/data/{data}/split/",
            {"name": "part", "train": 70, "validation": 20, "test": 10, "seed": 1}
            | {"steps": [{"op": "exclude", "files": names}]},
        )
        asked_s = time.monotonic() - began
        computed_s, _whole_s = scale.wait(*(each["id"] for each in made))
    scale.took("  of it the request", asked_s, scale.files)
    scale.took("  of it selected", computed_s, scale.files)
    counts = {each["name"]: client.get(f"/data/{each['id']}/")["file_count"] for each in made}
    print(f"{'  files':44}   {len(names)} excluded, {counts}")
    return [each["id"] for each in made]


def _delete(scale: Scale, data: list[int]) -> None:
    """Each into the trash, one back and in again, then all for ever."""
    client = scale.measured.client
    address = client.address + "/api/v1"
    files = sum(client.get(f"/data/{each}/")["file_count"] for each in data)
    with scale.phase("into the trash, one restored, in again", files):
        for each in data:
            client.session.delete(f"{address}/data/{each}/", timeout=30).raise_for_status()
        client.post(f"/trash/data/{data[-1]}/restore/")
        client.session.delete(f"{address}/data/{data[-1]}/", timeout=30).raise_for_status()
    database = scale.measured.site.home / "db.sqlite3"
    before = database.stat().st_size
    with scale.phase(f"for ever, {files} files", files):
        for each in data:
            client.session.delete(f"{address}/trash/data/{each}/", timeout=30).raise_for_status()
        end = time.monotonic() + SLOW_S
        while not all(map(scale.is_gone, data)):
            if time.monotonic() > end:
                raise SystemExit("not deleted in time")
            time.sleep(0.5)
    left = sum(1 for path in (scale.measured.site.home / "workspace").rglob("*") if path.is_file())
    print(f"{'files left; database before and after':44}{left:>9}; {before / MIB:.0f} and ", end="")
    print(f"{database.stat().st_size / MIB:.0f} MiB", flush=True)


def _report_memory(peaks: PartPeaks) -> bool:
    print(f"\n{'most memory of one process, RSS':44}{'MiB':>9}")
    for name, (size_bytes, phase) in sorted(peaks.bytes.items()):
        print(f"{name:44}{size_bytes / MIB:>9.0f}   {phase}")
    return max(size_bytes for size_bytes, _phase in peaks.bytes.values()) < MAX_PROCESS_BYTES


if __name__ == "__main__":
    sys.exit(main())
