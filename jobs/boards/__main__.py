"""`python -m jobs.boards`: TensorBoard for the process that started it, over the socket that is its standard input.

Says `ready` on standard output once it answers; exit 1 when it cannot, the last line then says why (a sentence).
"""

import argparse
import signal
import sys
import types

from dlmodeler_site import sentences
from dlmodeler_site.sentences import Sentence as _


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the site, whose end ends this process.
    arguments = _parse_arguments()
    leave_out_tensorflow()
    try:
        from jobs.boards.app import make_app
        from jobs.boards.server import serve

        app = make_app()
    except ImportError as error:
        missing = error.name or str(error)
        why = _("it is not installed (%(missing)s is missing); `make setup` installs it.", missing=missing)
        print(sentences.dumps(why), flush=True)
        return 1
    print("ready", flush=True)
    serve(app, sys.stdin.fileno(), idle_s=arguments.idle_s)
    return 0


def leave_out_tensorflow() -> None:
    """Have TensorBoard go by its own stub: it looks for this module, a target of its build system, and asks no more."""
    sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.boards", description="Serve TensorBoard to the parent.")
    parser.add_argument("--idle-s", type=float, default=600, help="end after so long without a request (default 600)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
