"""`python -m datasets.exporting RUN_FOLDER`: copy the files of a data to an object storage (docs/contracts.md)."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.exporting.objects import LocalFile, Parts, Sender, Sent
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json

_TELL_S = 1.0
_CHECKPOINT_S = 10.0


@dataclass
class _Export:
    """How far it is, told to the site every second; what has arrived goes into a checkpoint."""

    run: RunFolder
    done: set[int]
    total_bytes: int
    files: int = 0
    size_bytes: int = 0
    present: int = 0
    failed: int = 0
    _told_at: float = field(default_factory=time.monotonic)
    _kept_at: float = field(default_factory=time.monotonic)

    def take(self, sent: Sent) -> None:
        if sent.error:
            self.failed += 1
            self.run.publish("failure", name=sent.file.name, error=to_json(sent.error))
            return
        self.done.add(sent.file.id)
        self.files += 1
        self.size_bytes += sent.file.size_bytes
        self.present += sent.was_there

    def tell(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._told_at > _TELL_S:
            self._told_at = time.monotonic()
            counts = {"files": self.files, "size_bytes": self.size_bytes, "present": self.present}
            self.run.publish("exported", **counts, failed=self.failed)
            self.run.progress(self.size_bytes / max(self.total_bytes, 1))

    def keep(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._kept_at > _CHECKPOINT_S:
            self._kept_at = time.monotonic()
            folder = self.run.path / "checkpoint.new"
            folder.mkdir()
            (folder / "done.txt").write_text("\n".join(map(str, self.done)))
            self.run.put_checkpoint(folder)


def export(run: RunFolder) -> None:
    spec = run.spec
    shutil.rmtree(run.path / "checkpoint.new", ignore_errors=True)
    state = _Export(run, _done_before(run), spec["size_bytes"])
    sender = Sender(public_only=spec["public_only"])
    try:
        with closing(sender.send_all(_files(run, state, sender))) as sending:
            for sent in sending:
                if sent:
                    state.take(sent)
                state.tell()
                state.keep()
                run.check_stop()
    finally:
        state.keep(now=True)
        state.tell(now=True)
    if sender.problem or state.failed:
        raise RunError(
            _(
                "%(missing)d of %(total)d files were not exported. "
                "Try again: it goes on with what is missing. The cause: %(problem)s",
                missing=spec["count"] - state.files,
                total=spec["count"],
                problem=sender.problem.message if sender.problem else _("told for each file in the list"),
            ),
            reason=sender.problem.reason if sender.problem else "export_incomplete",
        )
    _send_manifest(run, spec)
    run.progress(1.0)
    run.finish(files=state.files, present=state.present)


def _done_before(run: RunFolder) -> set[int]:
    """The ids that an earlier attempt has brought there."""
    try:
        text = (run.checkpoint / "done.txt").read_text()
    except FileNotFoundError:
        return set()
    return set(map(int, text.split()))


def _files(run: RunFolder, state: _Export, sender: Sender) -> Iterator[LocalFile]:
    before = frozenset(state.done)
    for row in read_jsonl(run.path / run.spec["files"]):
        if row["id"] in before and row["is_there"]:
            state.files += 1
            state.present += 1
            state.size_bytes += row["size_bytes"]
            sender.discard(_local_file(row))
        elif row["error"]:
            state.failed += 1
            run.publish("failure", name=row["name"], error=row["error"])
        else:
            yield _local_file(row)


def _local_file(row: dict[str, Any]) -> LocalFile:
    return LocalFile(
        row["id"],
        row["name"],
        Path(row["path"]),
        row["url"],
        row["size_bytes"],
        row["etag"] if row["is_there"] else "",
        row["content_type"],
        Parts(**row["parts"]) if row["parts"] else None,
    )


def _send_manifest(run: RunFolder, spec: dict[str, Any]) -> None:
    """Last: where it is, all files are."""
    path = run.path / spec["manifest"]
    file = LocalFile(0, path.name, path, spec["manifest_url"], path.stat().st_size, content_type="text/csv")
    sender = Sender(public_only=spec["public_only"])
    for sent in sender.send_all([file]):
        if sent and sent.error:
            raise RunError(
                _("All files were exported, but not their manifest: %(problem)s", problem=sent.error),
                reason="export_incomplete",
            )
    if sender.problem:
        raise RunError(sender.problem.message, reason=sender.problem.reason)


if __name__ == "__main__":
    sys.exit(run_main(export))
