"""What every implementation of the workspace does."""

from pathlib import Path

import pytest

from dlmodeler_site.storage import LocalWorkspace, Workspace


@pytest.fixture(params=["local"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return LocalWorkspace(location=tmp_path / "workspace")


def written(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_moved_in_whole_and_keeps_its_name(storage: Workspace, tmp_path: Path) -> None:
    source = written(tmp_path / "source")
    storage.put_file("project/풍경 사진/a b.jpg", source)
    assert not source.exists()
    with storage.open("project/풍경 사진/a b.jpg") as file:
        assert file.read() == b"content"
    assert storage.size("project/풍경 사진/a b.jpg") == 7
    assert storage.local_path("project/풍경 사진/a b.jpg", "0" * 64).read_bytes() == b"content"


def test_a_second_put_replaces(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("a", written(tmp_path / "source"))
    storage.put_file("a", written(tmp_path / "source", b"newer"))
    with storage.open("a") as file:
        assert file.read() == b"newer"


def test_trees_go_in_and_out(storage: Workspace, tmp_path: Path) -> None:
    written(tmp_path / "tree" / "a.txt")
    written(tmp_path / "tree" / "deep" / "b.txt")
    storage.put_tree("project/model", tmp_path / "tree")
    assert sorted(storage.keys("project/model")) == ["project/model/a.txt", "project/model/deep/b.txt"]
    storage.fetch_tree("project/model", tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "b.txt").read_bytes() == b"content"
    assert (storage.local_tree("project/model") / "a.txt").read_bytes() == b"content"


def test_deleting_a_tree_leaves_its_neighbours(storage: Workspace, tmp_path: Path) -> None:
    storage.put_file("project/a/1", written(tmp_path / "source"))
    storage.put_file("project/ab/1", written(tmp_path / "source"))
    storage.delete_tree("project/a")
    assert not storage.exists("project/a/1")
    assert storage.exists("project/ab/1")
    storage.delete_tree("project/a")  # nothing happens where there is none


def test_the_whole_workspace_is_never_deleted(storage: Workspace) -> None:
    with pytest.raises(ValueError, match="whole workspace"):
        storage.delete_tree("/")


@pytest.mark.parametrize("key", ["../outside", "project/../../outside", "/etc/passwd"])
def test_no_key_leads_out_of_the_workspace(storage: Workspace, tmp_path: Path, key: str) -> None:
    with pytest.raises(Exception, match=r"(?i)outside|detected|suspicious|traversal"):
        storage.put_file(key, written(tmp_path / "source"))
    assert not (tmp_path / "outside").exists()
