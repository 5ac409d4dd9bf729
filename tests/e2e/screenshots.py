"""`python -m tests.e2e.screenshots FOLDER`: every page at 1440 and 390 px, empty and filled, English and Korean.

Starts a site of its own, fills it through the REST API, and writes one PNG for each page, width and language.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from dlmodeler_site.demo.life_cycle import Site
from tests.e2e import life
from tests.e2e.browser import browser, log_in, new_page, no_overflow
from tests.e2e.site import PASSWORD, USERNAME, running_site

WIDTHS, LOCALES = (1440, 390), ("en-US", "ko-KR")
LONG_NAME = (
    "A very long name of something that somebody gave without thinking of how it looks in a narrow window 한국어"
)


def fill(site: Site, folder: Path) -> dict[str, int]:
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


def pages(ids: dict[str, int]) -> dict[str, str]:
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
        "connections": f"{project}/connections/",
        "connection-create": f"{project}/connections/new/",
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
        "deployment-predictions": f"/deployments/{ids['deployment']}/predictions/",
        "prediction-create": f"/deployments/{ids['deployment']}/predictions/new/",
        "prediction": f"/predictions/{ids['prediction']}/",
        "password": "/accounts/password/change/",
        "api-docs": "/api/v1/docs/",
        "not-found": "/projects/999999/edit/",
    }


def shoot(page: Page, address: str, path: str, target: Path) -> list[str]:
    """Open the page, wait until it is calm, and take the picture; answers what is wrong with it."""
    answer = page.goto(address + path)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    page.screenshot(path=target, full_page=True)
    wrong = [] if no_overflow(page) else ["wider than the window"]
    if answer is None or (answer.status >= 400 and "not-found" not in target.name):
        wrong.append(f"status {answer.status if answer else None}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--locales", nargs="+", default=LOCALES)
    parser.add_argument("--only", default="", help="pages whose name holds this")
    options = parser.parse_args()
    folder, only = options.folder, options.only
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running_site(Path(home)) as site, browser() as chromium:
        ids = fill(Site.login(site.address, USERNAME, PASSWORD), Path(home))
        for locale in options.locales:
            for width in WIDTHS:
                errors: list[str] = []
                page = new_page(chromium, width=width, locale=locale, errors=errors)
                suffix = f"{locale[:2]}-{width}.png"
                anonymous = {"intro": "/", "login": "/accounts/login/"}
                wanted: dict[str, Any] = {**anonymous, **pages(ids)}
                for name, path in wanted.items():
                    if name == "projects":
                        log_in(page, site.address)
                    if only and only not in name:
                        continue
                    for problem in shoot(page, site.address, path, folder / f"{name}-{suffix}"):
                        print(f"{name} {suffix}: {problem}")
                for error in dict.fromkeys(errors):
                    print(f"console {suffix}: {error}")


if __name__ == "__main__":
    main()
