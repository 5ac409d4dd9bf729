"""Collects the static files that the web process serves, when they have changed."""

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect_if_changed() -> bool:
    """Run collectstatic unless it has run for the same files; say whether it ran. It takes several seconds."""
    stamp = Path(settings.DLM_HOME) / "static.sha256"
    digest = _digest()
    if stamp.exists() and stamp.read_text() == digest:
        return False
    stamp.unlink(missing_ok=True)  # a run that is cut short is no run
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest)
    return True


def _digest() -> str:
    """Of storage class, names, sizes and times of all files, in the order in which the finders rank them."""
    digest = hashlib.sha256(repr((settings.STORAGES["staticfiles"], settings.STATIC_ROOT)).encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            stat = Path(storage.path(name)).stat()
            digest.update(f"{storage.path(name)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
