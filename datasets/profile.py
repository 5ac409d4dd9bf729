"""What the files of a data are like, as its run has told: the row holds it, nothing is counted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlmodeler_site.compute.run_folder import RunFolder, read_json, read_jsonl

if TYPE_CHECKING:
    from datasets.models import Data

_NOTHING: dict[str, Any] = {
    "files": 0,
    "rejected": 0,
    "skipped": 0,
    "reasons": {},
    "contents": {},
    "formats": {},
    "modes": {},
    "labels": [],
    "other_labels": {"count": 0, "labels": 0},
    "unlabelled": 0,
    "size_bytes": None,
    "width": None,
    "height": None,
    "aspect": None,
    "brightness": None,
    "saturation": None,
    "colour": None,
    "duplicates": None,
    "near_duplicates": None,
    "dark": None,
    "bright": None,
    "tables": None,
    "complete": False,
}


def profile(data: Data) -> dict[str, Any]:
    """The data's profile as in docs/contracts.md, all of it empty before there is one; `columns` are those of the only
    table.
    """
    found = {name: data.profile.get(name, nothing) for name, nothing in _NOTHING.items()}
    is_one = bool(found["tables"]) and found["contents"].get("table") == 1
    return {**found, "columns": found["tables"][0]["columns"] if is_one else None}


def collect(data: Data, found: dict[str, Any]) -> None:
    """Keep the profile of a run so far."""
    _keep(data, found)


def keep(data: Data, run: RunFolder) -> None:
    """Keep the whole profile of a run; called before its files are written.

    An attempt that dies while it writes has told all: the next one is given only what is left. Files that were refused
    at the upload were in no run.
    """
    from datasets.models import File

    found: dict[str, Any] = read_json(run.output / "profile.json")
    if data.parent is not None:
        found["tables"] = found["tables"] or _carried_tables(data.parent, run)
    elif refused := data.files.filter(state=File.State.REJECTED).count():
        found["rejected"] += refused
        found["reasons"]["refused_at_upload"] = refused
    _keep(data, found)


def _keep(data: Data, found: dict[str, Any]) -> None:
    from datasets.models import Data

    data.refresh_from_db(fields=["profile"])
    if not data.profile.get("complete"):
        data.profile = found
        Data.everything.filter(pk=data.pk).update(profile=found)  # past the audit log: it is large


def _carried_tables(parent: Data, run: RunFolder) -> list[dict[str, Any]] | None:
    """The columns of the tables that were carried over from the parent unread."""
    tables = {table["name"]: table for table in parent.profile.get("tables") or ()}
    if not tables:
        return None
    names = (row["name"] for row in read_jsonl(run.output / "files.jsonl") if row["content"] == "table")
    return [tables[name] for name in names if name in tables] or None
