"""The same modules in this process, one after the other: for tests of what surrounds them."""

import contextlib
import runpy
import sys
from dataclasses import dataclass

from dlmodeler_site.compute.base import Resources, gpu_count
from dlmodeler_site.compute.run_folder import RunFolder


@dataclass(frozen=True)
class EndedHandle:
    code: int

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout_s: float) -> None:
        pass

    def stop(self) -> None:
        pass


@dataclass(frozen=True)
class InlineBackend:
    blocking: bool = True

    def start(self, run: RunFolder, module: str, resources: Resources) -> EndedHandle:
        arguments, sys.argv = sys.argv, [module, str(run.path)]
        try:
            with (
                open(run.log, "a", encoding="utf-8") as log,
                contextlib.redirect_stdout(log),
                contextlib.redirect_stderr(log),
            ):
                runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as end:
            return EndedHandle(int(end.code or 0))
        finally:
            sys.argv = arguments
        return EndedHandle(0)

    def gpus(self) -> int:
        return gpu_count()
