"""The table of processes that make the site. Plain data, no Django: the supervisor reads it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlmodeler_site.compute.base import gpu_count

PYTHON = sys.executable
BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Process:
    """One supervised process: what to run, and what it finds in its environment beside the site's own."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Addresses:
    """Where the site listens and under which names it is reached."""

    host: str
    web_port: int
    serving_port: int
    web_url: str
    serving_url: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Addresses":
        """Read DLM_BIND, DLM_PORT, DLM_PUBLIC_URL and DLM_SERVING_URL; raise ValueError naming what is wrong."""
        text = environment.get("DLM_PORT") or "8000"
        if not text.isdecimal() or not 1 <= int(text) <= 65533:
            raise ValueError(f"DLM_PORT must be a port from 1 to 65533 (the next two are used as well), not {text!r}.")
        port = int(text)
        return cls(
            host=environment.get("DLM_BIND") or "0.0.0.0",
            web_port=port,
            serving_port=port + 1,
            web_url=environment.get("DLM_PUBLIC_URL") or f"http://localhost:{port}/",
            serving_url=environment.get("DLM_SERVING_URL") or f"http://localhost:{port + 1}/",
        )


def home_folder(environment: Mapping[str, str]) -> Path:
    """The folder of the site's state: DLM_HOME, else `var` beside manage.py."""
    return Path(environment.get("DLM_HOME") or BASE_DIR / "var").resolve()


def preparation() -> Process:
    """What runs once before the others: migrations, the first operator, static files."""
    return Process("prepare", (PYTHON, "manage.py", "run", "--prepare"))


def processes(environment: Mapping[str, str]) -> list[Process]:
    """All processes of the site on this machine."""
    addresses = Addresses.of(environment)
    queues = ["short", "cpu", *(["gpu"] if gpu_count(environment) else [])]
    return [
        _gunicorn(
            "web",
            "dlmodeler_site.wsgi:application",
            bind=f"{addresses.host}:{addresses.web_port}",
            # A thread waits for its client: with 8, as many slow uploads keep every page waiting. One takes 0.7 MB.
            options=("--workers", environment.get("DLM_WEB_WORKERS") or "1", "--threads", "32"),
        ),
        _gunicorn(
            "serving",
            "dlmodeler_site.serving_wsgi:application",
            bind=f"{addresses.host}:{addresses.serving_port}",
            # Preloaded: the workers share its memory, and one that dies is back at once. Requests are short, and what
            # 8 threads pass on keeps the model servers busy.
            options=("--workers", "2", "--threads", "8", "--preload"),
        ),
        Process("keeper", (PYTHON, "manage.py", "keep")),
        *(
            Process(f"queue-{queue}", (PYTHON, "-m", "dlmodeler_site.work.cluster"), {"Q_CLUSTER_NAME": queue})
            for queue in queues
        ),
    ]


def _gunicorn(role: str, application: str, *, bind: str, options: tuple[str, ...]) -> Process:
    config = "python:dlmodeler_site.gunicorn_conf"
    argv = (PYTHON, "-m", "gunicorn", "--config", config, "--bind", bind, *options, application)
    return Process(role, argv, {"DLM_ROLE": role})
