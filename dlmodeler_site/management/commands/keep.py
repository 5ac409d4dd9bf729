"""The keeper: one process that does the registered duties (reaping work, keeping model servers) again and again."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from dlmodeler_site.health import KEEPER_BEAT
from dlmodeler_site.registry import Duty, duties

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Does the registered duties again and again; `run` starts and watches it."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        # A slow duty must not keep the others waiting: each has a thread.
        threads = [threading.Thread(target=_repeat, args=(duty, stopping), name=duty.name) for duty in duties]
        for thread in threads:
            thread.start()
        while True:
            cache.set(KEEPER_BEAT, 1, timeout=30)
            if stopping.wait(5):
                break
        for thread in threads:
            thread.join()


def _repeat(duty: Duty, stopping: threading.Event) -> None:
    while not stopping.is_set():
        close_old_connections()
        try:
            duty.run()
        except Exception:
            log.exception("duty %s failed; it is tried again in %s s", duty.name, duty.every_s)
        stopping.wait(duty.every_s)
    duty.close()
