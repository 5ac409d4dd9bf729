"""A corpus of images as they come: sound ones of every format and mode, broken ones, and files made to do harm.

Everything is made here from a seed, the same each time: `corpus()` gives the files, `write(folder)` also puts them on
disk. Run as a program, it writes them into a folder: `python -m tests.datasets.corpus FOLDER [SEED]`.
"""

import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.datasets import corpus_forged, corpus_sound, corpus_strange

_CUTS = (0.02, 0.3, 0.7, 0.95)
_FLIPPED = 4
_FLIPS = 8  # bits in each flipped file, half of them in its header
_HEADER_BYTES = 160


@dataclass(frozen=True)
class Specimen:
    """A file of the corpus; what is `sound` must be taken where its format is one that is read."""

    name: str
    content: bytes
    kind: str  # sound, cut, flipped, forged, misnamed, strange


def corpus(seed: int = 0, *, is_thorough: bool = False) -> list[Specimen]:
    """All files, with different names; if not thorough, of each way to break or forge a format one of many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of what it is made to write is of no interest
        sound = corpus_sound.images()
    broken = [*_cut(sound), *_flipped(sound, seed)]
    broken += [Specimen(f"forged/{name}", content, "forged") for name, content in corpus_forged.images(sound)]
    if not is_thorough:
        broken = _one_of_each(broken, seed)
    files = [Specimen(f"sound/{name}", content, "sound") for name, content in sound.items()]
    files += broken
    files += [Specimen(f"misnamed/{name}", content, "misnamed") for name, content in _misnamed(sound)]
    files += [Specimen(f"strange/{name}", content, "strange") for name, content in corpus_strange.files(sound)]
    assert len({file.name for file in files}) == len(files)
    return files


def write(folder: Path, seed: int = 0) -> list[Specimen]:
    """Write all of the corpus under the folder."""
    files = corpus(seed, is_thorough=True)
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    return files


def flip(content: bytes, chance: random.Random, bits: int = _FLIPS) -> bytes:
    """The content with some bits flipped, every second of them near its beginning, where the headers are."""
    flipped = bytearray(content)
    for number in range(bits):
        reach = min(len(flipped), _HEADER_BYTES) if number % 2 else len(flipped)
        flipped[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _cut(sound: dict[str, bytes]) -> Iterator[Specimen]:
    for name, content in sound.items():
        for share in _CUTS:
            yield Specimen(f"cut/{share:.2f} {name}", content[: max(1, int(len(content) * share))], "cut")
        yield Specimen(f"cut/less 1 {name}", content[:-1], "cut")


def _flipped(sound: dict[str, bytes], seed: int) -> Iterator[Specimen]:
    for name, content in sound.items():
        for number in range(_FLIPPED):
            chance = random.Random(f"{seed} {name} {number}")
            yield Specimen(f"flipped/{number} {name}", flip(content, chance), "flipped")


def _one_of_each(broken: list[Specimen], seed: int) -> list[Specimen]:
    """A name tells what was done and to which format before the first dash."""
    kinds: dict[str, list[Specimen]] = {}
    for file in broken:
        kinds.setdefault(file.name.partition("-")[0], []).append(file)
    chance = random.Random(seed)
    return [chance.choice(files) for files in kinds.values()]


def _misnamed(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """One image of each format under the suffixes of the others."""
    one_of_each = {name.partition("-")[0]: content for name, content in sound.items()}
    suffixes = ("jpg", "png", "tga", "tif", "ico", "csv", "txt", "svg", "")
    for number, (image_format, content) in enumerate(one_of_each.items()):
        for suffix in (suffixes[number % len(suffixes)], suffixes[(number + 2) % len(suffixes)]):
            yield (f"{image_format}.{suffix}" if suffix else image_format), content


if __name__ == "__main__":
    print(len(write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)))
