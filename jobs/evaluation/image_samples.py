"""Labelled images that a model is measured on."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from dlmodeler_site.compute.row_file import Row
from dlmodeler_site.compute.run_folder import read_jsonl
from jobs.evaluation.rows import classification_rows, unreadable_row
from jobs.evaluation.samples import LabelMap, Sample
from jobs.evaluation.served import ServedModel, read_fitted

_CHUNK = 8


class ImageSamples:
    """The images of a manifest with `id`, `name`, `path` and `label` each."""

    def __init__(self, served: ServedModel, manifest: Path) -> None:
        self._served = served
        self._manifest = manifest
        self._labels = LabelMap(served.bundle.labels)
        self.total = sum(1 for _line in read_jsonl(manifest))

    def chunks(self, *, start: int) -> Iterator[list[Row]]:
        rows = islice(read_jsonl(self._manifest), start, None)
        while chunk := list(islice(rows, _CHUNK)):
            yield chunk

    def answer(self, chunk: list[Row]) -> list[Row]:
        """One row for each image, in order."""
        bundle = self._served.bundle
        samples = [Sample(row["id"], row["name"], row["label"], self._labels.index(row["label"])) for row in chunk]
        read = [read_fitted(bundle, Path(row["path"])) for row in chunk]
        sound = [(sample, pixels) for sample, pixels in zip(samples, read, strict=True) if not isinstance(pixels, str)]
        answered: Iterator[Row] = iter(())
        if sound:
            probabilities = self._served.answer([pixels for _sample, pixels in sound])
            answered = iter(classification_rows([sample for sample, _pixels in sound], probabilities, bundle.labels))
        return [
            unreadable_row(sample, pixels) if isinstance(pixels, str) else next(answered)
            for sample, pixels in zip(samples, read, strict=True)
        ]

    def paths(self, places: Sequence[int]) -> dict[int, Path]:
        wanted = set(places)
        return {place: Path(row["path"]) for place, row in enumerate(read_jsonl(self._manifest)) if place in wanted}
