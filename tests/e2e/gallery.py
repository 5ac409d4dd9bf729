"""Data as people have it, for pictures of the pages: photos with all that can be wrong with them, tables, a bucket."""

import csv
import io
import random
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from dlmodeler_site.demo.life_cycle import Site
from tests.ceph import Ceph
from tests.conftest import SHARED_DATA
from tests.e2e.life import coloured_images

LONG = "오래된 사진첩에서 스캔한 풍경 사진 – the scans of an album that nobody had opened since the summer of 1998"
_PHOTOS = SHARED_DATA / "intel-4200.zip"
_KOREAN = {"sea": "바다", "forest": "숲", "street": "거리"}


def photos(folder: Path, *, each: int) -> dict[str, list[bytes]]:
    """Photos by label: real ones where they lie beside the repository, coloured noise elsewhere."""
    found: dict[str, list[bytes]] = {}
    if _PHOTOS.exists():
        with zipfile.ZipFile(_PHOTOS) as archive:
            for name in archive.namelist():
                label = name.split("/")[0]
                if name.endswith(".jpg") and len(found.setdefault(label, [])) < each:
                    found[label].append(archive.read(name))
        return found
    for path in coloured_images(folder, per_class=each)[0]:
        found.setdefault(("sea", "forest", "street")[int(path.name[0])], []).append(path.read_bytes())
    return found


def _changed(photo: bytes, *, size: tuple[int, int] | None = None, light: float = 1, quality: int = 85) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        changed = ImageEnhance.Brightness(image.convert("RGB")).enhance(light)
        stored = io.BytesIO()
        (changed.resize(size) if size else changed).save(stored, "JPEG", quality=quality)
    return stored.getvalue()


def _sketch(colour: int) -> bytes:
    stored = io.BytesIO()
    noise = np.random.default_rng(colour).integers(0, 24, (90, 160, 3), dtype=np.uint8)
    Image.fromarray(np.clip(noise.astype(int) + colour, 0, 255).astype(np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def troubled_archive(by_label: dict[str, list[bytes]]) -> bytes:
    """A zip of folders with duplicates, look-alikes, other spellings, dark, bright, tiny and broken files, and junk."""
    files: dict[str, bytes] = {}
    for label, found in by_label.items():
        for number, photo in enumerate(found):
            files[f"{label}/{_KOREAN.get(label, label)}-{number:03}.jpg"] = photo
    sea, forest, street = (by_label[label] for label in ("sea", "forest", "street"))
    for number in range(4):
        files[f"Sea/IMG_{number:04}.jpg"] = _changed(sea[number], size=(300, 300), quality=70)
        files[f"forest/{LONG} ({number}).jpg"] = forest[number]
        files[f"street/night-{number}.jpg"] = _changed(street[number], light=0.12)
        files[f"sea/fog-{number}.png"] = _sketch(231)
    files["forest/sea-by-mistake.jpg"] = sea[9]
    files["street/icon.png"] = _tiny()
    files["street/portrait.jpg"] = _changed(street[8], size=(120, 360))
    files["sea/panorama.jpg"] = _changed(sea[8], size=(640, 120))
    for number in range(3):
        files[f"forest/broken-{number}.jpg"] = forest[number][:700]
    files["sea/text named as an image.jpg"] = b"not an image at all"
    files["__MACOSX/sea/._1.jpg"] = files["sea/.DS_Store"] = b"junk"
    files["loose.jpg"] = sea[7][:-2] + b"\xff\xd9"
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stored.getvalue()


def _tiny() -> bytes:
    stored = io.BytesIO()
    Image.new("RGBA", (16, 16), (30, 90, 200, 128)).save(stored, "PNG")
    return stored.getvalue()


def make(site: Site, project: int, name: str, files: dict[str, bytes], **options: Any) -> Any:
    """A dataset with one raw data of these files, inspected; options such as `labels_from_folders`."""
    dataset = site.post("/datasets/", {"project": project, "name": name, "description": ""})
    data = add(site, dataset["id"], name, files, **options)
    return site.wait(f"/data/{data['id']}/")


def add(site: Site, dataset: int, name: str, files: dict[str, bytes], *, commit: bool = True, **options: Any) -> Any:
    """A raw data of the dataset, queued for inspection."""
    described = "Landscapes of the summer, as they came from the cameras"
    data = site.post("/data/", {"dataset": dataset, "name": name, "description": described})
    names = list(files)
    for start in range(0, len(names), 90):
        some = names[start : start + 90]
        parts = [("files", (each.rpartition("/")[2], files[each])) for each in some]
        fields = [("paths", each) for each in some] + [(key, str(value).lower()) for key, value in options.items()]
        site.post(f"/data/{data['id']}/files/", files=parts, data=fields)
    if commit:
        site.post(f"/data/{data['id']}/commit/")
    return data


def many_labels(count: int) -> dict[str, bytes]:
    """Two small images for each of very many labels, the first of which are long."""
    draw = random.Random(0)
    files = {}
    for number in range(count):
        label = f"{number:03} {LONG}" if number < 3 else f"제품 분류 {number:03}"
        for copy in range(2 + draw.randrange(3)):
            files[f"{label}/{number}-{copy}.png"] = _sketch(draw.randrange(30, 220))
    return files


def customers(rows: int) -> bytes:
    """A table with a column of every type, gaps and odd values."""
    draw = random.Random(1)
    written = io.StringIO()
    table = csv.writer(written)
    header = ["id", "이름", "age", "income", "joined", "newsletter", "country", "comment", "referrer"]
    table.writerow([*header, "a_column_with_a_very_long_name_that_somebody_took_from_a_survey_tool_without_a_thought"])
    names = ["김민준", "이서연", "박지후", "최수아", "정하은", "Ada", "Grace", "Katherine"]
    for number in range(rows):
        joined = date(2019, 1, 1) + timedelta(days=draw.randrange(2200))
        age = "unknown" if number % 41 == 0 else draw.randrange(18, 90)
        income = "" if number % 9 == 0 else round(draw.lognormvariate(10, 0.5), 2)
        comment = draw.choice(["", "좋아요", "would buy again", LONG])
        values = [joined, draw.choice(["yes", "no"]), draw.choice(["KR", "KR", "DE", "US"]), comment]
        rare = [draw.choice(["", "", "", "", "friend"]), draw.choice("ABCD")]
        table.writerow([number + 1, draw.choice(names), age, income, *values, *rare])
    return written.getvalue().encode()


def stocked_bucket(ceph: Ceph, by_label: dict[str, list[bytes]]) -> str:
    """A bucket with folders of photos, a long name and a table."""
    bucket, client = ceph.new_bucket(), ceph.client()
    for label, found in by_label.items():
        for number, photo in enumerate(found):
            client.put_object(
                Bucket=bucket, Key=f"landscapes/2026/{_KOREAN.get(label, label)}/{number}.jpg", Body=photo
            )
    client.put_object(Bucket=bucket, Key=f"landscapes/{LONG}.jpg", Body=by_label["sea"][0])
    client.put_object(Bucket=bucket, Key="tables/customers.csv", Body=customers(50))
    return bucket
