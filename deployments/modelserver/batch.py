"""`python -m deployments.modelserver.batch RUN_FOLDER`: the predictions of a prediction job, one row for each file."""

import json
import logging
import os
import shutil
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from datasets.inspection.images import ImageError, read_rgb
from datasets.preprocessing.registry import StepError, validate_steps
from deployments.modelserver.predictor import BATCH_SIZE, Predictor
from deployments.modelserver.protocol import DEFAULT_TOP_K
from dlmodeler_site.compute.entry import run_main
from dlmodeler_site.compute.run_folder import RunError, RunFolder, StopRequested, read_json, read_jsonl, write_json
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import to_json
from jobs.bundles.bundle import load_bundle
from jobs.bundles.engine import Pixels, load_engine
from jobs.bundles.errors import BundleError, NotFiniteError

logger = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 10.0
PROGRESS_EVERY_S = 0.5
POSITION, PREDICTIONS = "position.json", "predictions.jsonl"

Row = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """How far the job is: the rows and bytes written, how many of them failed, and the seconds it took."""

    rows: int = 0
    size_bytes: int = 0
    failed: int = 0
    seconds: float = 0.0


def predict_files(run: RunFolder) -> None:
    """Write `output/predictions.jsonl`, in the order of the input, going on from the checkpoint if there is one."""
    spec = run.spec
    files, threads = run.path / spec["files"], int(spec["threads"])
    total = sum(1 for _row in read_jsonl(files))
    with _Results(run) as results, ThreadPoolExecutor(threads) as workers:
        predictor = _load_predictor(Path(spec["bundle"]), spec.get("steps") or [], threads=threads)
        next_checkpoint, next_progress = time.monotonic() + CHECKPOINT_EVERY_S, 0.0
        chunks = _chunks(files, start=results.rows)
        try:
            for rows in _predict_in_order(workers, predictor, chunks, ahead=2 * threads):
                results.add(rows)
                if time.monotonic() >= next_progress:
                    run.progress(results.rows / total)
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
    run.progress(1.0)
    run.finish(predicted=end.rows - end.failed, failed=end.failed, seconds=end.seconds)


class _Results:
    """The rows written so far, those of an earlier attempt's checkpoint first."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._started = time.monotonic()
        self._before = _restore(run)
        self.rows, self._failed = self._before.rows, self._before.failed

    def __enter__(self) -> Self:
        self._file = open(self._run.output / PREDICTIONS, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: list[Row]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        self.rows += len(rows)
        self._failed += sum(bool(row["error"]) for row in rows)

    def write_through(self) -> Position:
        """Have all rows on the disk, and say where they end."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return Position(
            rows=self.rows,
            size_bytes=self._file.tell(),
            failed=self._failed,
            seconds=round(self._before.seconds + time.monotonic() - self._started, 3),
        )

    def put_checkpoint(self) -> None:
        position = self.write_through()
        folder = self._run.path / f"checkpoint.new-{uuid.uuid4().hex}"
        folder.mkdir()
        shutil.copyfile(self._run.output / PREDICTIONS, folder / PREDICTIONS)
        with open(folder / PREDICTIONS, "rb") as copy:
            os.fsync(copy.fileno())
        write_json(folder / POSITION, asdict(position))
        self._run.put_checkpoint(folder)


def _load_predictor(path: Path, steps: list[dict[str, Any]], *, threads: int) -> Predictor:
    try:
        bundle = load_bundle(path)
        return Predictor(bundle, load_engine(bundle, threads=threads), validate_steps(steps) if steps else ())
    except StepError as error:
        raise RunError(error.message, reason="steps_invalid") from error
    except BundleError as error:
        raise RunError(error.message, reason="bundle_invalid") from error


def _chunks(files: Path, *, start: int) -> Iterator[list[Row]]:
    rows = islice(read_jsonl(files), start, None)
    while chunk := list(islice(rows, BATCH_SIZE)):
        yield chunk


def _predict_in_order(
    workers: ThreadPoolExecutor, predictor: Predictor, chunks: Iterator[list[Row]], *, ahead: int
) -> Iterator[list[Row]]:
    """Each worker decodes and predicts whole chunks; at most `ahead` of them wait in memory."""
    pending: deque[Future[list[Row]]] = deque()
    for chunk in chunks:
        pending.append(workers.submit(_predict_chunk, predictor, chunk))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _predict_chunk(predictor: Predictor, files: list[Row]) -> list[Row]:
    """One row for each file, in order; a file that cannot be predicted has its `error` and no label."""
    decoded: list[Pixels | str] = [_decode(predictor, Path(file["path"]), file["name"]) for file in files]
    images = [pixels for pixels in decoded if not isinstance(pixels, str)]
    try:
        predictions = iter(predictor.predict(images, top_k=DEFAULT_TOP_K))
    except NotFiniteError as error:
        raise RunError(error.message, reason="model_not_finite") from error
    rows = []
    for file, pixels in zip(files, decoded, strict=True):
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


def _restore(run: RunFolder) -> Position:
    """Make the output hold the rows of the checkpoint, or none where there is no whole one."""
    output = run.output / PREDICTIONS
    output.write_bytes(b"")
    try:
        position = Position(**read_json(run.checkpoint / POSITION))
        size_bytes = (run.checkpoint / PREDICTIONS).stat().st_size
    except FileNotFoundError:
        return Position()
    if size_bytes < position.size_bytes:
        logger.warning(
            "The checkpoint is cut off at byte %d of %d: starting from the first file.", size_bytes, position.size_bytes
        )
        return Position()
    shutil.copyfile(run.checkpoint / PREDICTIONS, output)
    os.truncate(output, position.size_bytes)
    logger.info("Going on after the %d rows of the checkpoint.", position.rows)
    return position


if __name__ == "__main__":
    from deployments.modelserver.__main__ import leave_out_model_conversion

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    leave_out_model_conversion()
    sys.exit(run_main(predict_files))
