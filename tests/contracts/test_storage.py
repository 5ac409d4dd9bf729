"""What every implementation of the workspace does, on a local disk and in a bucket of a real Ceph gateway."""

import hashlib
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from dlmodeler_site.storage import LocalWorkspace, Put, Workspace, WorkspaceUnavailable
from dlmodeler_site.storage_s3 import MAX_KEY_BYTES, S3Workspace
from tests.broken_network import Cutting
from tests.ceph import Ceph

NAMES = (
    "a b.jpg",
    "풍경 사진/가 나.jpg",
    "~x~",
    "a+b.txt",
    "100%.txt",
    "%2F%20.txt",
    "a&b=c?d#e.csv",
    "'\"<>[]{}|^`;:@$,!.x",
)


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    if request.param == "local":
        return LocalWorkspace(location=tmp_path / "workspace")
    return cast(Workspace, request.getfixturevalue("bucket"))


@pytest.fixture
def bucket(ceph: Ceph, settings: Any, tmp_path: Path) -> S3Workspace:
    settings.DLM_CACHE = tmp_path / "cache"
    settings.DLM_CACHE.mkdir()
    return S3Workspace(bucket_name=ceph.new_bucket(), location="some/prefix", **ceph.options)


def written(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(storage: Workspace, key: str) -> bytes:
    with storage.open(key) as file:
        return bytes(file.read())


def test_a_file_is_moved_in_whole_and_keeps_its_name(storage: Workspace, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        source, content = tmp_path / "source", name.encode()
        key, copy = f"project/{number}/{name}", f"project/copy/{name}"
        storage.put_file(key, written(source, content))
        assert not source.exists()
        assert read(storage, key) == content
        assert storage.size(key) == len(content)
        assert storage.exists(key)
        assert storage.local_path(key, sha256(content)).read_bytes() == content
        assert storage.local_path(key, "").read_bytes() == content
        assert list(storage.keys(f"project/{number}")) == [key]
        storage.copy_files([(key, copy)])
        storage.delete(key)
        assert not storage.exists(key)
        assert read(storage, copy) == content


def test_a_second_put_replaces(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("a", written(tmp_path / "source"))
    storage.put_file("a", written(tmp_path / "source", b"newer"))
    assert read(storage, "a") == b"newer"
    assert storage.local_path("a", sha256(b"newer")).read_bytes() == b"newer"
    assert storage.local_path("a", "").read_bytes() == b"newer"


def test_a_copy_is_of_its_own(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("a", written(tmp_path / "source"))
    linked = storage.copy_files([("a", "b"), ("a", "c/d"), ("a", "a")])
    assert linked == ({"a", "b", "c/d"} if isinstance(storage, LocalWorkspace) else set())
    storage.put_file("a", written(tmp_path / "source", b"newer"))
    storage.copy_files([("a", "c/d")])
    assert [read(storage, key) for key in ("a", "b", "c/d")] == [b"newer", b"content", b"newer"]
    with pytest.raises(FileNotFoundError):
        storage.copy_files([("missing", "e")])
    assert sorted(storage.keys("c")) == ["c/d"]


@pytest.mark.parametrize("size", [0, 1, 70 << 20])
def test_a_file_of_any_size_is_read_at_any_place(storage: Workspace, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    storage.put_file("large", written(tmp_path / "source", content), sha256(content))
    assert storage.size("large") == size
    with storage.open("large") as file:
        for offset in (size // 2, size, 0, max(0, size - 5)):
            assert file.seek(offset) == offset
            assert file.read(3) == content[offset : offset + 3]
        assert file.seek(0, os.SEEK_END) == size
        file.seek(0)
        assert sha256(file.read()) == sha256(content)
    assert sha256(storage.local_path("large", sha256(content)).read_bytes()) == sha256(content)


def test_a_put_that_fails_leaves_what_was_there(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("a", written(tmp_path / "source"))
    for key in ("a", "b/c"):
        with pytest.raises(FileNotFoundError):
            storage.put_file(key, tmp_path / "missing")
    assert read(storage, "a") == b"content"
    assert list(storage.keys("b")) == []


def test_a_reader_never_sees_half_a_file(storage: Workspace, tmp_path: Path) -> None:
    contents = [bytes([number]) * (3 << 20) for number in range(2)]
    storage.put_file("a", written(tmp_path / "source", contents[0]))
    done = threading.Event()

    def replace() -> None:
        for number in range(1, 9):
            storage.put_file("a", written(tmp_path / f"source-{number}", contents[number % 2]))
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        while not done.is_set():
            assert read(storage, "a") in contents
    finally:
        writer.join()


def test_what_is_missing_is_not_found(storage: Workspace, tmp_path: Path) -> None:
    assert not storage.exists("missing")
    for ask in (storage.size, storage.open, lambda key: storage.local_path(key, "").read_bytes()):
        with pytest.raises(FileNotFoundError):
            ask("missing")
    with pytest.raises(FileNotFoundError):
        storage.fetch_tree("missing", tmp_path / "copy")
    assert not storage.local_tree("missing").exists()
    assert list(storage.keys("missing")) == []
    storage.delete("missing")
    storage.delete_files(["missing", "missing/too"])
    storage.delete_tree("missing")


def test_what_is_put_in_a_transaction_is_brought_ahead_of_it(storage: Workspace, tmp_path: Path) -> None:
    contents = {"a": b"small", "b": bytes(20 << 20), "c": bytes(2 << 20)}
    puts = [Put(f"p/{key}", written(tmp_path / key, content)) for key, content in contents.items()]
    with storage.ahead(puts) as ahead:
        assert [put.key for put in ahead] == ["p/a", "p/b", "p/c"]
        storage.put_files(ahead[:2])
    assert {key: read(storage, f"p/{key}") for key in "ab"} == {key: contents[key] for key in "ab"}
    assert [put.source.exists() for put in puts] == [False, False, True]
    assert sorted(storage.keys("p")) == ["p/a", "p/b"]
    with pytest.raises(RuntimeError), storage.ahead(puts[2:]):
        raise RuntimeError
    assert list(storage.keys(".ahead")) == []


def test_trees_go_in_and_out(storage: Workspace, tmp_path: Path) -> None:
    written(tmp_path / "tree" / "a.txt")
    written(tmp_path / "tree" / "deep" / "b.txt")
    storage.put_tree("project/model", tmp_path / "tree")
    assert not [path for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    assert sorted(storage.keys("project/model")) == ["project/model/a.txt", "project/model/deep/b.txt"]
    storage.fetch_tree("project/model", tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "b.txt").read_bytes() == b"content"
    for _time in range(2):
        assert (storage.local_tree("project/model") / "deep" / "b.txt").read_bytes() == b"content"


def test_many_files_go_in_and_out_and_away(storage: Workspace, tmp_path: Path) -> None:
    count = 1010  # more than S3 lists and deletes at once
    contents = {f"project/data/{number:05}": str(number).encode() for number in range(count)}
    sources = {key: written(tmp_path / "sources" / key, content) for key, content in contents.items()}
    storage.put_files(Put(key, source, sha256(contents[key])) for key, source in sources.items())
    storage.put_file("project/data2", written(tmp_path / "source"))
    assert sorted(storage.keys("project/data")) == sorted(contents)
    paths = storage.local_paths([(key, sha256(content)) for key, content in contents.items()])
    assert [path.read_bytes() for path in paths] == list(contents.values())
    storage.delete_files(list(contents)[:5])
    assert sorted(storage.keys("project/data")) == sorted(contents)[5:]
    storage.delete_tree("project/data")
    assert list(storage.keys("project/data")) == []
    assert storage.exists("project/data2")


def test_contents_come_in_order_small_and_large(storage: Workspace, tmp_path: Path) -> None:
    sizes = [0, 1, 5000, (1 << 20) + 1, *([70_000] * 200), 3 << 20, 7]
    contents = {f"p/{number}": random.Random(number).randbytes(size) for number, size in enumerate(sizes)}
    storage.put_files(Put(key, written(tmp_path / "in" / key, content)) for key, content in contents.items())
    asked: list[str] = []

    def files() -> Any:
        for key, content in contents.items():
            asked.append(key)
            yield key, len(content)

    found = storage.contents(files())
    first = [b"".join(next(found)) for _file in range(2)]
    assert first == [b"", contents["p/1"]]
    assert len(asked) < 40, "what is not read yet is not all held in memory"
    assert first + [b"".join(blocks) for blocks in found] == list(contents.values())
    with pytest.raises(FileNotFoundError):
        [b"".join(blocks) for blocks in storage.contents([("p/1", 1), ("p/none", 5)])]
    half = storage.contents((key, len(content)) for key, content in contents.items())
    next(half)
    half.close()  # type: ignore[attr-defined]


def test_deleting_a_tree_leaves_its_neighbours(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("project/a/1", written(tmp_path / "source"))
    storage.put_file("project/ab/1", written(tmp_path / "source"))
    storage.delete_tree("project/a")
    assert not storage.exists("project/a/1")
    assert storage.exists("project/ab/1")


def test_the_whole_workspace_is_never_deleted(storage: Workspace) -> None:
    for prefix in ("", "/"):
        with pytest.raises(ValueError, match="whole workspace"):
            storage.delete_tree(prefix)


@pytest.mark.parametrize("key", ["../outside", "project/../../outside", "/etc/passwd"])
def test_no_key_leads_out_of_the_workspace(storage: Workspace, tmp_path: Path, key: str) -> None:
    with pytest.raises(Exception, match=r"(?i)outside|detected|suspicious|traversal|inside"):
        storage.put_file(key, written(tmp_path / "source"))
    assert not (tmp_path / "outside").exists()


def test_the_longest_name_there_can_be_is_kept(storage: Workspace, tmp_path: Path) -> None:
    name = "/".join(["긴" * 84] * 4) + "/x"  # 1013 bytes
    key = f"project/a-project_1_somebody/data/a-dataset/a-data/{name}"
    assert len(key.encode()) > MAX_KEY_BYTES
    storage.put_file(key, written(tmp_path / "source"))
    storage.put_file(f"{key}y", written(tmp_path / "source", b"other"))
    assert read(storage, key) == b"content"
    assert storage.local_path(key, sha256(b"content")).read_bytes() == b"content"
    storage.delete_tree("project/a-project_1_somebody/data/a-dataset/a-data")
    assert not storage.exists(key)


def test_a_workspace_that_can_be_used_passes_the_check(storage: Workspace) -> None:
    storage.check(writing=True)
    storage.check(writing=False)
    assert list(storage.keys(".work")) == []


# -- In a bucket -----------------------------------------------------------------------------------


def test_a_bucket_may_be_the_workspace_as_a_whole(ceph: Ceph, tmp_path: Path) -> None:
    whole = S3Workspace(bucket_name=ceph.new_bucket(), **ceph.options)
    whole.put_file("project/a", written(tmp_path / "source"))
    whole.check(writing=True)
    assert list(whole.keys("project")) == ["project/a"]
    whole.delete_tree("project")
    assert list(whole.keys("project")) == []


def test_what_was_put_with_its_hash_is_not_fetched_again(bucket: S3Workspace, tmp_path: Path) -> None:
    bucket.put_file("a", written(tmp_path / "source"), sha256(b"content"))
    bucket.delete("a")
    assert bucket.local_path("a", sha256(b"content")).read_bytes() == b"content"
    bucket.put_file("b", written(tmp_path / "source", b"other"))
    path = bucket.local_path("b", sha256(b"other"))
    bucket.delete("b")
    assert bucket.local_path("b", sha256(b"other")) == path


def test_what_is_not_the_file_that_was_put_is_refused(bucket: S3Workspace, tmp_path: Path) -> None:
    bucket.put_file("a", written(tmp_path / "source", b"damaged"))
    with pytest.raises(WorkspaceUnavailable) as refused:
        bucket.local_path("a", sha256(b"content"))
    assert "SHA-256" in refused.value.cause
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_child_of_the_process_has_connections_of_its_own(bucket: S3Workspace, tmp_path: Path) -> None:
    bucket.put_files(Put(f"a/{number}", written(tmp_path / str(number), bytes([number]))) for number in range(40))
    bucket.local_paths([(f"a/{number}", "") for number in range(10)])
    pid = os.fork()
    if pid == 0:
        same = all(read(bucket, f"a/{number}") == bytes([number]) for number in range(40))
        os._exit(0 if same else 1)
    assert all(read(bucket, f"a/{number}") == bytes([number]) for number in reversed(range(40)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_read_goes_on_after_the_connection_broke(ceph: Ceph, bucket: S3Workspace, tmp_path: Path) -> None:
    content = random.Random(0).randbytes(3 << 20)
    bucket.put_file("a", written(tmp_path / "source", content))
    with Cutting(bucket.endpoint_url) as proxy:
        through = S3Workspace(
            bucket_name=bucket.bucket_name, location=bucket.location, **ceph.options | {"endpoint_url": proxy.url}
        )
        with through.open("a") as file:
            assert sha256(file.read()) == sha256(content)
        assert proxy.cut > 2


def test_a_file_replaced_while_it_is_read_is_not_mixed(bucket: S3Workspace, tmp_path: Path) -> None:
    bucket.put_file("a", written(tmp_path / "source", bytes(1 << 20)))
    with bucket.open("a") as file:
        file.read(10)
        bucket.put_file("a", written(tmp_path / "source", b"1" * (1 << 20)))
        file.seek(1 << 19)
        with pytest.raises(OSError, match="replaced"):
            file.read()


def test_what_broken_off_puts_left_is_tidied_up(bucket: S3Workspace, ceph: Ceph, tmp_path: Path) -> None:
    client, where = ceph.client(), {"Bucket": bucket.bucket_name, "Key": "some/prefix/project/a"}
    client.create_multipart_upload(**where)
    client.create_multipart_upload(**where | {"Key": "another/site"})
    bucket.put_file(".ahead/1", written(tmp_path / "source"))
    bucket.put_file("project/b", written(tmp_path / "source"))

    def uploads() -> list[str]:
        return [each["Key"] for each in client.list_multipart_uploads(Bucket=where["Bucket"]).get("Uploads", ())]

    now = datetime.now(UTC)
    bucket.tidy(before=now - timedelta(hours=1))
    assert len(uploads()) == 2
    assert bucket.exists(".ahead/1")
    bucket.tidy(before=now + timedelta(hours=1))
    assert uploads() == ["another/site"]
    assert not bucket.exists(".ahead/1")
    assert bucket.exists("project/b")
