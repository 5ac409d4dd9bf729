"""Photos of noise: JPEGs that all differ, for measurements that need many."""

from pathlib import Path

import numpy as np
from PIL import Image


def photos(folder: Path, *, count: int, size_px: int, detail_px: int = 16, quality: int = 85) -> list[Path]:
    """`count` square JPEGs of blurred noise; a larger `detail_px` makes smoother, smaller files."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = noise.integers(0, 256, (size_px // detail_px, size_px // detail_px, 3), dtype=np.uint8)
        path = folder / f"photo-{number:05}.jpg"
        Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC).save(path, quality=quality)
        paths.append(path)
    return paths
