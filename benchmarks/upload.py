"""1,000 images in one call of the API: memory of the web process, then the list of their files.

python -m benchmarks.upload [--files N]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from benchmarks.photos import photos
from benchmarks.site import MIB, Measured, MemoryPeak, cpu_seconds, machine, measured_site, settle
from tests.e2e.site import PASSWORD, ROOT, USERNAME

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
    address, browser = measured.site.address, _log_in(measured.site.address)
    lists: dict[str, tuple[str, Callable[[str], requests.Response]]] = {
        "page": ("/data/{}/files/", lambda path: browser.get(address + path, timeout=30)),
        "page, 100 rows": ("/data/{}/files/?per_page=100", lambda path: browser.get(address + path, timeout=30)),
        "API": ("/api/v1/data/{}/files/", lambda path: measured.client.session.get(address + path, timeout=30)),
        "API, 200 rows": (
            "/api/v1/data/{}/files/?page_size=200",
            lambda path: measured.client.session.get(address + path, timeout=30),
        ),
    }
    queries = _count_queries(measured, [path.format(data) for path, _get in lists.values() for data in (few, many)])
    print(
        f"\n{'list of files':20}{'ms (median)':>12}{'CPU ms':>8}{f'queries at {FEW}':>16}{f'at {count}':>10}"
        f"   ({machine()})"
    )
    slowest_ms, is_constant = 0.0, True
    for name, (path, get) in lists.items():
        web_s = cpu_seconds(measured.site)["web"]
        median_ms = _median_ms(get, path.format(many))
        cpu_ms = (cpu_seconds(measured.site)["web"] - web_s) * 1000 / ROUNDS
        at_few, at_many = queries[path.format(few)], queries[path.format(many)]
        print(f"{name:20}{median_ms:>12.0f}{cpu_ms:>8.0f}{at_few:>16}{at_many:>10}", flush=True)
        slowest_ms, is_constant = max(slowest_ms, median_ms), is_constant and at_few == at_many
    return slowest_ms, is_constant


def _median_ms(get: Callable[[str], requests.Response], path: str) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        get(path).raise_for_status()
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def _log_in(address: str) -> requests.Session:
    """A session as a browser has it."""
    session = requests.Session()
    page = session.get(f"{address}/accounts/login/", timeout=30)
    page.raise_for_status()
    (token,) = [value for name, value in session.cookies.items() if "csrf" in name]
    form = {"login": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": token}
    answer = session.post(page.url, data=form, headers={"Referer": page.url}, timeout=30)
    answer.raise_for_status()
    if "/accounts/login/" in answer.url:
        raise SystemExit("the operator could not log in")
    return session


def _count_queries(measured: Measured, paths: list[str]) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.queries", *paths],
        cwd=ROOT,
        env={**os.environ, "DLM_HOME": str(measured.site.home), "DLM_PORT": str(measured.site.port)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    counted: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counted


if __name__ == "__main__":
    sys.exit(main())
