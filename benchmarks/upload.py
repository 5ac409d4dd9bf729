"""1,000 images in one call of the API: memory of the web process, then the list of their files.

python -m benchmarks.upload [--files N]
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from benchmarks.pages import Ask, Browser, count_queries, measure
from benchmarks.photos import photos
from benchmarks.site import MIB, Measured, MemoryPeak, machine, measured_site, settle

FEW, ROUNDS = 10, 20
MAX_GROWTH_BYTES, MAX_PAGE_MS = 100 * MIB, 200


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="at most 1,000, the limit of one call (default 1000)")
    count = parser.parse_args().files
    with measured_site() as measured:
        # About 11 kB each, as the photos of the demo.
        paths = photos(measured.folder / "photos", count=count, size_px=150, detail_px=5, quality=91)
        size_bytes = sum(path.stat().st_size for path in paths)
        project = measured.client.post("/projects/", {"name": "upload", "description": "benchmark"})
        dataset = measured.client.post("/datasets/", {"project": project["id"], "name": "photos", "description": ""})
        settle(measured.site)
        # The first upload of the process: what it loads only now counts as well.
        with MemoryPeak(measured.site.find("gunicorn", "dlmodeler_site.wsgi")) as memory:
            many, upload_s = _upload(measured, dataset["id"], paths)
        few, _seconds = _upload(measured, dataset["id"], paths[:FEW])
        print(f"{count} files, {size_bytes / count / 1000:.1f} kB each, in one call   ({machine()})")
        print(f"{'seconds of the call':36}{upload_s:.1f}")
        print(f"{'web processes before, RSS':36}{memory.before_bytes / MIB:.0f} MiB")
        print(f"{'growth at the peak, RSS':36}{memory.growth_bytes / MIB:.0f} MiB")
        print(f"{'growth afterwards, PSS':36}{memory.left_bytes / MIB:.0f} MiB", flush=True)
        began = time.monotonic()
        for data in (few, many):
            measured.client.post(f"/data/{data}/commit/")
            measured.client.wait(f"/data/{data}/")
        print(f"{'seconds of inspection':36}{time.monotonic() - began:.1f}", flush=True)
        settle(measured.site)
        slowest_ms, is_constant = _measure_lists(measured, few, many, count)
    return 0 if memory.growth_bytes < MAX_GROWTH_BYTES and slowest_ms < MAX_PAGE_MS and is_constant else 1


def _upload(measured: Measured, dataset: int, paths: list[Path]) -> tuple[int, float]:
    """A data with these files in one call: its id, and the seconds of the call."""
    name = f"{len(paths)} files"
    data = measured.client.post("/data/", {"dataset": dataset, "name": name, "description": ""})
    with contextlib.ExitStack() as opened:
        parts = [("files", (path.name, opened.enter_context(open(path, "rb")))) for path in paths]
        began = time.monotonic()
        results = measured.client.post(f"/data/{data['id']}/files/", files=parts)
        seconds = time.monotonic() - began
    taken = sum(result["state"] != "rejected" for result in results)
    if taken != len(paths):
        raise SystemExit(f"{taken} of {len(paths)} files were taken")
    return data["id"], seconds


def _measure_lists(measured: Measured, few: int, many: int, count: int) -> tuple[float, bool]:
    """Print time and queries of the lists; the slowest median in ms, and whether the queries are the same."""
    browser = Browser(measured.site.address)
    lists = [
        Ask("page", "/data/{}/files/?view=list"),
        Ask("page, 100 rows", "/data/{}/files/?view=list&per_page=100"),
        Ask("API", "/api/v1/data/{}/files/"),
        Ask("API, 200 rows", "/api/v1/data/{}/files/?page_size=200"),
    ]
    at_few = count_queries(measured, [each.of(few) for each in lists])
    at_many = count_queries(measured, [each.of(many) for each in lists])
    print(
        f"\n{'list of files':20}{'ms (median)':>12}{'CPU ms':>8}{f'queries at {FEW}':>16}{f'at {count}':>10}"
        f"   ({machine()})"
    )
    slowest_ms = 0.0
    for wanted, *queries in zip(lists, at_few, at_many, strict=True):
        took = measure(measured, browser, wanted.of(many), rounds=ROUNDS)
        print(f"{wanted.name:20}{took.median_ms:>12.0f}{took.cpu_ms:>8.0f}{queries[0]:>16}{queries[1]:>10}", flush=True)
        slowest_ms = max(slowest_ms, took.median_ms)
    return slowest_ms, at_few == at_many


if __name__ == "__main__":
    sys.exit(main())
