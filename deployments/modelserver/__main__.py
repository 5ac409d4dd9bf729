"""`python -m deployments.modelserver BUNDLE --socket PATH --threads N`: serve one bundle."""

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.preprocessing.operation import Step

logger = logging.getLogger("deployments.modelserver")


def main() -> int:
    """Answers 0 after a requested stop, 1 when the bundle cannot be served."""
    parent_pid = int(os.environ.get("DLM_PARENT_PID", os.getppid()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    leave_out_model_conversion()

    from deployments.modelserver.admission import Admission
    from deployments.modelserver.app import ModelServerApp
    from deployments.modelserver.loading import load_predictor
    from deployments.modelserver.server import ModelServer
    from dlmodeler_site import sentences
    from jobs.bundles.errors import BundleError, NotFiniteError

    try:
        predictor = load_predictor(arguments.bundle, threads=arguments.threads, steps=arguments.steps)
        predictor.warm_up()
    except (BundleError, NotFiniteError) as error:
        logger.error("%s: %s", arguments.bundle, error)
        print(sentences.dumps(error.message), flush=True)
        return 1
    admission = Admission(active=arguments.threads, waiting=arguments.queue, deadline_s=arguments.deadline_ms / 1000)
    app = ModelServerApp(predictor, admission)
    server = ModelServer(app, arguments.socket, workers=arguments.threads + arguments.queue)
    engine = predictor.engine
    logger.info("Serving %s with %s (%s) on %s", arguments.bundle, engine.name, engine.precision, arguments.socket)
    if not server.run(parent_pid=parent_pid):
        # The interpreter's end would wait for, or tear the engine from under, the threads that still work.
        logging.shutdown()
        os._exit(0)
    return 0


def leave_out_model_conversion() -> None:
    """Keep OpenVINO's converter, and the telemetry that it brings, out of this process; it halves the import time."""
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.modelserver", description="Serve one bundle.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on, made with mode 0600")
    parser.add_argument("--threads", type=_positive, required=True, help="predictions at the same time")
    parser.add_argument("--steps", type=_steps, default=(), help="preprocessing of every image, as JSON")
    parser.add_argument("--queue", type=_not_negative, default=64, help="requests that may wait (default 64)")
    parser.add_argument("--deadline-ms", type=_positive, default=5000, help="longest wait of one (default 5000)")
    return parser.parse_args()


def _steps(text: str) -> "tuple[Step, ...]":
    from datasets.preprocessing.registry import StepError, validate_steps

    try:
        return validate_steps(json.loads(text))
    except (ValueError, StepError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on was expected, {text} was received")
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"a whole number from 0 on was expected, {text} was received")
    return value


if __name__ == "__main__":
    sys.exit(main())
