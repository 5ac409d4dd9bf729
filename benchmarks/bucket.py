"""The same work with the workspace on the local disk and in a bucket of a Ceph gateway on this machine.

python -m benchmarks.bucket [--files N]
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.photos import photos
from benchmarks.site import MIB, Measured, MemoryPeak, machine, measured_site, settle
from dlmodeler_site.demo.life_cycle import FILES_A_CALL
from tests import ceph


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=4200)
    count = parser.parse_args().files
    print(f"{count} files   ({machine()})")
    with measured_site() as measured:
        _measure("disk", measured, count)
    gateway = ceph.start()
    environment = {
        "DLM_WORKSPACE_URL": f"s3://{gateway.new_bucket()}",
        "DLM_WORKSPACE_ENDPOINT": gateway.endpoint,
        "DLM_WORKSPACE_ACCESS_KEY": gateway.access_key,
        "DLM_WORKSPACE_SECRET_KEY": gateway.secret_key,
    }
    with measured_site(**environment) as measured:
        _measure("bucket", measured, count)
    print(f"({machine()})")
    return 0


def _measure(where: str, measured: Measured, count: int) -> None:
    site = measured.client
    paths = photos(measured.folder / "photos", count=count, size_px=150, detail_px=5, quality=91)
    project = site.post("/projects/", {"name": "bucket", "description": "benchmark"})
    dataset = site.post("/datasets/", {"project": project["id"], "name": "photos", "description": ""})
    data = site.post("/data/", {"dataset": dataset["id"], "name": "photos", "description": ""})
    settle(measured.site)

    def timed(what: str, do: Callable[[], Any]) -> None:
        began = time.monotonic()
        do()
        print(f"{where:8}{what:28}{time.monotonic() - began:6.1f} s", flush=True)

    def upload() -> None:
        for first in range(0, count, FILES_A_CALL):
            _upload(measured, data["id"], paths[first : first + FILES_A_CALL])

    def inspect() -> None:
        site.post(f"/data/{data['id']}/commit/")
        site.wait(f"/data/{data['id']}/")

    def preprocess() -> None:
        asked = {"name": "gray", "description": "", "steps": [{"op": "grayscale"}]}
        made = site.post(f"/data/{data['id']}/preprocess/", asked)
        site.wait(f"/data/{made['id']}/")

    with MemoryPeak(measured.site.find("gunicorn", "dlmodeler_site.wsgi")) as memory:
        timed(f"upload, {FILES_A_CALL} files a call", upload)
    timed("inspection", inspect)
    timed("preprocessing", preprocess)
    print(f"{where:8}{'growth of the web process':28}{memory.growth_bytes / MIB:6.0f} MiB", flush=True)


def _upload(measured: Measured, data: int, paths: list[Path]) -> None:
    parts = [("files", (path.name, path.read_bytes())) for path in paths]
    measured.client.post(f"/data/{data}/files/", files=parts)


if __name__ == "__main__":
    sys.exit(main())
