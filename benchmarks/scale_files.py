"""An archive of many small images with what a real one has: classes, duplicates, look-alikes, broken files."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 40
_SIDES_PX = (24, 28, 32, 40)
_PERIOD = 200
_ODD = {"broken": (7,), "duplicate": (9, 59, 109, 159), "near": (33, 133), "unlabelled": (21, 71, 121, 171)}
_REMEMBERED = 1000


def write_archive(path: Path, *, count: int, seed: int = 0) -> None:
    """`count` JPEGs of some 0.9 kB, all different but for the places above, in classes of which some are larger."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, CLASSES + 1) ** 0.5
    labels = random.choice(CLASSES, count, p=weights / weights.sum())
    odd = {place: kind for kind, places in _ODD.items() for place in places}
    seen: list[Image.Image] = []
    with zipfile.ZipFile(path, "w") as archive:
        for number, label in enumerate(labels):
            kind = odd.get(number % _PERIOD, "")
            folder = "" if kind == "unlabelled" else f"class-{label:02}/"
            if kind in ("duplicate", "near"):
                image = seen[random.integers(len(seen))]
            else:
                image = _drawn(random, int(label))
                if len(seen) < _REMEMBERED:
                    seen.append(image)
            content = _jpeg(image, quality=80 if kind == "near" else 85)
            archive.writestr(
                f"{folder}image-{number:06}.jpg", content[: len(content) // 3] if kind == "broken" else content
            )


def _drawn(random: np.random.Generator, label: int) -> Image.Image:
    side_px = _SIDES_PX[random.integers(len(_SIDES_PX))]
    coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    coarse[..., label % 3] //= 1 + label % 4  # classes differ a little
    return Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BILINEAR)


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()
