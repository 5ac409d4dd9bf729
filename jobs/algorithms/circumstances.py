"""What a training computes with: code, packages, hardware. Loads none of them, so that the site can ask too."""

import hashlib
import os
import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("tensorflow", "keras", "numpy", "openvino", "pillow", "scikit-learn")
# What decides what a training comes to, from the staged samples to the measured model.
_COMPUTING = (
    "dlmodeler_site/compute",
    "datasets/inspection",
    "jobs/algorithms",
    "jobs/bundles",
    "jobs/evaluation",
    "jobs/readers",
)
_COMMIT_LENGTH = 12
_GIT_TIMEOUT_S = 5


def circumstances() -> dict[str, Any]:
    """`code`, `packages` and `hardware` of this process, for the record of a training."""
    code_here = code()
    if _has_changes():
        code_here["version"] += "+changes"
    return {"code": code_here, "packages": packages(), "hardware": hardware()}


def code(root: Path = ROOT) -> dict[str, str]:
    """`version`: the git commit of a checkout, else the package's; `sha256`: of the sources that compute.

    Takes a few milliseconds. That files differ from the commit is not seen in the version, but in the hash.
    """
    return {"version": _commit(root) or _package_version(root), "sha256": _digest(root)}


def packages() -> dict[str, str]:
    """Name -> version: Python, and the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory (GiB, that of its container where it is in one), system."""
    return {
        "cpu": cpu_info("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "os": _system(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


@cache
def cpu_info(field: str) -> str:
    """The first value of a field of /proc/cpuinfo; "" where there is none."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for folder in _COMPUTING for path in (root / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _commit(root: Path) -> str:
    """The commit that is checked out, read from git's own files; "" where there is none."""
    folder = root / ".git"
    if folder.is_file():  # a worktree
        folder = root / _read(folder).removeprefix("gitdir:").strip()
    head = _read(folder / "HEAD").strip()
    if head.startswith("ref:"):
        head = _commit_of(folder, head.removeprefix("ref:").strip())
    return head[:_COMMIT_LENGTH]


def _commit_of(folder: Path, reference: str) -> str:
    common = folder / (_read(folder / "commondir").strip() or ".")
    if commit := _read(common / reference).strip():
        return commit
    lines = (line.partition(" ") for line in _read(common / "packed-refs").splitlines())
    return next((commit for commit, _space, name in lines if name == reference), "")


def _has_changes() -> bool:
    """Whether files of the checkout differ from its commit; False too where git is not there to tell."""
    # SECURITY: no program that the checkout's own settings name is started.
    git = ["git", "-c", f"safe.directory={ROOT}", "-c", "core.fsmonitor=false", "--no-optional-locks", "-C", str(ROOT)]
    try:
        done = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def _package_version(root: Path) -> str:
    try:
        return str(tomllib.loads(_read(root / "pyproject.toml"))["project"]["version"])
    except (tomllib.TOMLDecodeError, KeyError):
        return ""


def _memory_bytes() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
