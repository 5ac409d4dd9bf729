"""The log of a piece of work, over all its attempts."""

from pathlib import Path

from django.conf import settings

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Work

CHUNK_BYTES = 256 * 1024


def keep(work: Work, run: RunFolder) -> None:
    """Add an ended attempt's log to what the workspace keeps."""
    if not run.log.exists():
        return
    whole = run.path / "log.whole"
    with open(whole, "wb") as target:
        if workspace().exists(work.log_key):
            with workspace().open(work.log_key, "rb") as earlier:
                for chunk in iter(lambda: earlier.read(CHUNK_BYTES), b""):
                    target.write(chunk)
        with open(run.log, "rb") as own:
            for chunk in iter(lambda: own.read(CHUNK_BYTES), b""):
                target.write(chunk)
    workspace().put_file(work.log_key, whole)


def read(work: Work, *, offset: int = 0) -> tuple[str, int]:
    """At most 256 KiB of the log from byte `offset`, and the offset to go on from."""
    kept = workspace().size(work.log_key) if workspace().exists(work.log_key) else 0
    if offset < kept:
        with workspace().open(work.log_key, "rb") as file:
            file.seek(offset)
            data = file.read(CHUNK_BYTES)
    else:
        data = _read_live(work, offset - kept)
    return data.decode(errors="replace"), offset + len(data)


def _read_live(work: Work, offset: int) -> bytes:
    live = Path(settings.DLM_RUNS) / f"{work._meta.label_lower}-{work.pk}" / f"attempt-{work.attempt}" / "log.txt"
    if work.is_final:
        return b""
    try:
        with open(live, "rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return b""
