"""What anybody would write: unzip, decode each image with Pillow, write a thumbnail.

python -m benchmarks.plain_unzip ARCHIVE FOLDER PROCESSES: prints the seconds and the CPU seconds as JSON.
"""

import json
import multiprocessing
import os
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

from PIL import Image

BOX_PX, QUALITY = 256, 80  # as the site's thumbnails


def write_thumbnail(folder: Path, name: str) -> None:
    with Image.open(folder / name) as image:
        image.load()
        image.thumbnail((BOX_PX, BOX_PX))
        image.convert("RGB").save(folder / f"thumbnail-{name.replace('/', '-')}", "JPEG", quality=QUALITY)


def main() -> int:
    archive, folder, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    began = time.monotonic()
    with zipfile.ZipFile(archive) as opened:
        names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
        opened.extractall(folder)
    if processes == 1:
        for name in names:
            write_thumbnail(folder, name)
    else:
        with multiprocessing.Pool(processes) as pool:
            pool.map(partial(write_thumbnail, folder), names, chunksize=32)
            pool.close()
            pool.join()
    seconds = time.monotonic() - began
    times = os.times()
    cpu_s = times.user + times.system + times.children_user + times.children_system
    print(json.dumps({"files": len(names), "seconds": seconds, "cpu_s": cpu_s}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
