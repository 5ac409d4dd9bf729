"""What a training says it computed with."""

import subprocess
from pathlib import Path

import pytest

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.circumstances import circumstances, code
from jobs.algorithms.progress import accounted, enter_phase


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one file that computes."""
    root = tmp_path / "checkout"
    (root / "jobs" / "algorithms").mkdir(parents=True)
    (root / "jobs" / "algorithms" / "loop.py").write_text("rate = 1\n")
    (root / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "one")
    return root


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def test_version_of_a_checkout_is_its_commit_however_git_keeps_it(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert code(checkout)["version"] == commit
    git(checkout, "pack-refs", "--all")
    assert code(checkout)["version"] == commit
    git(checkout, "worktree", "add", "--quiet", "../beside", "-b", "other")
    assert code(checkout.parent / "beside")["version"] == commit
    git(checkout, "checkout", "--quiet", "--detach")
    assert code(checkout)["version"] == commit


def test_without_a_checkout_it_is_the_version_of_the_package(checkout: Path) -> None:
    (checkout / ".git").rename(checkout / "elsewhere")
    assert code(checkout)["version"] == "0.1.0"


def test_hash_is_of_what_computes_and_of_nothing_else(checkout: Path) -> None:
    before = code(checkout)["sha256"]
    (checkout / "jobs" / "views.py").write_text("a page\n")
    assert code(checkout)["sha256"] == before
    (checkout / "jobs" / "algorithms" / "loop.py").write_text("rate = 2\n")
    assert code(checkout)["sha256"] != before


def test_circumstances_are_told_without_loading_what_they_name() -> None:
    found = circumstances()
    assert set(found) == {"code", "packages", "hardware"}
    assert found["packages"].keys() >= {"python", "tensorflow", "keras", "numpy"}
    assert found["hardware"]["cores"] >= 1
    assert 0 < found["hardware"]["memory_gib"] < 10_000


def test_seconds_of_phases_are_told_at_any_end(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})

    def work() -> None:
        with accounted(run):
            enter_phase(run, "decoding")
            enter_phase(run, "start")
            enter_phase(run, "training")
            raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke"):
        work()
    spent = next(event for event in run.read_events(0)[0] if event["type"] == "spent")
    assert list(spent["seconds"]) == ["start", "decoding", "training"]
    assert all(seconds >= 0 for seconds in spent["seconds"].values())
    assert spent["memory_bytes"] > 10e6
