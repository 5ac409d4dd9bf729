"""What anybody would write: flip up-down and grayscale by Pillow, one file after the other.

python -m benchmarks.pillow_loop SOURCE TARGET QUALITY PROCESSES [--bare]

`--bare` is the limit of what can be had with equal pixels: libjpeg-turbo without Pillow's way of opening and saving.
"""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image


def main() -> int:
    source, target, quality, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    paths = sorted(source.rglob("*.jpg"))
    for folder in {path.parent for path in paths}:
        (target / folder.relative_to(source)).mkdir(parents=True, exist_ok=True)
    work = partial(_transform_bare if "--bare" in sys.argv else _transform, source, target, quality)
    if processes == 1:
        for path in paths:
            work(path)
    else:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            pool.map(work, paths)
    return 0


def _transform(source: Path, target: Path, quality: int, path: Path) -> None:
    image = Image.open(path).transpose(Image.Transpose.FLIP_TOP_BOTTOM).convert("L")
    image.save(target / path.relative_to(source), "JPEG", quality=quality)


def _transform_bare(source: Path, target: Path, quality: int, path: Path) -> None:
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGBX")
    size = pixels.shape[1::-1]
    image = Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1).convert("L")
    grey = np.ascontiguousarray(np.asarray(image)[::-1, :, None])
    (target / path.relative_to(source)).write_bytes(simplejpeg.encode_jpeg(grey, quality, "GRAY"))


if __name__ == "__main__":
    sys.exit(main())
