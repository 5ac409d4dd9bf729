"""The pages of data for `screenshots.py`: what fills them, where they are, what is done in them before a picture."""

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Page, expect

from dlmodeler_site.demo.life_cycle import LifeCycleError, Site, checked
from tests.ceph import Ceph
from tests.e2e import gallery
from tests.e2e.browser import drop_files

Act = Callable[[Page], object]


@dataclass(frozen=True)
class Shot:
    """A page by its path, and what is done in it before its picture is taken."""

    path: str
    act: Act | None = None
    is_whole: bool = True  # the whole page, not the window alone


def fill(site: Site, folder: Path, ceph: Ceph | None) -> dict[str, Any]:
    """A project with data in every state; answers the ids and files that pages need."""
    project = site.post("/projects/", {"name": "풍경 Landscapes", "description": "photos of six kinds of landscape"})[
        "id"
    ]
    by_label = gallery.photos(folder / "photos", each=36)
    troubled = {"landscapes.zip": gallery.troubled_archive(by_label)}
    unpacked = {"unzip": True, "labels_from_folders": True}
    photos = gallery.make(site, project, "landscapes", troubled, **unpacked)
    ids = {"project": project, "photos": photos["id"], "photos-dataset": photos["dataset"]}
    clean = {f"sea/{number}.jpg": photo for number, photo in enumerate(by_label["sea"][10:22])}
    ids["one-label"] = gallery.make(site, project, gallery.LONG[:100], clean, labels_from_folders=True)["id"]
    many = gallery.many_labels(240)
    ids["many-labels"] = gallery.make(site, project, "제품 사진", many, labels_from_folders=True)["id"]
    table = {"고객 명단 customers.csv": gallery.customers(1200)}
    ids["table"] = gallery.make(site, project, "customers", table)["id"]
    two = {"customers-2025.csv": gallery.customers(90), "customers-2026.csv": gallery.customers(120)}
    ids["tables"] = gallery.make(site, project, "customers by year", two)["id"]
    ids["started"] = gallery.add(site, photos["dataset"], "upload begun", clean, commit=False)["id"]
    broken = {f"{number}.jpg": b"not an image" for number in range(3)}
    ids["failed"] = gallery.add(site, photos["dataset"], "nothing sound", broken)["id"]
    steps = [{"op": "resize", "width": 96, "height": 96}, {"op": "grayscale"}, {"op": "contrast", "percent": 130}]
    for name, of in (("small and grey", steps), (gallery.LONG[:90], [*steps[:1], {"op": "augment", "copies": 3}])):
        site.post("/recipes/", {"project": project, "name": name, "steps": of})
    made = {"name": "landscapes-96px-grey", "description": "", "steps": [{"op": "drop_rejected"}, *steps]}
    grey = site.post(f"/data/{photos['id']}/preprocess/", made)
    site.wait(f"/data/{grey['id']}/")
    parts = site.post(f"/data/{grey['id']}/split/", {"name": "landscapes", "train": 70, "validation": 20, "test": 10})
    ids |= {"processed": grey["id"], "part": site.wait(f"/data/{parts[0]['id']}/")["id"]}
    for name in ("old photos", gallery.LONG[:100]):
        old = gallery.make(site, project, name, dict(itertools.islice(clean.items(), 4)))
        checked(site.session.delete(f"{site.address}/api/v1/datasets/{old['dataset']}/", timeout=30))
    if ceph is not None:
        ids |= _fill_bucket(site, ids, ceph, by_label)
    return ids | {"files": _to_upload(folder / "to upload", by_label, troubled["landscapes.zip"])}


def _fill_bucket(site: Site, ids: dict[str, Any], ceph: Ceph, by_label: dict[str, list[bytes]]) -> dict[str, Any]:
    """Connections, one of them with a key that was revoked, imports and exports."""
    bucket = gallery.stocked_bucket(ceph, by_label)
    access_key, secret_key = ceph.new_key()
    keys = {"good": (ceph.access_key, ceph.secret_key), "revoked": (access_key, secret_key)}
    found = {}
    for name, (access, secret) in keys.items():
        title = f"{gallery.LONG[:80]} ({name})" if name == "revoked" else "연구실 저장소 lab storage"
        body = {"project": ids["project"], "name": title, "endpoint": ceph.endpoint, "region": ceph.region}
        found[name] = site.post("/connections/", {**body, "bucket": bucket, "access_key": access, "secret_key": secret})
    dataset = ids["photos-dataset"]
    wanted = {"dataset": dataset, "labels_from_folders": True, "keys": ["landscapes/2026/"]}
    imported = site.post("/data/import/", wanted | {"name": "imported", "connection": found["good"]["id"]})
    site.wait(f"/data/{imported['id']}/")
    lost = site.post("/data/import/", wanted | {"name": "import that failed", "connection": found["revoked"]["id"]})
    exports = {}
    for name in ("good", "revoked"):
        body = {"data": ids["processed"], "connection": found[name]["id"], "prefix": f"exports/{name}/"}
        exports[name] = site.post("/exports/", body)["id"]
    ceph.revoke_key(access_key)
    with contextlib.suppress(LifeCycleError):
        site.wait(f"/data/{lost['id']}/")
    with contextlib.suppress(requests.HTTPError):
        site.post(f"/connections/{found['revoked']['id']}/check/")
    return {
        "connection": found["good"]["id"],
        "imported": imported["id"],
        "import-failed": lost["id"],
        "export": exports["good"],
        "export-failed": exports["revoked"],
    }


def _to_upload(folder: Path, by_label: dict[str, list[bytes]], archive: bytes) -> list[Path]:
    """A folder with sound and unsound files and an archive, to be dropped."""
    photos = folder / "바닷가"
    photos.mkdir(parents=True)
    for number, photo in enumerate(by_label["sea"][:14]):
        (photos / f"{gallery.LONG if number == 0 else number}.jpg").write_bytes(photo)
    for name in ("empty.jpg", "control\x01character.jpg", f"{gallery.LONG}.zip"):
        (photos / name).write_bytes(b"" if name == "empty.jpg" else b"no image")
    (photos / ".DS_Store").write_bytes(b"junk")
    (folder / "landscapes.zip").write_bytes(archive)
    return [photos, folder / "landscapes.zip"]


def pages(ids: dict[str, Any], empty: int) -> dict[str, Shot]:
    """Name and shot of every page of data; `empty` is a project with nothing in it."""
    project, photos = f"/projects/{ids['project']}", f"/data/{ids['photos']}"
    preprocess = f"{project}/data/preprocess/?data={ids['photos']}"
    found = {
        "datasets-landscapes": Shot(f"{project}/data/"),
        "datasets-chosen": Shot(f"{project}/data/", _bulk_delete, is_whole=False),
        "dataset-landscapes": Shot(f"/datasets/{ids['photos-dataset']}/"),
        "dataset-row-menu": Shot(f"/datasets/{ids['photos-dataset']}/", _row_menu, is_whole=False),
        "upload-picked": Shot(f"{project}/data/new/", lambda page: _pick(page, ids["files"])),
        "upload-going": Shot(f"{project}/data/new/", lambda page: _upload(page, ids["files"], slow=True)),
        "upload-result": Shot(f"{project}/data/new/", lambda page: _upload(page, ids["files"])),
        "upload-begun": Shot(f"/data/{ids['started']}/"),
        "data-photos": Shot(f"{photos}/"),
        "data-failed": Shot(f"/data/{ids['failed']}/"),
        "data-lineage": Shot(f"/data/{ids['processed']}/"),
        "data-one-label": Shot(f"/data/{ids['one-label']}/"),
        "data-table": Shot(f"/data/{ids['table']}/"),
        "delete-in-use": Shot(f"/data/{ids['processed']}/", _delete, is_whole=False),
        "delete-data": Shot(f"/data/{ids['one-label']}/", _delete, is_whole=False),
        "explore-photos": Shot(f"{photos}/explore/"),
        "explore-one-label": Shot(f"/data/{ids['one-label']}/explore/"),
        "explore-many-labels": Shot(f"/data/{ids['many-labels']}/explore/"),
        "explore-table": Shot(f"/data/{ids['table']}/explore/"),
        "explore-tables": Shot(f"/data/{ids['tables']}/explore/"),
        "data-running": Shot(preprocess, _run),
        "explore-running": Shot(preprocess, _explore_running),
        "explore-nothing": Shot(f"/data/{ids['started']}/explore/"),
        "explore-failed": Shot(f"/data/{ids['failed']}/explore/"),
        "explore-rename": Shot(f"{photos}/explore/", _rename, is_whole=False),
        "files-grid": Shot(f"{photos}/files/?per_page=25"),
        "files-list": Shot(f"{photos}/files/?view=list"),
        "files-rejected": Shot(f"{photos}/files/?view=list&state=rejected"),
        "files-filtered": Shot(f"{photos}/files/?label=sea&min_width=200&max_kb=400&sort=-size", is_whole=False),
        "files-none-match": Shot(f"{photos}/files/?search=nothing-like-it"),
        "files-many-labels": Shot(f"/data/{ids['many-labels']}/files/?per_page=25"),
        "files-table": Shot(f"/data/{ids['table']}/files/"),
        "files-chosen": Shot(f"{photos}/files/?per_page=25", _choose, is_whole=False),
        "lightbox": Shot(f"{photos}/files/?per_page=25&sort=name&label=street", _enlarge, is_whole=False),
        "lightbox-rejected": Shot(f"{photos}/files/?state=rejected", _enlarge, is_whole=False),
        "mend-relabel": Shot(f"{photos}/files/?per_page=25", _relabel, is_whole=False),
        "mend-new-version": Shot(f"{photos}/files/?per_page=25", _new_version, is_whole=False),
        "preprocess-empty": Shot(f"{project}/data/preprocess/"),
        "preprocess-menu": Shot(preprocess, lambda page: page.click("#add-step"), is_whole=False),
        "preprocess-steps": Shot(preprocess, _steps),
        "preprocess-split": Shot(preprocess, lambda page: _add_steps(page, "drop_duplicates", "split")),
        "preprocess-error": Shot(preprocess, _wrong_steps),
        "preprocess-recipes": Shot(preprocess, lambda page: page.click("#recipes > button"), is_whole=False),
        "recipe-save": Shot(preprocess, _save_recipe, is_whole=False),
        "recipes": Shot(f"{project}/recipes/"),
        "recipes-empty": Shot(f"/projects/{empty}/recipes/"),
        "trash": Shot(f"{project}/trash/"),
        "trash-empty": Shot(f"/projects/{empty}/trash/"),
        "trash-end": Shot(f"{project}/trash/", _end, is_whole=False),
        "projects-trash": Shot("/projects/trash/"),
        "import-empty": Shot(f"/projects/{empty}/data/import/"),
        "connections-empty": Shot(f"/projects/{empty}/connections/"),
        "connection-create": Shot(f"{project}/connections/new/"),
        "connection-error": Shot(f"{project}/connections/new/", _wrong_connection),
    }
    if "connection" in ids:
        found |= {
            "connections": Shot(f"{project}/connections/"),
            "connection-edit": Shot(f"/connections/{ids['connection']}/edit/"),
            "import": Shot(f"{project}/data/import/", _browse),
            "import-going": Shot(f"/datasets/{ids['photos-dataset']}/import/", _import),
            "import-done": Shot(f"/data/{ids['imported']}/"),
            "import-failed": Shot(f"/data/{ids['import-failed']}/"),
            "export-create": Shot(f"/data/{ids['processed']}/export/"),
            "export": Shot(f"/exports/{ids['export']}/"),
            "export-failed": Shot(f"/exports/{ids['export-failed']}/"),
        }
    return found


# -- What is done in a page ------------------------------------------------------------------------


def _pick(page: Page, files: list[Path]) -> None:
    page.fill("input[name=dataset_name]", "바닷가 2026")
    page.fill("input[name=name]", "as it came")
    drop_files(page, *files)
    expect(page.locator("[data-picked-summary]")).not_to_be_empty()


def _upload(page: Page, files: list[Path], *, slow: bool = False) -> None:
    _pick(page, files)
    page.fill("input[name=dataset_name]", f"바닷가 {page.evaluate('Date.now()')}")
    if slow:
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", limits)
    page.locator(".dlm-form-actions button[type=submit]").click()
    if slow:
        expect(page.locator("[data-upload-state]")).to_be_visible()
        page.wait_for_timeout(4000)
    else:
        expect(page.locator("[data-upload-result]")).to_be_visible(timeout=60_000)


def _bulk_delete(page: Page) -> None:
    page.locator("[data-select-all=row]").check()
    page.locator("[data-needs-selection=row]").click()
    expect(page.locator(".modal.show, dialog[open]").first).to_be_visible()


def _row_menu(page: Page) -> None:
    page.locator("table .dlm-menu button").first.click()


def _delete(page: Page) -> None:
    page.locator("[data-bs-target='#delete']").first.click()
    expect(page.locator("#delete")).to_be_visible()
    page.wait_for_load_state("networkidle")


def _end(page: Page) -> None:
    if page.locator("table .dlm-menu button").count():
        page.locator("table .dlm-menu button").first.click()
    page.locator("[data-bs-target='#delete']").first.click()
    expect(page.locator("#delete")).to_be_visible()


def _rename(page: Page) -> None:
    page.locator("[data-bs-target='#rename-label']").first.click()
    expect(page.locator("#rename-label")).to_be_visible()


def _choose(page: Page) -> None:
    boxes = page.locator("[data-choose]")
    boxes.nth(2).click()
    boxes.nth(5).click(modifiers=["Shift"])
    page.click("[data-mend-do=exclude]")
    boxes.nth(0).click()
    boxes.nth(1).click()


def _relabel(page: Page) -> None:
    _choose(page)
    page.click("[data-bs-target='#relabel']")
    expect(page.locator("#relabel")).to_be_visible()
    page.fill("#relabel-to", "숲")


def _new_version(page: Page) -> None:
    _relabel(page)
    page.keyboard.press("Enter")
    page.click("[data-mend-do=make]")
    expect(page.locator("#id_name")).to_be_visible()


def _enlarge(page: Page) -> None:
    page.locator("[data-lightbox]").nth(1).click()
    page.wait_for_load_state("networkidle")


def _add_steps(page: Page, *operations: str) -> None:
    for operation in operations:
        page.click("#add-step")
        page.click(f"[data-step-add={operation}]")
    page.wait_for_timeout(600)
    page.wait_for_load_state("networkidle")


def _steps(page: Page) -> None:
    page.fill("[name=name]", "landscapes-varied")
    _add_steps(page, "drop_duplicates", "exclude", "crop", "rotate", "augment")
    page.fill("[name=step-1-files]", f"forest/{gallery.LONG} (0).jpg")
    page.fill("[name=step-3-degrees]", "20")
    page.wait_for_timeout(700)
    page.wait_for_load_state("networkidle")


def _run(page: Page) -> None:
    """A run that lasts some time."""
    page.fill("[name=name]", f"varied {page.evaluate('Date.now()')}")
    _add_steps(page, "augment")
    page.fill("[name=step-0-copies]", "20")
    page.locator("#preprocess .dlm-form-actions button[type=submit]").click()
    page.wait_for_url("**/data/*/")
    expect(page.locator(".dlm-status[data-state=running]").first).to_be_visible(timeout=30_000)


def _explore_running(page: Page) -> None:
    _run(page)
    page.locator(".dlm-tabs a").nth(1).click()
    expect(page.locator("#explore[hx-trigger] .dlm-charts").first).to_be_visible(timeout=30_000)


def _wrong_steps(page: Page) -> None:
    page.fill("[name=name]", "landscapes-wrong")
    _add_steps(page, "rotate", "exclude")
    page.fill("[name=step-0-degrees]", "9999")
    page.fill("[name=step-1-files]", "no such file.jpg")
    page.evaluate("document.getElementById('preprocess').noValidate = true")
    page.locator("#preprocess .dlm-form-actions button[type=submit]").click()
    page.wait_for_load_state("networkidle")


def _save_recipe(page: Page) -> None:
    page.click("#recipes > button")
    page.click("[data-bs-target='#save-recipe']")
    expect(page.locator("#save-recipe")).to_be_visible()


def _wrong_connection(page: Page) -> None:
    page.fill("[name=name]", "somewhere inside")
    page.fill("[name=endpoint]", "http://10.0.0.5:9000")
    for name, value in (("region", "kr"), ("bucket", "photos"), ("access_key", "A" * 20), ("secret_key", "B" * 40)):
        page.fill(f"[name={name}]", value)
    page.locator(".dlm-form-actions button[type=submit]").click()
    page.wait_for_load_state("networkidle")


def _browse(page: Page) -> None:
    page.locator(".dlm-browser").scroll_into_view_if_needed()
    for folder in ("연구실", "landscapes", "2026"):
        page.locator(".dlm-node-row", has_text=folder).first.locator(".dlm-node-twist").click()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(300)
    page.locator(".dlm-node-row", has_text="바다").click()


def _import(page: Page) -> None:
    page.fill("[name=name]", f"import of {page.evaluate('Date.now()')}")
    page.locator(".dlm-node-row", has_text="연구실").locator(".dlm-node-twist").click()
    page.wait_for_load_state("networkidle")
    page.locator(".dlm-node-row", has_text="landscapes").click()
    page.locator(".dlm-form-actions button[type=submit]").click()
    page.wait_for_url("**/data/*/")
