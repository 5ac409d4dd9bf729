"""Objects imported from a Ceph gateway on this machine, against a plain loop that gets each with boto3 into a file.

python -m benchmarks.object_import [--objects N] [--rounds N]

The site does more: it lists, fetches, hashes, inspects, draws thumbnails, records each file. Its time is from the
request to completed; that of the fetching alone is beside it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.site import machine
from datasets.inspection.objects import Fetcher, RemoteObject
from dlmodeler_site.demo.life_cycle import Site
from tests import ceph
from tests.e2e.imports import Bucket
from tests.e2e.site import PASSWORD, USERNAME, running_site


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=4200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    gateway = ceph.start()
    seconds: dict[str, list[float]] = {"boto3 loop, 1 thread": [], "fetching alone": [], "whole import": []}
    with tempfile.TemporaryDirectory(prefix="object-import-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        bucket = Bucket.of(gateway, folder / "objects", count=given.objects)
        with running_site(folder / "home", DLM_S3_ENDPOINTS=gateway.endpoint) as running:
            site = Site.login(running.address, USERNAME, PASSWORD)
            project = site.post("/projects/", {"name": "imports", "description": "benchmark"})["id"]
            dataset = site.post("/datasets/", {"project": project, "name": "objects", "description": ""})["id"]
            connection = bucket.connect(site, project)
            for number in range(given.rounds):  # in turns: what else the machine does is in all of them
                seconds["boto3 loop, 1 thread"].append(_loop(bucket, folder / f"loop-{number}"))
                seconds["fetching alone"].append(_fetch(bucket, folder / f"fetched-{number}"))
                began = time.monotonic()
                path = bucket.start_import(site, connection, dataset, f"import-{number}")
                site.wait(path)
                seconds["whole import"].append(time.monotonic() - began)
    _report(seconds, bucket)
    return 0


def _loop(bucket: Bucket, folder: Path) -> float:
    folder.mkdir()
    began = time.monotonic()
    client = bucket.ceph.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        for each in page["Contents"]:
            content = client.get_object(Bucket=bucket.name, Key=each["Key"])["Body"].read()
            (folder / each["Key"].replace("/", "_")).write_bytes(content)
    return time.monotonic() - began


def _fetch(bucket: Bucket, folder: Path) -> float:
    folder.mkdir()
    client: Any = bucket.ceph.client()
    began = time.monotonic()
    objects = [
        RemoteObject(
            number,
            client.generate_presigned_url("get_object", Params={"Bucket": bucket.name, "Key": key}),
            bucket.sizes[key],
            name=key,
        )
        for number, key in enumerate(bucket.hashes)
    ]
    fetched = sum(1 for each in Fetcher(folder, public_only=False).fetch_all(objects) if each.path)
    if fetched != len(objects):
        raise RuntimeError(f"{fetched} of {len(objects)} objects arrived")
    return time.monotonic() - began


def _report(seconds: dict[str, list[float]], bucket: Bucket) -> None:
    count, size_bytes = len(bucket.hashes), sum(bucket.sizes.values())
    print(f"{count} objects, {size_bytes / 1e6:.1f} MB, median of {len(seconds['whole import'])}   ({machine()})")
    print(f"{'':24}{'seconds':>9}{'objects/s':>11}{'MB/s':>8}{'ratio':>8}")
    plain = seconds["boto3 loop, 1 thread"]
    for name, each in seconds.items():
        middle = statistics.median(each)
        ratio = statistics.median(one / other for one, other in zip(each, plain, strict=True))
        print(
            f"{name:24}{middle:>9.2f}{count / middle:>11.0f}{size_bytes / middle / 1e6:>8.1f}{ratio:>8.2f}", flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
