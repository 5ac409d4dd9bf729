"""Objects are fetched over connections that break, from a server that does what S3 does and what it should not."""

import hashlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datasets.inspection.fetching import Fetching
from datasets.inspection.objects import Fetched, Fetcher, RemoteObject

CONTENT = random.Random(3).randbytes(300_000)
ETAG = hashlib.md5(CONTENT).hexdigest()
FAST = (0.01, 0.02, 0.04)


@dataclass
class Storage:
    """A server's state: what it does with the first requests for a path, and what it was asked for."""

    address: str = ""
    faults: dict[str, list[str]] = field(default_factory=dict)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)

    def object(self, number: int, path: str = "", *, size_bytes: int = len(CONTENT), etag: str = ETAG) -> RemoteObject:
        return RemoteObject(number, f"{self.address}/{path or number}?X-Amz-Signature=secret", size_bytes, etag)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: Storage

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        wanted = self.headers.get("Range", "")
        self.storage.ranges.append((path, wanted))
        faults = self.storage.faults.get(path, [])
        fault = faults.pop(0) if faults else ""
        if fault.isdigit():
            self.refuse(int(fault))
        elif fault.startswith("<"):
            self.refuse(400 if "Expired" in fault else 403, fault)
        elif fault == "drop":
            self.close_connection = True
        elif self.headers.get("If-Match", f'"{ETAG}"') != f'"{ETAG}"':
            self.refuse(412)
        else:
            self.give(path, wanted if fault != "ignores range" else "", fault)

    def give(self, path: str, wanted: str, fault: str) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        rest = CONTENT[start:]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("ETag", f'"{ETAG}"')
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if fault == "breaks":
            rest = rest[: len(rest) // 2]
            self.close_connection = True
        self.storage.sent[path] += len(rest)
        self.wfile.write(rest)

    def refuse(self, status: int, code: str = "") -> None:
        body = f"<Error>{code}</Error>".encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.storage.address}/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle is no error here."""


@pytest.fixture
def storage() -> Iterator[Storage]:
    state = Storage()
    server = Server(("127.0.0.1", 0), type("H", (Handler,), {"storage": state}))
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


def fetch(folder: Path, *objects: RemoteObject) -> tuple[dict[int, Fetched], Fetcher]:
    fetcher = Fetcher(folder, public_only=False, delays_s=FAST)
    return {each.object.id: each for each in fetcher.fetch_all(objects)}, fetcher


def error_of(folder: Path, one: RemoteObject) -> str:
    found, _fetcher = fetch(folder, one)
    error = found[one.id].error
    assert error is not None
    assert "secret" not in error.message
    return error.reason


def test_objects_arrive_whole_and_are_not_fetched_twice(storage: Storage, tmp_path: Path) -> None:
    objects = [storage.object(number) for number in range(40)]
    for _ in range(2):
        found, fetcher = fetch(tmp_path, *objects)
        assert {each.path.read_bytes() for each in found.values() if each.path} == {CONTENT}
        assert len(found) == 40
        assert fetcher.missing == 0
    assert set(storage.sent.values()) == {len(CONTENT)}


def test_a_broken_connection_goes_on_where_it_broke(storage: Storage, tmp_path: Path) -> None:
    storage.faults["1"] = ["breaks", "drop", "503", "breaks", "429", "breaks"]
    found, _fetcher = fetch(tmp_path, storage.object(1))
    assert found[1].path is not None
    assert found[1].path.read_bytes() == CONTENT
    assert storage.sent["1"] == len(CONTENT)
    assert [wanted for _path, wanted in storage.ranges if re.fullmatch(r"bytes=\d+-", wanted)]
    assert not list(tmp_path.glob("*.part"))


def test_a_part_of_an_earlier_attempt_is_continued_one_of_another_version_is_not(
    storage: Storage, tmp_path: Path
) -> None:
    one, other = storage.object(1), storage.object(1, etag="other")
    (tmp_path / f"{other.file_name}.part").write_bytes(b"other" * 100)
    (tmp_path / f"{one.file_name}.part").write_bytes(CONTENT[:100_000])
    found, _fetcher = fetch(tmp_path, one)
    assert found[1].path is not None
    assert found[1].path.read_bytes() == CONTENT
    assert storage.sent["1"] == 200_000


def test_a_server_that_ignores_ranges_is_read_from_the_start(storage: Storage, tmp_path: Path) -> None:
    storage.faults["1"] = ["breaks", "ignores range"]
    found, _fetcher = fetch(tmp_path, storage.object(1))
    assert found[1].path is not None
    assert found[1].path.read_bytes() == CONTENT


def test_what_cannot_be_had_is_that_object_alone(storage: Storage, tmp_path: Path) -> None:
    storage.faults |= {"gone": ["404"], "shut": ["<Code>AccessDenied</Code>"], "odd": ["400"]}
    assert error_of(tmp_path, storage.object(1, "gone")) == "object_missing"
    assert error_of(tmp_path, storage.object(2, "shut")) == "object_forbidden"
    assert error_of(tmp_path, storage.object(3, "odd")) == "object_refused"
    assert error_of(tmp_path, storage.object(4, etag="0" * 32)) == "object_changed"
    assert error_of(tmp_path, storage.object(5, size_bytes=7)) == "object_changed"
    assert error_of(tmp_path, storage.object(6, size_bytes=7, etag="")) == "object_changed"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("<Code>InvalidAccessKeyId</Code>", "key_refused"),
        ("<Code>SignatureDoesNotMatch</Code>", "key_refused"),
        ("<Code>ExpiredToken</Code>", "key_expired"),
        ("<Code>AccessDenied</Code><Message>Request has expired</Message>", "key_expired"),
        ("307", "storage_moved"),
    ],
)
def test_what_no_object_can_be_fetched_with_stops_all(
    storage: Storage, tmp_path: Path, fault: str, reason: str
) -> None:
    storage.faults = {str(number): [fault] * 9 for number in range(200)}
    found, fetcher = fetch(tmp_path, *[storage.object(number) for number in range(200)])
    assert found == {}
    assert fetcher.missing == 200
    assert fetcher.problem
    assert fetcher.problem.reason == reason
    assert len(storage.ranges) < 50
    assert ("elsewhere", "") not in storage.ranges


def test_a_storage_that_is_down_is_given_up_and_continued_later(storage: Storage, tmp_path: Path) -> None:
    objects = [storage.object(number) for number in range(100)]
    storage.faults = {str(number): ["503"] * 4 for number in range(50, 100)}
    began = time.monotonic()
    found, fetcher = fetch(tmp_path, *objects)
    assert time.monotonic() - began < 10
    assert len(found) + fetcher.missing == 100
    assert fetcher.missing >= 16
    assert fetcher.problem
    assert fetcher.problem.reason == "import_incomplete"
    storage.faults.clear()
    found, fetcher = fetch(tmp_path, *objects)
    assert len(found) == 100
    assert fetcher.missing == 0
    assert set(storage.sent.values()) == {len(CONTENT)}


def test_no_way_into_the_private_network(storage: Storage, tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, public_only=True, delays_s=FAST)
    assert list(fetcher.fetch_all([storage.object(1)])) == []
    assert fetcher.problem
    assert fetcher.problem.reason == "endpoint_private"
    assert storage.ranges == []


def test_fetching_in_a_process_of_its_own(storage: Storage, tmp_path: Path) -> None:
    storage.faults["3"] = ["404"]
    fetching = Fetching((storage.object(number) for number in range(100)), tmp_path, public_only=False)
    found: list[Fetched] = []
    while (batch := fetching.receive(0.1)) is not None:
        found += batch
    fetching.close()
    assert sorted(each.object.id for each in found) == list(range(100))
    assert [each.object.id for each in found if each.error] == [3]
    assert fetching.missing == 0
