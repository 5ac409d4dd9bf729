"""What anybody would write: flip up-down and grayscale by Pillow, one file after the other.

python -m benchmarks.pillow_loop SOURCE TARGET QUALITY PROCESSES
"""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

from PIL import Image


def main() -> int:
    source, target, quality, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    paths = sorted(source.rglob("*.jpg"))
    for folder in {path.parent for path in paths}:
        (target / folder.relative_to(source)).mkdir(parents=True, exist_ok=True)
    work = partial(_transform, source, target, quality)
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


if __name__ == "__main__":
    sys.exit(main())
