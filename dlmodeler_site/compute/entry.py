"""The edge of a computing process: what every `python -m <module> RUN_FOLDER` does around its work."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested
from dlmodeler_site.sentences import Sentence as _

EXIT_OK, EXIT_FAILED, EXIT_STOPPED = 0, 1, 3


def run_main(work: Callable[[RunFolder], None], argv: list[str] | None = None) -> int:
    """Run `work` on the run folder named by the command line; answer the process's exit code.

    `work` ends by calling `RunFolder.finish`. It raises `RunError` for what the user can mend,
    lets `StopRequested` through, and anything else goes to the log as a traceback.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m MODULE RUN_FOLDER", file=sys.stderr)
        return 2
    if int(os.environ.get("DLM_PARENT_PID", os.getppid())) != os.getppid():
        return EXIT_FAILED  # RACE: whoever started it died before the kernel knew of the bond
    run = RunFolder(Path(arguments[0]))
    try:
        work(run)
    except StopRequested:
        return EXIT_STOPPED
    except RunError as error:
        print(f"failed: {error.message}", file=sys.stderr, flush=True)
        run.fail(error.message, reason=error.reason)
        return EXIT_FAILED
    except MemoryError:
        traceback.print_exc()
        run.fail(
            _(
                "The process ran out of memory. "
                "Use a smaller batch size or smaller images, or a machine with more memory."
            ),
            reason="out_of_memory",
        )
        return EXIT_FAILED
    except Exception:
        traceback.print_exc()
        return EXIT_FAILED
    return EXIT_OK
