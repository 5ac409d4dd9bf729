"""The log of a piece of work, over all its attempts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Work

CHUNK_BYTES = 256 * 1024
SEARCHED_BYTES = 4 * 1024 * 1024  # at once
SHOWN_OF_LINE = 300  # bytes


@dataclass(frozen=True)
class Match:
    """Where a text was found: the byte at which its line begins, the line's number (from 1), and the line."""

    offset: int
    line: int
    text: str


@dataclass(frozen=True)
class Found:
    """All lines with a text are counted, the first of them told."""

    count: int
    matches: list[Match]


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


def size(work: Work) -> int:
    """Bytes of the log so far."""
    return _kept_bytes(work) + _live_bytes(work)


def read(work: Work, *, offset: int = 0) -> tuple[str, int]:
    """At most 256 KiB of the log from byte `offset`, and the offset to go on from."""
    kept = _kept_bytes(work)
    data = _read_kept(work, offset, CHUNK_BYTES) if offset < kept else _read_live(work, offset - kept, CHUNK_BYTES)
    if len(data) == CHUNK_BYTES:
        data = _whole_characters(data)
    return data.decode(errors="replace"), offset + len(data)


def read_before(work: Work, end: int | None = None, *, size_bytes: int) -> tuple[str, int, int]:
    """About `size_bytes`, of 256 KiB at most, that end at byte `end` (the log's end), from a line's start; from, to."""
    whole = size(work)
    end = whole if end is None else min(end, whole)
    start = max(end - min(size_bytes, CHUNK_BYTES), 0)
    data = b""
    for piece in pieces(work, offset=start):
        data += piece
        if len(data) >= end - start:
            data = data[: end - start]
            break
    cut = data.find(b"\n") + 1 if start else 0
    return data[cut:].decode(errors="replace"), start + cut, end


def pieces(work: Work, *, offset: int = 0, piece_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of the log from `offset` on."""
    kept = _kept_bytes(work)
    while offset < kept and (piece := _read_kept(work, offset, piece_bytes)):
        yield piece
        offset += len(piece)
    while piece := _read_live(work, offset - kept, piece_bytes):
        yield piece
        offset += len(piece)


def search(work: Work, wanted: str, *, most: int) -> Found:
    """The lines of the whole log that have `wanted` in them, whatever the case of Latin letters."""
    needle = wanted.encode().lower()
    matches: list[Match] = []
    count, offset, line, rest = 0, 0, 1, b""
    for piece in pieces(work, piece_bytes=SEARCHED_BYTES):
        block = rest + piece
        end = block.rfind(b"\n") + 1
        block, rest = (block[:end], block[end:]) if end else (block, b"")  # a line longer than a piece is cut
        count += _search_block(block, needle, offset, line, matches, most)
        offset += len(block)
        line += block.count(b"\n")
    count += _search_block(rest, needle, offset, line, matches, most)
    return Found(count, matches)


def _search_block(block: bytes, needle: bytes, offset: int, line: int, matches: list[Match], most: int) -> int:
    """How many lines of the block have the needle; the matches are added to as long as there is room."""
    folded = block.lower()
    count, place, counted_to = 0, folded.find(needle), 0
    while place >= 0:
        start = block.rfind(b"\n", 0, place) + 1
        end = block.find(b"\n", place)
        end = len(block) if end < 0 else end
        if len(matches) < most:
            line += block.count(b"\n", counted_to, start)
            counted_to = start
            matches.append(Match(offset + start, line, block[start:end][:SHOWN_OF_LINE].decode(errors="replace")))
        count += 1
        place = folded.find(needle, end)
    return count


def _whole_characters(data: bytes) -> bytes:
    """Without the first bytes of a character whose others are in the next chunk."""
    for back in range(1, 4):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # the first byte of a character of two, three or four
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if length > back else data
    return data


def _kept_bytes(work: Work) -> int:
    return workspace().size(work.log_key) if workspace().exists(work.log_key) else 0


def _read_kept(work: Work, offset: int, size_bytes: int) -> bytes:
    with workspace().open(work.log_key, "rb") as file:
        file.seek(offset)
        data: bytes = file.read(size_bytes)
    return data


def _live_file(work: Work) -> Path:
    return Path(settings.DLM_RUNS) / f"{work._meta.label_lower}-{work.pk}" / f"attempt-{work.attempt}" / "log.txt"


def _live_bytes(work: Work) -> int:
    try:
        return 0 if work.is_final else _live_file(work).stat().st_size
    except FileNotFoundError:
        return 0


def _read_live(work: Work, offset: int, size_bytes: int) -> bytes:
    if work.is_final:
        return b""
    try:
        with open(_live_file(work), "rb") as file:
            file.seek(offset)
            return file.read(size_bytes)
    except FileNotFoundError:
        return b""
