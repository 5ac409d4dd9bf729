"""SIGKILL of every process of a site at random moments: nothing is lost, run twice at once or stuck.

python -m benchmarks.soak [--times 5] [--targets training runner …] [--seed N]

Each kill hits one process of a running site of its own while a piece of work runs (`WORK`), while a file of 500 MB is
uploaded (`UPLOADING`), while 4,200 objects are imported from a Ceph gateway (`IMPORTING`), or while a deployment
answers (`ANSWERING`). Prints a row for each target and, below, what went wrong; ends with 1 if anything did.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.photos import photos
from dlmodeler_site.demo.life_cycle import FINAL, checked, upload
from tests import ceph
from tests.e2e import life
from tests.e2e.imports import MOST_AGAIN, Bucket
from tests.e2e.kills import ANSWER_TIMEOUT_S, EPOCHS, Killer, Missed, computing, most_at_once
from tests.e2e.site import RunningSite, running_site, wait_until
from tests.e2e.tus import Upload, random_file

INSPECTION = "datasets.inspection"
# Kinds of work, and the module that computes each.
MODULES = {
    "training": "jobs.algorithms",
    "inspection": INSPECTION,
    "preprocessing": "datasets.preprocessing",
    "prediction": "deployments.modelserver.batch",
    "evaluation": "jobs.evaluation",
    "estimate": "jobs.algorithms",
    "download": "jobs.bundles",
}
# What is killed, and the work that runs meanwhile.
WORK = {
    **dict.fromkeys(("training", "runner", "worker", "queue guard", "queue main", "queue"), "training"),
    **dict.fromkeys(("keeper", "web", "supervisor"), "training"),
    **{work: work for work in ("inspection", "preprocessing", "prediction")},
    **{name: work for work in ("evaluation", "estimate", "download") for name in (work, f"runner ({work})")},
}
ANSWERING = ("model server", "keeper (serving)", "web (serving)", "supervisor (serving)")
UPLOADING = ("web (upload)", "supervisor (upload)")
IMPORTING = ("inspection (import)", "runner (import)", "worker (import)", "supervisor (import)")
ABOVE = {"runner": 1, "worker": 2, "queue guard": 3, "queue main": 4}  # generations above the computing process
PHOTOS, PHOTO_PX = 600, 512
LARGE_BYTES = 500_000_000
OBJECTS = 4200
CONVERTED = {"onnx": ".onnx", "litert": ".tflite"}
END_TIMEOUT_S = 300


@dataclass
class Row:
    """What came of the kills of one target."""

    target: str
    kills: int = 0
    well: int = 0
    most_at_once: int = 0
    longest_s: float = 0.0
    note: str = ""
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        figures = f"{self.kills:>6}{self.well:>11}{self.most_at_once:>14}{self.longest_s:>11.1f}"
        return f"{self.target:22}{figures}   {self.note}".rstrip()


HEADER = f"{'killed':22}{'kills':>6}{'completed':>11}{'most at once':>14}{'longest s':>11}"


@dataclass
class Soak:
    """A running site, a job, data and a deployment on it, and how long each kind of work takes undisturbed."""

    killer: Killer
    files: list[Path]
    images: dict[str, Any]
    labels: dict[str, Any]
    model: dict[str, Any]
    deployment: dict[str, Any]
    token: str
    usual_s: dict[str, float] = field(default_factory=dict)
    number: int = 0
    large: Path = Path()
    resent_bytes: dict[str, int] = field(default_factory=dict)
    gateway: ceph.Ceph | None = None
    bucket: Bucket | None = None
    connection: int = 0
    fetched_again: dict[str, list[int]] = field(default_factory=dict)
    to_convert: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, site: RunningSite, folder: Path, *, seed: int, count: int = PHOTOS) -> "Soak":
        killer = Killer.of(site, seed=seed, folder=folder / "colours")
        files = photos(folder / "photos", count=count, size_px=PHOTO_PX)
        images = upload(killer.client, killer.job["project"], "photos", files)
        table = folder / "photo-labels.csv"
        table.write_text("".join(f"{file.name},{number % 3}\n" for number, file in enumerate(files)))
        labels = upload(killer.client, killer.job["project"], "photo-labels", [table])
        training = life.start_training(killer.client, killer.job, "served", epochs=8, batch_size=10)
        model = killer.client.wait(f"/trainings/{training['id']}/")
        deployment, token = life.deploy(killer.client, model, "served")
        return cls(killer, files, images, labels, model, deployment, token)

    # -- work -----------------------------------------------------------------------------------

    def begin(self, work: str) -> str:
        """Start one piece of work; its path in the API."""
        self.number += 1
        client, name = self.killer.client, f"{work}-{self.number}"
        match work:
            case "training":
                made = life.start_training(client, self.killer.job, name, epochs=EPOCHS, batch_size=10)
                return f"/trainings/{made['id']}/"
            case "preprocessing":
                steps = [{"op": "rotate", "degrees": 30}, {"op": "grayscale"}]
                body = {"name": name, "description": "", "steps": steps}
                made = client.post(f"/data/{self.images['id']}/preprocess/", body)
                return f"/data/{made['id']}/"
            case "prediction":
                body = {"deployment": self.deployment["id"], "name": name, "description": "", "data": self.images["id"]}
                return f"/predictions/{client.post('/predictions/', body)['id']}/"
            case "evaluation":
                body = {"data": self.images["id"], "labels": self.labels["id"]}
                made = client.post(f"/trainings/{self.model['id']}/evaluations/", body)
                return f"/evaluations/{made['id']}/"
            case "estimate":
                # Of other hyperparameters each time: what was asked before is not probed again.
                wanted = {"hyperparameters": {"epochs": 100 + self.number}}
                made = client.post(f"/jobs/{self.killer.job['id']}/estimate/", wanted)
                return f"/estimates/{made['id']}/"
            case "download":
                return self._begin_download(name)
        data = client.post("/data/", {"dataset": self.images["dataset"], "name": name, "description": ""})
        with contextlib.ExitStack() as opened:
            parts = [("files", (path.name, opened.enter_context(open(path, "rb")))) for path in self.files]
            client.post(f"/data/{data['id']}/files/", files=parts)
        client.post(f"/data/{data['id']}/commit/")
        return f"/data/{data['id']}/"

    def _begin_download(self, name: str) -> str:
        """A format of a model that was never asked for in it: what is made is kept."""
        if not self.to_convert:
            made = life.start_training(self.killer.client, self.killer.job, name, epochs=1, batch_size=10)
            self.killer.client.wait(f"/trainings/{made['id']}/")
            self.to_convert = [f"/trainings/{made['id']}/model/?format={each}" for each in CONVERTED]
        path = self.to_convert.pop()
        self._state(path)
        return path

    def _state(self, path: str) -> dict[str, Any]:
        """The object; of a download that is made, `content` is the file."""
        client = self.killer.client
        if "/model/?format=" not in path:
            state: dict[str, Any] = client.get(path)
            return state
        answer = checked(client.session.get(f"{client.address}/api/v1{path}", timeout=30))
        if answer.status_code == requests.codes.accepted:
            state = answer.json()
            if state["error"]:  # asking for it has begun it anew
                raise AssertionError(f"{path} failed: {state['error']}")
            return state
        return {"status": "completed", "content": answer.content}

    def kill_during_work(self, row: Row) -> None:
        """One kill while work runs; the work must end completed, whole and computed by one process at a time."""
        work = WORK[row.target]
        module = MODULES[work]
        usual_s = self.usual_s.get(work) or self._measure(work)
        path = self.begin(work)
        with most_at_once(self.killer.site.home, module) as most:
            time.sleep(self.killer.moments.uniform(0, usual_s))
            self._kill(row.target.partition(" (")[0], module, path)
            killed_at = time.monotonic()
            row.kills += 1
            ended = self._wait_for_end(path)
            row.longest_s = max(row.longest_s, time.monotonic() - killed_at)
        row.most_at_once = max(row.most_at_once, most[0])
        if most[0] > 1:
            raise AssertionError(f"{path}: {most[0]} processes of {module} ran at once")
        self._check(work, path, ended)
        row.well += 1

    def _measure(self, work: str) -> float:
        """Seconds that the work takes when nobody disturbs it."""
        path, began = self.begin(work), time.monotonic()
        ended = self._wait_for_end(path)
        self.usual_s[work] = time.monotonic() - began
        self._check(work, path, ended)
        return self.usual_s[work]

    def _kill(self, target: str, module: str, path: str) -> None:
        if target == "supervisor":
            self.killer.kill_supervisor()
            self.killer.site.start()
            return
        victim = wait_until(
            lambda: self._victim(target, module) or self._has_ended(path), timeout_s=60, what=f"there is a {target}"
        )
        if not isinstance(victim, psutil.Process):
            raise Missed
        try:
            victim.kill()
        except psutil.NoSuchProcess as error:
            raise Missed from error

    def _victim(self, target: str, module: str) -> psutil.Process | None:
        if target in ("queue", "keeper", "web"):
            return self.killer.victim(target)
        pids = computing(self.killer.site.home, module)
        if not pids:
            return None
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            child = psutil.Process(pids[0])
            return [child, *child.parents()][ABOVE.get(target, 0)]
        return None

    def _has_ended(self, path: str) -> bool:
        return self._state(path)["status"] in FINAL

    def _wait_for_end(self, path: str) -> dict[str, Any]:
        """The object in its final state. Only a site that is down may leave a question open."""

        def state() -> dict[str, Any] | None:
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                got = self._state(path)
                return got if got["status"] in FINAL else None
            return None

        ended: dict[str, Any] = wait_until(state, timeout_s=END_TIMEOUT_S, what=f"{path} has ended")
        return ended

    def _check(self, work: str, path: str, ended: dict[str, Any]) -> None:
        if ended["status"] != "completed":
            raise AssertionError(f"{path} is {ended['status']}: {ended['error']}")
        match work:
            case "training":
                epochs = [row["epoch"] for row in self.killer.client.get(f"{path}metrics/")]
                if epochs != list(range(1, EPOCHS + 1)) or not ended["model_files"]:
                    raise AssertionError(f"{path}: epochs {epochs}, model files {ended['model_files']}")
            case "estimate":
                if not (ended["seconds"] and ended["memory_bytes"] and ended["parts"]):
                    raise AssertionError(f"{path}: {ended}")
                self._check_files(f".work/jobs.estimate/{ended['id']}", set())
            case "download":
                self._check_converted(path, ended["content"])
            case "evaluation":
                self._check_names(f"{path}results/")
                if ended["samples"] != len(self.files):
                    raise AssertionError(f"{path}: {ended['samples']} samples")
                found = self._check_files(f"*/{self.model['name']}/evaluation/{ended['id']}", {"log.txt", "results"})
                if not list(found.glob("results/heatmaps/*.png")):
                    raise AssertionError(f"{path}: no heat map")
            case "prediction":
                self._check_names(f"{path}results/")
            case _:
                self._check_names(f"{path}files/")

    def _check_converted(self, path: str, content: bytes) -> None:
        """The file is the network as a whole, and nothing else lies beside it."""
        from jobs.bundles.conversion import import_openvino

        training, _slash, wanted = path.removeprefix("/trainings/").partition("/model/?format=")
        name = self.killer.client.get(f"/trainings/{training}/")["name"]
        file = self.files[0].with_name(f"{name}{CONVERTED[wanted]}")
        file.write_bytes(content)
        if not import_openvino().Core().read_model(file).get_ops():
            raise AssertionError(f"{path}: an empty network")
        self._check_files(f"*/{name}/downloads/{wanted}", {"log.txt", f"model{CONVERTED[wanted]}"})

    def _check_files(self, pattern: str, allowed: set[str]) -> Path:
        """The folder in the workspace, which has nothing in it but what is allowed."""
        workspace = self.killer.site.home / "workspace"
        folders = list(workspace.glob(pattern if pattern.startswith(".") else f"project/*/model/{pattern}"))
        found = {file.name for folder in folders for file in folder.iterdir()}
        if not found <= allowed or (allowed and not folders):
            raise AssertionError(f"{pattern} has {sorted(found)}; {sorted(allowed)} were expected")
        return folders[0] if folders else workspace

    def _check_names(self, listing: str) -> None:
        names = sorted(self._all_names(listing))
        if names != sorted(file.name for file in self.files):
            raise AssertionError(
                f"{listing}: {len(names)} rows, {len(set(names))} names; {len(self.files)} were expected"
            )

    def _all_names(self, listing: str) -> Iterator[str]:
        page = 1
        while True:
            answer = self.killer.client.get(f"{listing}?page_size=200&page={page}")
            yield from (row.get("name") or row["file"] for row in answer["results"])
            if not answer["next"]:
                return
            page += 1

    # -- uploads --------------------------------------------------------------------------------

    def kill_during_upload(self, row: Row) -> None:
        """One kill while a large file is uploaded; it must arrive whole, and nothing be sent twice but a piece."""
        if not self.usual_s.get("upload"):
            self.large = random_file(self.files[0].with_name("large.bin"), LARGE_BYTES)
            began = time.monotonic()
            self._new_upload().run()
            self.usual_s["upload"] = time.monotonic() - began
        began = time.monotonic()
        upload = self._new_upload()
        target = row.target.removesuffix(" (upload)")
        resent_bytes = self.killer.kill_during_upload(target, upload, within_s=self.usual_s["upload"])
        row.kills += 1
        row.well += 1
        row.longest_s = max(row.longest_s, time.monotonic() - began)
        self.resent_bytes[row.target] = max(self.resent_bytes.get(row.target, 0), resent_bytes)
        row.note = f"{self.resent_bytes[row.target] / 1e6:.1f} MB sent twice at most"

    def _new_upload(self) -> Upload:
        self.number += 1
        body = {"dataset": self.images["dataset"], "name": f"upload-{self.number}", "description": ""}
        return Upload(self.killer.client, self.killer.client.post("/data/", body)["id"], self.large, self.large.name)

    # -- imports --------------------------------------------------------------------------------

    def kill_during_import(self, row: Row) -> None:
        """One kill while objects are imported; all must arrive, and none be fetched twice but those on their way."""
        bucket, target = self._filled_bucket(), row.target.removesuffix(" (import)")
        path = self._import_from(bucket)
        with most_at_once(self.killer.site.home, INSPECTION) as most:
            time.sleep(self.killer.moments.uniform(0, self.usual_s["import"]))
            self._kill(target, INSPECTION, path)
            killed_at = time.monotonic()
            row.kills += 1
            ended = self._wait_for_end(path)
            row.longest_s = max(row.longest_s, time.monotonic() - killed_at)
        row.most_at_once = max(row.most_at_once, most[0])
        if ended["status"] != "completed" or most[0] > 1:
            raise AssertionError(f"{path} is {ended['status']}: {ended['error']}; {most[0]} processes at once")
        bucket.check(self.killer.client, path)
        again, again_bytes = bucket.fetched_again()
        self.fetched_again.setdefault(row.target, []).append(again)
        row.note = f"objects asked for again after each kill: {self.fetched_again[row.target]}, {again_bytes:,} bytes"
        if again > MOST_AGAIN:
            raise AssertionError(f"{path}: {again} objects were asked for again")
        row.well += 1

    def _filled_bucket(self) -> Bucket:
        if self.bucket is None:
            if self.gateway is None:
                raise RuntimeError("the gateway is started before the site, which is to know its address")
            folder = self.files[0].parent.with_name("objects")
            self.bucket = Bucket.of(self.gateway, folder, count=OBJECTS)
            self.connection = self.bucket.connect(self.killer.client, self.killer.job["project"])
            began = time.monotonic()
            path = self._import_from(self.bucket)
            self.killer.client.wait(path)
            self.usual_s["import"] = time.monotonic() - began
            self.bucket.check(self.killer.client, path)
            say(f"{OBJECTS} objects are imported in {self.usual_s['import']:.1f} s when nobody disturbs it")
        return self.bucket

    def _import_from(self, bucket: Bucket) -> str:
        self.number += 1
        client, dataset = self.killer.client, self.images["dataset"]
        return bucket.start_import(client, self.connection, dataset, f"import-{self.number}")

    # -- deployments ----------------------------------------------------------------------------

    def kill_while_answering(self, row: Row) -> None:
        """One kill while a deployment answers; it must answer again in time."""
        image = self.files[self.number % len(self.files)].read_bytes()
        self.number += 1
        wait_until(lambda: self._answers(image), timeout_s=60, what="the deployment answers before the kill")
        time.sleep(self.killer.moments.uniform(0, 3))
        target = row.target.removesuffix(" (serving)")
        with most_at_once(self.killer.site.home, "deployments.modelserver", "--socket") as most:
            if target == "supervisor":
                self.killer.kill_supervisor()
                killed_at = time.monotonic()  # counted from the start of the site, as its owner would
                self.killer.site.start()
            else:
                victim = wait_until(lambda: self.killer.victim(target), timeout_s=30, what=f"there is a {target}")
                victim.kill()
                killed_at = time.monotonic()
                wait_until(lambda: not victim.is_running(), timeout_s=5, what="it is gone")
            row.kills += 1
            wait_until(lambda: self._answers(image), timeout_s=60, what="the deployment answers again")
            if target in ("web", "supervisor"):
                wait_until(self.killer.site.is_ready, timeout_s=60, what="the site is ready")
            seconds = time.monotonic() - killed_at
        row.longest_s, row.most_at_once = max(row.longest_s, seconds), max(row.most_at_once, most[0])
        if seconds > ANSWER_TIMEOUT_S or most[0] > 1:
            raise AssertionError(f"answered after {seconds:.1f} s, {most[0]} model servers at once")
        row.well += 1

    def _answers(self, image: bytes) -> bool:
        return self.killer.answers(self.deployment, self.token, image)


def repeat(kill: Callable[[Row], None], row: Row, times: int) -> None:
    """Kill until `times` kills hit, and note what went wrong."""
    misses = 0
    while row.kills < times and misses < 3 * times:
        kills = row.kills
        try:
            kill(row)
        except Missed:
            misses += 1
        except (AssertionError, requests.RequestException) as error:
            row.kills = kills + 1
            row.faults.append(f"{time.strftime('%H:%M:%S')} {error}")
            say(f"  {row.target}: {row.faults[-1]}")
    if row.kills < times:
        row.faults.append(f"only {row.kills} of {times} kills hit")


def main() -> int:
    kills = dict.fromkeys(WORK, Soak.kill_during_work) | dict.fromkeys(UPLOADING, Soak.kill_during_upload)
    kills |= dict.fromkeys(IMPORTING, Soak.kill_during_import) | dict.fromkeys(ANSWERING, Soak.kill_while_answering)
    targets = tuple(kills)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="kills of each target (default 5)")
    parser.add_argument("--targets", nargs="+", choices=targets, default=list(targets), metavar="TARGET")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments")
    arguments = parser.parse_args()
    rows, environment, gateway = [], {}, None
    if set(arguments.targets) & set(IMPORTING):
        gateway = ceph.start()
        environment["DLM_S3_ENDPOINTS"] = gateway.endpoint
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with running_site(home, **environment) as site:
            soak = Soak.on(site, Path(folder), seed=arguments.seed)
            soak.gateway = gateway
            say(f"seed {arguments.seed}, {os.cpu_count()} cores\n{HEADER}")
            for target in arguments.targets:
                rows.append(row := Row(target))
                repeat(partial(kills[target], soak), row, arguments.times)
                say(row.line())
    faults = [f"{row.target}: {fault}" for row in rows for fault in row.faults]
    say("\n".join(faults) or "no work lost, none run twice at once, none stuck")
    return 1 if faults else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
