"""`python -m tests.e2e.screenshots FOLDER`: every page at 1440 and 390 px, empty and filled, English and Korean.

Starts a site of its own, fills it through the REST API, and writes one PNG for each page, width and language.
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from dlmodeler_site.demo.life_cycle import Site
from tests import ceph
from tests.e2e import data_pages, life
from tests.e2e.browser import browser, log_in, new_page, no_overflow
from tests.e2e.data_pages import Shot
from tests.e2e.site import PASSWORD, USERNAME, RunningSite, running_site

SEEN = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 700) {
    scrollTo({ top: y, behavior: "instant" });
    await new Promise((then) => setTimeout(then, 60));
  }
  document.activeElement?.blur();
  scrollTo({ top: 0, behavior: "instant" });
}"""
WIDTHS, LOCALES = (1440, 390), ("en-US", "ko-KR")
LONG_NAME = (
    "A very long name of something that somebody gave without thinking of how it looks in a narrow window 한국어"
)


def fill(site: Site, folder: Path) -> dict[str, Any]:
    """A project with one of everything; answers the ids that pages need."""
    empty = site.post("/projects/", {"name": "Empty project", "description": "Nothing in it yet"})
    site.post("/projects/", {"name": LONG_NAME[:100], "description": LONG_NAME * 4})
    job, images = life.make_job(site, folder / "images")
    training = life.start_training(site, job, "colours-train", epochs=25, batch_size=10)
    life.start_training(site, job, "colours-slow", epochs=300, batch_size=10)
    bad = site.post("/datasets/", {"project": job["project"], "name": "bad files", "description": "text named jpg"})
    bad_data = site.post("/data/", {"dataset": bad["id"], "name": "bad files", "description": ""})
    files = [("files", ("text.jpg", b"not an image")), ("files", ("empty.png", b""))]
    files.append(("files", ("풍경 사진.jpg", (folder / "images" / "0-0.jpg").read_bytes())))
    site.post(f"/data/{bad_data['id']}/files/", files=files)
    site.post(f"/data/{bad_data['id']}/commit/")
    steps = [{"op": "flip_up_down"}, {"op": "grayscale"}]
    processed = site.post(f"/data/{images['id']}/preprocess/", {"name": "gray", "description": "", "steps": steps})
    site.wait(f"/data/{processed['id']}/")
    site.wait(f"/trainings/{training['id']}/")
    deployment, _token = life.deploy(site, training, "colours")
    prediction = site.post(
        "/predictions/",
        {"deployment": deployment["id"], "name": "first prediction", "description": "", "data": processed["id"]},
    )
    site.wait(f"/predictions/{prediction['id']}/")
    return {
        "empty": empty["id"],
        "project": job["project"],
        "dataset": images["dataset"],
        "data": images["id"],
        "bad": bad_data["id"],
        "processed": processed["id"],
        "job": job["id"],
        "training": training["id"],
        "deployment": deployment["id"],
        "prediction": prediction["id"],
    }


def pages(ids: dict[str, Any]) -> dict[str, str]:
    """Name and path of every page."""
    project, empty = f"/projects/{ids['project']}", f"/projects/{ids['empty']}"
    return {
        "projects": "/projects/",
        "projects-none-found": "/projects/?search=nothing-like-it",
        "project-create": "/projects/new/",
        "project-edit": f"{project}/edit/",
        "project-delete": f"{project}/delete/",
        "data-empty": f"{empty}/data/",
        "data": f"{project}/data/",
        "data-create": f"{project}/data/new/",
        "data-import": f"{project}/data/import/",
        "dataset": f"/datasets/{ids['dataset']}/",
        "dataset-add": f"/datasets/{ids['dataset']}/add/",
        "data-detail": f"/data/{ids['data']}/",
        "data-bad": f"/data/{ids['bad']}/",
        "data-processed": f"/data/{ids['processed']}/",
        "preprocess": f"{project}/data/preprocess/?data={ids['data']}",
        "jobs-empty": f"{empty}/jobs/",
        "jobs": f"{project}/jobs/",
        "job-create": f"{project}/jobs/new/",
        "job-create-basic": f"{project}/jobs/new/basic/",
        "job-create-custom": f"{project}/jobs/new/custom/",
        "job": f"/jobs/{ids['job']}/",
        "job-details": f"/jobs/{ids['job']}/details/",
        "training-create": f"/jobs/{ids['job']}/trainings/new/",
        "training": f"/trainings/{ids['training']}/",
        "deployments-empty": f"{empty}/deployments/",
        "deployments": f"{project}/deployments/",
        "deployment-create": f"{project}/deployments/new/?training={ids['training']}",
        "deployment": f"/deployments/{ids['deployment']}/",
        "deployment-change": f"/deployments/{ids['deployment']}/change/",
        "deployment-predictions": f"/deployments/{ids['deployment']}/predictions/",
        "prediction-create": f"/deployments/{ids['deployment']}/predictions/new/",
        "prediction": f"/predictions/{ids['prediction']}/",
        "password": "/accounts/password/change/",
        "api-docs": "/api/v1/docs/",
        "not-found": "/projects/999999/edit/",
    }


def shoot(page: Page, address: str, shot: Shot, target: Path) -> list[str]:
    """Open the page, wait until it is calm, and take the picture; answers what is wrong with it."""
    if page.url.startswith(address):
        page.evaluate("sessionStorage.clear()")  # of what was chosen for the last picture
    answer = page.goto(address + shot.path)
    page.wait_for_load_state("networkidle")
    wrong = []
    if shot.act:
        try:
            shot.act(page)
        except (PlaywrightError, AssertionError) as error:
            wrong.append(f"not done: {error}")
    page.wait_for_timeout(400)
    if shot.is_whole:  # pictures are loaded when they are seen
        page.evaluate(SEEN)
        page.wait_for_load_state("networkidle")
    page.screenshot(path=target, full_page=shot.is_whole)
    if not no_overflow(page):
        wrong.append("wider than the window")
    if answer is None or (answer.status >= 400 and "not-found" not in target.name):
        wrong.append(f"status {answer.status if answer else None}")
    return wrong


def take(site: RunningSite, ids: dict[str, Any], folder: Path, locales: Sequence[str], only: str) -> None:
    """All pictures whose page's name holds `only`; what is wrong is printed."""
    wanted = {"intro": Shot("/"), "login": Shot("/accounts/login/")}
    wanted |= {name: Shot(path) for name, path in pages(ids).items()} | data_pages.pages(
        ids["data-pages"], ids["empty"]
    )
    wanted = {name: shot for name, shot in wanted.items() if re.search(only, name)}
    with browser() as chromium:
        for locale in locales:
            for width in WIDTHS:
                errors: list[str] = []
                page = new_page(chromium, width=width, locale=locale, errors=errors)
                page.set_default_timeout(10_000)
                suffix, is_known = f"{locale[:2]}-{width}.png", False
                for name, shot in wanted.items():
                    if not is_known and name not in ("intro", "login"):
                        log_in(page, site.address)
                        is_known = True
                    for problem in shoot(page, site.address, shot, folder / f"{name}-{suffix}"):
                        print(f"{name} {suffix}: {problem}", flush=True)
                for error in dict.fromkeys(errors):
                    print(f"console {suffix}: {error}", flush=True)
                page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--locales", nargs="+", default=LOCALES)
    parser.add_argument("--only", default="", help="pages whose name holds this regular expression")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    gateway = None if ceph.missing() else ceph.start()
    allowed = {"DLM_S3_ENDPOINTS": gateway.endpoint} if gateway else {}
    with tempfile.TemporaryDirectory() as home, running_site(Path(home), **allowed) as site:
        client = Site.login(site.address, USERNAME, PASSWORD)
        ids = fill(client, Path(home)) | {"data-pages": data_pages.fill(client, Path(home), gateway)}
        take(site, ids, options.folder, options.locales, options.only)


if __name__ == "__main__":
    main()
