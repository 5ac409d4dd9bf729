"""A training measures its model at its end: on what it held out, or on what it learned from where that is nothing."""

import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.in_order import map_in_order
from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from jobs.algorithms.data import LabelledImage, split_stratified
from jobs.evaluation.results import ROWS, write_summary
from jobs.evaluation.rows import classification_rows
from jobs.evaluation.samples import Sample
from jobs.evaluation.served import load_served

# What was learned from says little of the model, so a share of it is enough.
MAX_TRAINING_SAMPLES = 2_000
_CHUNK = 32


def measure_own_images(
    run: RunFolder,
    *,
    images: Sequence[LabelledImage],
    pixels: NDArray[np.uint8],
    held_out: NDArray[np.int64],
    seed: int,
    threads: int,
) -> dict[str, Any]:
    """Write `output/evaluation/` by asking the bundle in `output/bundle`; answers the summary.

    Args:
        images: all images of the training.
        pixels: uint8 (image, height, width, 3) of them at the size of the bundle's input, as `read_rgb` and `fit_rgb`
            make them.
        held_out: indexes of those that were not learned from; may be empty.

    Raises:
        StopRequested: the site asked the process to stop.
    """
    started = time.monotonic()
    part, of, indexes = "held_out", len(held_out), held_out
    if not len(held_out):
        part, of, indexes = "training", len(images), _sampled(images, seed)
    served = load_served(run.output / "bundle", threads=threads)
    folder = run.output / "evaluation"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def answer(chunk: NDArray[np.int64]) -> list[Row]:
        run.check_stop()
        samples = [
            Sample(None, images[index].name, served.bundle.labels[images[index].target].label, images[index].target)
            for index in chunk
        ]
        return classification_rows(samples, served.answer(list(pixels[chunk])), served.bundle.labels)

    def rows() -> Iterator[Row]:
        with ThreadPoolExecutor(threads) as workers:
            chunks = (indexes[start : start + _CHUNK] for start in range(0, len(indexes), _CHUNK))
            for answered in map_in_order(workers, answer, chunks, ahead=2 * threads):
                yield from answered

    def paths(places: Sequence[int]) -> dict[int, Path]:
        return {place: images[indexes[place]].path for place in places}

    write_jsonl(folder / ROWS, rows())
    return write_summary(folder, served, part=part, of=of, started=started, paths=paths, threads=threads)


def _sampled(images: Sequence[LabelledImage], seed: int) -> NDArray[np.int64]:
    """Indexes of at most `MAX_TRAINING_SAMPLES`, each class by its share."""
    if len(images) <= MAX_TRAINING_SAMPLES:
        return np.arange(len(images))
    targets = np.array([image.target for image in images], np.int32)
    _rest, taken = split_stratified(targets, share=MAX_TRAINING_SAMPLES / len(images), seed=seed)
    return taken
