"""What is in an object storage, folder by folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datasets.connections import storage_of
from datasets.models import Connection
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _

_MAX_PREFIX = 1100  # a bucket and the longest key


@dataclass(frozen=True)
class Folder:
    key: str  # ends with a slash
    name: str


@dataclass(frozen=True)
class BrowsedObject:
    key: str
    name: str
    size_bytes: int
    changed_at: datetime | None


@dataclass(frozen=True)
class Level:
    """At most 1,000 folders and objects below a prefix; `next_cursor` leads to more, "" where there are none."""

    prefix: str
    folders: list[Folder]
    objects: list[BrowsedObject]
    next_cursor: str


def browse(connection: Connection, prefix: str = "", *, cursor: str = "") -> Level:
    """What begins with the prefix, up to the next slash."""
    if len(prefix) > _MAX_PREFIX or "\0" in prefix:
        raise UserError(
            _("A prefix has at most %(most)d characters; received %(count)d.", most=_MAX_PREFIX, count=len(prefix)),
            reason="invalid",
            field="prefix",
        )
    listing = storage_of(connection).listing(prefix, cursor=cursor)
    return Level(
        prefix,
        [Folder(key, _last_part(key)) for key in listing.folders],
        [
            BrowsedObject(each.path, _last_part(each.path), each.size_bytes, each.changed_at)
            for each in listing.objects
            if not each.path.endswith("/")  # a folder's own placeholder
        ],
        listing.cursor,
    )


def _last_part(key: str) -> str:
    return key.rstrip("/").rpartition("/")[2] or key
