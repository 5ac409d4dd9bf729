"""`python -m deployments.modelserver.batch RUN_FOLDER`: the predictions of a prediction job.

One row for each image, or for each row of each csv file.
"""

import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from datasets.inspection.images import ImageError, read_rgb
from datasets.preprocessing.registry import StepError, validate_steps
from deployments.modelserver.loading import load_predictor
from deployments.modelserver.predictor import BATCH_SIZE, Predictor
from deployments.modelserver.protocol import DEFAULT_TOP_K
from deployments.modelserver.table_batch import TableRows
from deployments.modelserver.table_predictor import TablePredictor
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.in_order import map_in_order
from dlmodeler_site.compute.row_file import Row, RowFile
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, read_jsonl
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json
from jobs.bundles.engine import Pixels
from jobs.bundles.errors import BundleError, NotFiniteError

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 10.0
PROGRESS_EVERY_S = 0.5
PREDICTIONS, RESULTS = "predictions.jsonl", "results.csv"


class Samples(Protocol):
    """What a job predicts, in an order that is the same in every attempt."""

    total: int

    def chunks(self, *, start: int) -> Iterator[list[Any]]:
        """All samples but the first `start`, a few at a time."""

    def predict(self, chunk: list[Any]) -> list[Row]:
        """One row for each sample of the chunk; one that cannot be predicted has its `error`."""


def predict_files(run: RunFolder) -> None:
    """Write `output/predictions.jsonl`, in the order of the input, going on from the checkpoint if there is one.

    Of tables also `output/results.csv`.
    """
    spec = run.spec
    files, threads = run.path / spec["files"], int(spec["threads"])
    with RowFile(run, run.output / PREDICTIONS) as results, ThreadPoolExecutor(threads) as workers:
        predictor = _load(Path(spec["bundle"]), spec.get("steps") or [], threads=threads)
        samples = _samples(predictor, files)
        next_checkpoint, next_progress = time.monotonic() + CHECKPOINT_EVERY_S, 0.0
        chunks = samples.chunks(start=results.rows)
        try:
            for rows in map_in_order(workers, partial(_predict, samples), chunks, ahead=2 * threads):
                results.add(rows)
                if time.monotonic() >= next_progress:
                    run.progress(results.rows / samples.total)
                    next_progress = time.monotonic() + PROGRESS_EVERY_S
                if time.monotonic() >= next_checkpoint:
                    results.put_checkpoint()
                    next_checkpoint = time.monotonic() + CHECKPOINT_EVERY_S
                run.check_stop()
        except StopRequested:
            workers.shutdown(wait=False, cancel_futures=True)
            results.put_checkpoint()
            raise
        end = results.write_through()
    if isinstance(samples, TableRows):
        samples.write_results(run.output / PREDICTIONS, run.output / RESULTS)
    run.progress(1.0)
    run.finish(predicted=end.rows - end.failed, failed=end.failed, seconds=end.seconds)


def _load(path: Path, steps: list[dict[str, Any]], *, threads: int) -> Predictor | TablePredictor:
    try:
        return load_predictor(path, threads=threads, steps=validate_steps(steps) if steps else ())
    except StepError as error:
        raise RunError(error.message, reason="steps_invalid") from error
    except BundleError as error:
        raise RunError(error.message, reason="bundle_invalid") from error


def _samples(predictor: Predictor | TablePredictor, files: Path) -> "TableRows | Images":
    return TableRows(predictor, files) if isinstance(predictor, TablePredictor) else Images(predictor, files)


def _predict(samples: Samples, chunk: list[Any]) -> list[Row]:
    try:
        return samples.predict(chunk)
    except NotFiniteError as error:
        raise RunError(error.message, reason="model_not_finite") from error


class Images:
    """The image files in a manifest, each decoded in the thread that predicts it."""

    def __init__(self, predictor: Predictor, files: Path) -> None:
        self._predictor = predictor
        self._files = files
        self.total = sum(1 for _row in read_jsonl(files))

    def chunks(self, *, start: int) -> Iterator[list[Row]]:
        rows = islice(read_jsonl(self._files), start, None)
        while chunk := list(islice(rows, BATCH_SIZE)):
            yield chunk

    def predict(self, chunk: list[Row]) -> list[Row]:
        """One row for each file, in order; a file that cannot be predicted has its `error` and no label."""
        decoded = [_decode(self._predictor, Path(file["path"]), file["name"]) for file in chunk]
        images = [pixels for pixels in decoded if not isinstance(pixels, str)]
        predictions = iter(self._predictor.predict(images, top_k=DEFAULT_TOP_K))
        rows = []
        for file, pixels in zip(chunk, decoded, strict=True):
            row = {"id": file["id"], "name": file["name"]}
            if isinstance(pixels, str):
                row |= {"label": None, "class_name": None, "probability": None, "top": [], "error": to_json(pixels)}
            else:
                row |= {**next(predictions).as_json(), "error": ""}
            rows.append(row)
        return rows


def _decode(predictor: Predictor, path: Path, name: str) -> Pixels | str:
    """uint8 (height, width, 3) at the network's size, or why there is none, in words for the user."""
    try:
        return predictor.fit(read_rgb(path))
    except ImageError as error:
        return error.message
    except OSError as error:
        logger.warning("%s cannot be read: %s", path, error)
        return _(
            "The file %(file)s cannot be read from storage: %(cause)s. Start the prediction again.",
            file=name,
            cause=error.strerror,
        )


if __name__ == "__main__":
    from deployments.modelserver.__main__ import leave_out_model_conversion

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    leave_out_model_conversion()
    sys.exit(run_main(predict_files))
