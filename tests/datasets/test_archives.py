"""What an archive may hold: attacks are made on the fly and refused as a whole, single broken files on their own."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datasets.inspection.archives import ArchiveRefused, Limits, MemberDamaged, archive_kind, members, survey
from tests.cast import png

FILES = {"a/0.png": png(), "a/1.png": png((1, 2, 3)), "notes.txt": b"hello\n" * 100}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(
    path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], compression: str = "", **options: object
) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:  # type: ignore[call-overload]
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(COMPRESSIONS[compression](buffer.getvalue()))
    return path


def plain(name: str, content: bytes = b"x", **values: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in values.items():
        setattr(info, field, value)
    return info, content


def unpacked(path: Path, folder: Path) -> dict[str, bytes]:
    found = {}
    for number, member in enumerate(members(path, survey(path, Limits()))):
        member.unpack(folder / str(number))
        found[member.name] = (folder / str(number)).read_bytes()
        assert member.size_bytes == len(found[member.name])
    return found


def reason(path: Path, limits: Limits = Limits()) -> str:  # noqa: B008
    with pytest.raises(ArchiveRefused) as refused:
        survey(path, limits)
    assert str(refused.value).strip()
    return refused.value.reason


@contextlib.contextmanager
def at_most(*, mib: int) -> Iterator[None]:
    """The memory that is used inside the block at the same time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib << 20
    finally:
        tracemalloc.stop()


# -- Sound archives ------------------------------------------------------------------------------


def test_zips_are_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {**FILES, "folder/": b"", "./b/2.png": b"2"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("stored.txt", b"as it is")
        with archive.open("zip64.txt", "w", force_zip64=True) as member:
            member.write(b"64")
    assert archive_kind(path) == "zip"
    assert survey(path, Limits()).files == 6
    assert unpacked(path, tmp_path) == {**FILES, "b/2.png": b"2", "stored.txt": b"as it is", "zip64.txt": b"64"}


def test_a_zip_of_more_entries_than_16_bits_can_count(tmp_path: Path) -> None:
    """Without the 64-bit records, as some programs write it: the end tells the number modulo 65,536."""
    count, place = 66_000, 36
    names = [b"%06d" % number for number in range(count)]
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *[0] * 8, 6, 0)
    central = struct.pack("<4s2B5H3L5HL", b"PK\x01\x02", *[0] * 10, 6, *[0] * 5)
    body = b"".join(local + name for name in names)
    directory = b"".join(central + struct.pack("<L", place * row) + name for row, name in enumerate(names))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[count % 65536] * 2, len(directory), len(body), 0)
    path = tmp_path / "x.zip"
    path.write_bytes(body + directory + end)
    assert survey(path, Limits()).files == count


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_are_unpacked(tmp_path: Path, compression: str, dialect: int) -> None:
    long = "/".join(["folder" * 10] * 3) + "/0.png"
    entries = [plain(f"./{name}", content) for name, content in FILES.items()]
    folder = plain("a", b"", type=tarfile.DIRTYPE)
    path = make_tar(tmp_path / "x", [folder, *entries, plain(long, b"long" * 5000)], compression, format=dialect)
    assert archive_kind(path) == "tar"
    assert unpacked(path, tmp_path) == {**FILES, long: b"long" * 5000}


def test_several_compressed_streams_are_one(tmp_path: Path) -> None:
    content = make_tar(tmp_path / "x.tar", [plain(name, content) for name, content in FILES.items()]).read_bytes()
    for compression in ("gz", "bz2", "xz"):
        path = tmp_path / compression
        pack = COMPRESSIONS[compression]
        path.write_bytes(pack(content[:700]) + pack(content[700:]))
        folder = tmp_path / f"{compression}-files"
        folder.mkdir()
        assert unpacked(path, folder) == FILES


def test_names_of_any_encoding_and_system(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "flagged.zip", {"사진/강아지.png": b"1"})
    assert set(unpacked(path, tmp_path)) == {"사진/강아지.png"}
    for number, encoding in enumerate(("utf-8", "cp949", "cp437")):
        text = "사진/강아지.png" if encoding != "cp437" else "été/çà.png"
        raw = text.encode(encoding)
        # As Windows and old programs pack it: bytes without a word on their encoding.
        placeholder = "x" * len(raw)
        content = make_zip(tmp_path / "x.zip", {placeholder: b"1", "b\\c.txt": b"2"}).read_bytes()
        path = tmp_path / f"{encoding}.zip"
        path.write_bytes(content.replace(placeholder.encode(), raw))
        folder = tmp_path / f"files-{number}"
        folder.mkdir()
        assert set(unpacked(path, folder)) == {text, "b/c.txt"}
    path = make_tar(tmp_path / "x.tar", [plain("사진/1.png")], format=tarfile.GNU_FORMAT, encoding="cp949")
    assert [member.name for member in members(path, survey(path, Limits()))] == ["사진/1.png"]


def test_junk_is_counted_and_left_out(tmp_path: Path) -> None:
    junk = ["__MACOSX/a/._0.png", ".DS_Store", "a/.DS_Store", "a/Thumbs.db", "a/._0.png", "desktop.ini"]
    for path in (
        make_zip(tmp_path / "x.zip", {**FILES, **dict.fromkeys(junk, b"junk")}),
        make_tar(tmp_path / "x.tar", [plain(name) for name in (*FILES, *junk)]),
    ):
        surveyed = survey(path, Limits())
        assert (surveyed.files, surveyed.junk) == (3, 6)
        assert [member.name for member in members(path, surveyed)] == list(FILES)


def test_names_that_differ_by_case_are_two_files(tmp_path: Path) -> None:
    assert survey(make_zip(tmp_path / "x.zip", {"a.png": b"", "A.png": b""}), Limits()).files == 2


# -- Attacks: refused as a whole, before anything is unpacked ---------------------------------------


BAD_NAMES = {
    "../evil.png": "archive_unsafe_path",
    "a/../../evil.png": "archive_unsafe_path",
    "..\\..\\evil.png": "archive_unsafe_path",
    "/etc/evil.png": "archive_unsafe_path",
    "\\\\host\\share.png": "archive_unsafe_path",
    "C:\\evil.png": "archive_unsafe_path",
    "c:/evil.png": "archive_unsafe_path",
    "__MACOSX/../../evil": "archive_unsafe_path",
    "a//b.png": "archive_bad_name",
    "line\nbreak.png": "archive_bad_name",
    "x" * 256: "archive_bad_name",
    "/".join(["x" * 200] * 6): "archive_bad_name",
}


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_that_leave_their_folder_or_are_none(tmp_path: Path, name: str) -> None:
    assert reason(make_zip(tmp_path / "x.zip", {"good.png": b"", name: b""})) == BAD_NAMES[name]
    assert reason(make_tar(tmp_path / "x.tar", [plain("good.png"), plain(name)])) == BAD_NAMES[name]


def test_links_and_devices(tmp_path: Path) -> None:
    for mode, expected in ((stat.S_IFLNK, "archive_link"), (stat.S_IFCHR, "archive_special_file")):
        info = zipfile.ZipInfo("evil")
        info.create_system, info.external_attr = 3, (mode | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr(info, "/etc/passwd")
        assert reason(tmp_path / "x.zip") == expected
    for kind, expected in {
        tarfile.SYMTYPE: "archive_link",
        tarfile.LNKTYPE: "archive_link",
        tarfile.CHRTYPE: "archive_special_file",
        tarfile.BLKTYPE: "archive_special_file",
        tarfile.FIFOTYPE: "archive_special_file",
        tarfile.GNUTYPE_SPARSE: "archive_sparse",
    }.items():
        path = make_tar(tmp_path / "x.tar", [plain("evil", b"", type=kind, linkname="/etc/passwd")])
        assert reason(path) == expected


def test_names_that_come_twice_or_are_file_and_folder(tmp_path: Path) -> None:
    for names in (("a", "b", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "x", "a/b")):
        path = make_tar(tmp_path / "x.tar", [plain(name) for name in names])
        assert reason(path) == "archive_duplicate_name", names
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("./a", "2")
    assert reason(tmp_path / "x.zip") == "archive_duplicate_name"


def test_encrypted_zips(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "x.zip", FILES).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    assert reason(tmp_path / "x.zip") == "archive_encrypted"


def test_a_million_entries_are_refused_at_once(tmp_path: Path) -> None:
    """Whether the end of the archive tells their number or lies about it; the list is not read into memory."""
    directory = 1_000_000 * (struct.pack("<4s2B5H3L5H2L", b"PK\x01\x02", *[0] * 10, 7, *[0] * 6) + b"x.png..")
    path = tmp_path / "x.zip"
    for announced in (1_000_000, 7):
        end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, announced, announced, len(directory), 4)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4 + len(directory), 1)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)
        path.write_bytes(b"PK\x03\x04" + directory + end_64 + locator + end)
        began = time.process_time()
        assert reason(path) == "archive_too_many_entries"
        assert time.process_time() - began < 1
    with at_most(mib=4):
        assert reason(path, Limits(entries=50_000)) == "archive_too_many_entries"


def test_a_tar_of_too_many_entries(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar.gz", [plain(f"{number}", b"") for number in range(101)], "gz")
    assert reason(path, Limits(entries=100)) == "archive_too_many_entries"
    assert survey(path, Limits(entries=101)).files == 101


def test_what_unpacks_to_too_much(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": bytes(1000), "b": bytes(1000)})
    assert reason(path, Limits(total_bytes=1999)) == "archive_too_large"
    path = make_tar(tmp_path / "x.tar", [plain("a", bytes(1000)), plain("b", bytes(1000))])
    assert reason(path, Limits(total_bytes=1999)) == "archive_too_large"


def test_bombs(tmp_path: Path) -> None:
    """A gigabyte of nothing in a megabyte is refused, in a moment and little memory."""
    nothing = bytes(1 << 20)
    with (
        zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("nothing", "w", force_zip64=True) as member,
    ):
        for _ in range(300):
            member.write(nothing)
    assert reason(tmp_path / "x.zip") == "archive_ratio"
    header = tarfile.TarInfo("nothing")
    header.size = 1 << 40
    head = header.tobuf(tarfile.GNU_FORMAT)
    for compression, pack in COMPRESSIONS.items():
        path = tmp_path / f"x.{compression}"
        path.write_bytes(pack(head + bytes(1 << 16)))
        assert reason(path) == "archive_too_large"
    # bzip2 packs a hundred megabytes into a hundred bytes: as a long name it would fill the memory at once.
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200 << 20
    packer = bz2.BZ2Compressor()
    packed = packer.compress(header.tobuf(tarfile.GNU_FORMAT))
    packed += b"".join(packer.compress(nothing) for _ in range(50))
    (tmp_path / "x.tar.bz2").write_bytes(packed + packer.flush())
    with at_most(mib=16):
        assert reason(tmp_path / "x.tar.bz2") == "archive_damaged"


def test_an_xz_that_wants_gigabytes_of_memory(tmp_path: Path) -> None:
    content = make_tar(tmp_path / "x.tar", [plain("a")]).read_bytes()
    greedy = bytearray(lzma.compress(content, preset=0))
    block, size = 12, 4 * (greedy[12] + 1)
    assert greedy[block + 2] == 0x21  # LZMA2, and after two more bytes the size of its dictionary
    greedy[block + 4] = 37  # 1.5 GiB
    greedy[block + size - 4 : block + size] = zlib.crc32(greedy[block : block + size - 4]).to_bytes(4, "little")
    (tmp_path / "x.tar.xz").write_bytes(greedy)
    assert len(lzma.decompress(greedy)) == len(content)
    assert reason(tmp_path / "x.tar.xz") == "not_an_archive"


def test_members_that_lie_over_each_other(tmp_path: Path) -> None:
    """As in the bombs that need no nesting: many entries of the directory share one packed content."""
    content = make_zip(tmp_path / "x.zip", {"a": random.Random(1).randbytes(2000)}).read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[start:end]
    entries = entry + entry.replace(b"a", b"b")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entries), start, 0)
    (tmp_path / "x.zip").write_bytes(content[:start] + entries + tail)
    assert reason(tmp_path / "x.zip") == "archive_overlap"


# -- Damage --------------------------------------------------------------------------------------


def test_cut_archives_are_refused_wherever_they_are_cut(tmp_path: Path) -> None:
    entries = [plain(name, content) for name, content in FILES.items()]
    whole = {"zip": make_zip(tmp_path / "whole", FILES).read_bytes()}
    for compression in COMPRESSIONS:
        whole[compression] = make_tar(tmp_path / "whole", entries, compression).read_bytes()
    for kind, content in whole.items():
        end = content.rindex(b"notes") if kind == "" else len(content)  # after its last file a plain tar has padding
        for length in (30, 300, end // 2, end - 1):
            (tmp_path / "cut").write_bytes(content[:length])
            assert reason(tmp_path / "cut") in ("archive_damaged", "not_an_archive"), (kind, length)


def test_broken_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    entries = [plain(name, content) for name, content in FILES.items()]
    chance = random.Random(5)
    folder = tmp_path / "files"
    for kind in ("zip", *COMPRESSIONS):
        made = make_zip(tmp_path / "x", FILES) if kind == "zip" else make_tar(tmp_path / "x", entries, kind)
        content = made.read_bytes()
        for _ in range(60):
            broken = bytearray(content)
            for _ in range(chance.randint(1, 4)):
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            (tmp_path / "x").write_bytes(broken)
            folder.mkdir()
            try:
                for number, member in enumerate(members(tmp_path / "x", survey(tmp_path / "x", Limits()))):
                    try:
                        member.unpack(folder / str(number))
                        assert (folder / str(number)).stat().st_size == member.size_bytes
                    except MemberDamaged:
                        assert not (folder / str(number)).exists()
            except ArchiveRefused:
                pass
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def test_one_broken_member_is_that_file_alone(tmp_path: Path) -> None:
    """A wrong checksum, a size that is not true, a method that nobody has, a header that is gone."""
    content = make_zip(tmp_path / "x.zip", FILES).read_bytes()
    first, directory = content.index(b"PK\x01\x02"), content.index(b"PK\x01\x02")
    assert first == directory
    breaks: list[tuple[int, int, str]] = [
        (directory + 16, 0xFF, "archive_member_damaged"),  # checksum
        (directory + 24, 0x01, "archive_member_damaged"),  # size
        (directory + 10, 0x08 ^ 97, "archive_method"),
        (0, 0xFF, "archive_member_damaged"),
        (45, 0xFF, "archive_member_damaged"),  # packed bytes
    ]
    for place, bits, expected in breaks:
        broken = bytearray(content)
        broken[place] ^= bits
        # What the beginning says is asked to know a zip; only the second file's header may break.
        path = tmp_path / "x.zip"
        path.write_bytes(broken)
        if place == 0:
            assert reason(path) == "not_an_archive"
            continue
        outcomes = []
        for number, member in enumerate(members(path, survey(path, Limits()))):
            target = tmp_path / f"{place}-{number}"
            try:
                member.unpack(target)
                outcomes.append("ok")
            except MemberDamaged as error:
                outcomes.append(error.reason)
                assert not target.exists()
        assert outcomes == [expected, "ok", "ok"]


def test_a_member_that_inflates_beyond_its_size_stops_there(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(64 << 20)) + packer.flush()
    honest = make_zip(tmp_path / "x.zip", {"a": bytes(100)}).read_bytes()
    start = honest.index(b"PK\x01\x02")
    local = honest[:31]
    entry = bytearray(honest[start : honest.index(b"PK\x05\x06")])
    struct.pack_into("<L", entry, 20, len(packed))  # but the size stays 100
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), 31 + len(packed), 0)
    path = tmp_path / "x.zip"
    path.write_bytes(local + packed + entry + end)
    (member,) = members(path, survey(path, Limits()))
    with at_most(mib=8), pytest.raises(MemberDamaged):
        member.unpack(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b"x", png(), b"text " * 1000, gzip.compress(b"a,b\n" * 1000), bytes(100_000)):
        path.write_bytes(content)
        assert archive_kind(path) == ""
        assert reason(path) == "not_an_archive"
    path.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(600))
    with pytest.raises(ArchiveRefused, match="RAR archives cannot be unpacked"):
        survey(path, Limits())


def test_an_archive_without_a_file(tmp_path: Path) -> None:
    assert reason(make_zip(tmp_path / "x.zip", {})) == "archive_empty"
    assert reason(make_zip(tmp_path / "x.zip", {"folder/": b"", ".DS_Store": b""})) == "archive_empty"
