"""The same work with the workspace on the local disk and in a bucket of a Ceph gateway on this machine.

python -m benchmarks.bucket [--files N] [--photos FOLDER]
"""

import argparse
import sys
import tempfile
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
    parser.add_argument("--photos", type=Path, help="a folder with photos, in place of made ones")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        found = sorted(path for path in given.photos.rglob("*.*") if path.is_file()) if given.photos else []
        paths = found[: given.files] or photos(Path(name), count=given.files, size_px=150, detail_px=5, quality=91)
        _compare(paths)
    return 0


def _compare(paths: list[Path]) -> None:
    print(f"{len(paths)} files   ({machine()})", flush=True)
    with measured_site() as measured:
        _measure("disk", measured, paths)
    gateway = ceph.start()
    environment = {
        "DLM_WORKSPACE_URL": f"s3://{gateway.new_bucket()}",
        "DLM_WORKSPACE_ENDPOINT": gateway.endpoint,
        "DLM_WORKSPACE_ACCESS_KEY": gateway.access_key,
        "DLM_WORKSPACE_SECRET_KEY": gateway.secret_key,
    }
    with measured_site(**environment) as measured:
        _measure("bucket", measured, paths)
    print(f"({machine()})")


def _measure(where: str, measured: Measured, paths: list[Path]) -> None:
    site = measured.client
    project = site.post("/projects/", {"name": "bucket", "description": "benchmark"})
    dataset = site.post("/datasets/", {"project": project["id"], "name": "photos", "description": ""})
    data = site.post("/data/", {"dataset": dataset["id"], "name": "photos", "description": ""})
    settle(measured.site)

    def timed(what: str, do: Callable[[], Any]) -> None:
        began = time.monotonic()
        do()
        print(f"{where:8}{what:28}{time.monotonic() - began:6.1f} s", flush=True)

    def upload() -> None:
        for first in range(0, len(paths), FILES_A_CALL):
            _upload(measured, data["id"], paths[first : first + FILES_A_CALL])

    def inspect() -> None:
        site.post(f"/data/{data['id']}/commit/")
        site.wait(f"/data/{data['id']}/")

    def preprocess() -> None:
        asked = {"name": "gray", "description": "", "steps": [{"op": "grayscale"}]}
        made = site.post(f"/data/{data['id']}/preprocess/", asked)
        site.wait(f"/data/{made['id']}/")

    def download() -> None:
        answer = site.session.get(f"{site.address}/api/v1/data/{data['id']}/download/", stream=True, timeout=60)
        answer.raise_for_status()
        for _block in answer.iter_content(1 << 20):
            pass  # requests raises where less comes than was told

    with MemoryPeak(measured.site.find("gunicorn", "dlmodeler_site.wsgi")) as memory:
        timed(f"upload, {FILES_A_CALL} files a call", upload)
    timed("inspection", inspect)
    timed("preprocessing", preprocess)
    timed("download as a zip", download)
    print(f"{where:8}{'growth of the web process':28}{memory.growth_bytes / MIB:6.0f} MiB", flush=True)


def _upload(measured: Measured, data: int, paths: list[Path]) -> None:
    parts = [("files", (f"{path.parent.name}/{path.name}", path.read_bytes())) for path in paths]
    measured.client.post(f"/data/{data}/files/", files=parts)


if __name__ == "__main__":
    sys.exit(main())
