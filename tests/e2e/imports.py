"""Imports from a real object storage by a running site, and the count of what was fetched more than once."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.photos import photos
from datasets.inspection.objects import CONNECTIONS
from dlmodeler_site.demo.life_cycle import Site
from tests.ceph import Ceph

# What may be asked for again after a kill: one object for each connection.
MOST_AGAIN = CONNECTIONS


@dataclass
class Bucket:
    """A bucket with photos in folders, and the gateway's account of who asked for them."""

    ceph: Ceph
    name: str
    hashes: dict[str, str]  # of each object's content, by its key
    sizes: dict[str, int]
    _offset: int = field(default=0)

    @classmethod
    def of(cls, ceph: Ceph, folder: Path, *, count: int) -> "Bucket":
        name, client = ceph.new_bucket(), ceph.client()
        paths = photos(folder, count=count, size_px=150, detail_px=3)
        keys = {path: f"photos/{number % 6}/{path.name}" for number, path in enumerate(paths)}
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda path: client.upload_file(str(path), name, keys[path]), paths))
        hashes = {key: hashlib.sha256(path.read_bytes()).hexdigest() for path, key in keys.items()}
        return cls(ceph, name, hashes, {key: path.stat().st_size for path, key in keys.items()})

    def connect(self, site: Site, project: int) -> int:
        """A connection of the project to the bucket."""
        body = {"project": project, "name": self.name, "endpoint": self.ceph.endpoint, "region": self.ceph.region}
        keys = {"access_key": self.ceph.access_key, "secret_key": self.ceph.secret_key}
        return int(site.post("/connections/", {**body, "bucket": self.name, **keys})["id"])

    def start_import(self, site: Site, connection: int, dataset: int, name: str) -> str:
        """The path of the queued data in the API."""
        self._offset = self.ceph.log.stat().st_size
        body = {"dataset": dataset, "name": name, "connection": connection, "keys": ["photos/"]}
        return f"/data/{site.post('/data/import/', body | {'labels_from_folders': True})['id']}/"

    def fetched_again(self) -> tuple[int, int]:
        """How many more requests there were than objects since the start of the import, and how many more bytes."""
        gets = self.ceph.gets(self.name, offset=self._offset)
        asked = Counter(key for key, _size in gets)
        missing = set(self.hashes) - set(asked)
        assert not missing, f"{len(missing)} objects were not asked for: whatever was imported is something else"
        return asked.total() - len(self.hashes), sum(size for _key, size in gets) - sum(self.sizes.values())

    def check(self, site: Site, path: str) -> None:
        """Every object is a file of the completed data, with the same content and its folder as the label."""
        found = {file["name"]: (file["sha256"], file["label"]) for file in _files(site, path)}
        wanted = {key.removeprefix("photos/"): (sha256, key.split("/")[1]) for key, sha256 in self.hashes.items()}
        assert found == wanted, f"{len(found)} files, {len(wanted)} were expected"


def _files(site: Site, path: str) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        answer = site.get(f"{path}files/?page_size=200&page={page}")
        yield from answer["results"]
        if not answer["next"]:
            return
        page += 1
