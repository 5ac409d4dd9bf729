"""The table of a training, read and made into features: what is learned from, what is measured on, what is left out."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.data import split_stratified
from jobs.algorithms.tabular.encoder import Cells, Encoder, Features
from jobs.algorithms.tabular.kinds import Column, judge
from jobs.algorithms.tabular.settings import Settings
from jobs.algorithms.tabular.table import Table, TableFile
from jobs.algorithms.tabular.target import Target, read_target

# Cells kept as texts (about 70 bytes each). Of a larger table that many are drawn to fit the encoder on, and it is
# read twice.
KEPT_CELLS = 4_000_000
_FEATURE_BYTES = 2 * 1024**3
_CHUNK_ROWS = 8192
_NAMED_IN_ERRORS = 20


@dataclass(frozen=True)
class Prepared:
    """Rows below are those with a target, in the order of the table.

    Attributes:
        columns: those that are learned from. left_out: the others, with the reason.
        places: where `columns` lie in the table.
        features: of all rows. train, held_out: int64 indexes of rows, in rising order.
        rows: how many the table has, those without a target included.
    """

    encoder: Encoder
    columns: tuple[Column, ...]
    left_out: tuple[Column, ...]
    places: tuple[int, ...]
    target: Target
    features: Features
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    rows: int


@dataclass(frozen=True)
class _Read:
    """One pass over a table: all targets, and cells of all rows, or of some drawn at random, in order."""

    targets: list[str]
    numbers: list[int]
    cells: list[list[str]]

    @property
    def is_whole(self) -> bool:
        return len(self.numbers) == len(self.targets)


def prepare(run: RunFolder, files: Sequence[TableFile], settings: Settings, *, seed: int) -> Prepared:
    """Read the table and fit the encoder on the training rows.

    Raises:
        RunError: the table or the target cannot be learned from; says why.
        StopRequested: the site asked the process to stop.
    """
    table = Table(files)
    target_place = table.place(settings.target)
    read = _read(run, table, target_place, seed=seed)
    target = read_target(read.targets, column=settings.target, task=settings.task)
    train, held_out = split(target, share=settings.validation_split, seed=seed)
    is_trained_on = np.zeros(len(read.targets), bool)
    is_trained_on[target.rows[train]] = True
    sample = [cells for number, cells in zip(read.numbers, read.cells, strict=True) if is_trained_on[number]]
    others = [place for place in range(len(table.names)) if place != target_place]
    judged = []
    for place in others:
        run.check_stop()
        judged.append(judge(table.names[place], [row[place] for row in sample], rows=len(read.targets)))
    places = tuple(place for place, column in zip(others, judged, strict=True) if not column.left_out)
    if not places:
        raise _nothing_to_learn_from(settings.target, judged)
    columns = tuple(column for column in judged if not column.left_out)
    encoder = Encoder(columns, _chosen(sample, places))
    _check_size(len(target.rows), encoder)
    features = _features(run, table, read, target, encoder, places)
    return Prepared(
        encoder=encoder,
        columns=columns,
        left_out=tuple(column for column in judged if column.left_out),
        places=places,
        target=target,
        features=features,
        train=train,
        held_out=held_out,
        rows=len(read.targets),
    )


def split(target: Target, *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to train on and those to measure on; of classes each gives its share, of numbers they are drawn."""
    of_class = target.values if target.is_classification else np.zeros(len(target.values), np.int32)
    return split_stratified(of_class, share=share, seed=seed)


def chosen_cells(run: RunFolder, files: Sequence[TableFile], prepared: Prepared, rows: NDArray[np.int64]) -> Cells:
    """The cells of `rows` (with a target, rising) in the columns that are learned from."""
    numbers = iter(prepared.target.rows[rows].tolist())
    wanted = next(numbers, None)
    found: list[list[str]] = []
    for number, row in enumerate(Table(files).rows(run)):
        if number == wanted:
            found.append(row)
            wanted = next(numbers, None)
            if wanted is None:
                break
    return _chosen(found, prepared.places)


def _read(run: RunFolder, table: Table, target_place: int, *, seed: int) -> _Read:
    most = max(KEPT_CELLS // len(table.names), 1)
    generator = random.Random(seed)
    targets: list[str] = []
    kept: list[tuple[int, list[str]]] = []
    for number, row in enumerate(table.rows(run)):
        targets.append(row[target_place])
        if number < most:
            kept.append((number, row))
        elif (place := generator.randrange(number + 1)) < most:
            kept[place] = (number, row)
    kept.sort(key=lambda pair: pair[0])
    return _Read(targets, [number for number, _row in kept], [row for _number, row in kept])


def _features(
    run: RunFolder, table: Table, read: _Read, target: Target, encoder: Encoder, places: Sequence[int]
) -> Features:
    """The features of all rows with a target."""
    rows = iter(read.cells) if read.is_whole else table.rows(run)
    has_target = np.zeros(len(read.targets), bool)
    has_target[target.rows] = True
    wanted = (row for row, is_wanted in zip(rows, has_target.tolist(), strict=True) if is_wanted)
    features = Features(
        np.empty((len(target.rows), encoder.width), np.float32), np.empty((len(target.rows), encoder.places), np.int32)
    )
    start = 0
    for chunk in _chunks(wanted):
        run.check_stop()
        found = encoder.transform(_chosen(chunk, places))
        piece = slice(start, start + len(chunk))
        features.dense[piece], features.ids[piece] = found.dense, found.ids
        start += len(chunk)
    return features


def _chunks(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        yield chunk


def _chosen(rows: Sequence[Sequence[str]], places: Sequence[int]) -> Cells:
    cells = np.empty((len(rows), len(places)), dtype=object)
    for index, row in enumerate(rows):
        cells[index] = [row[place] for place in places]
    return cells


def _check_size(rows: int, encoder: Encoder) -> None:
    size_bytes = rows * (encoder.width + encoder.places) * 4
    if size_bytes > _FEATURE_BYTES:
        raise RunError(
            _(
                "%(rows)d rows make %(features)d features each, %(size).1f GB of memory; at most %(most).1f GB are "
                "learned from. Leave out rows or columns, above all texts and categories of many values.",
                rows=rows,
                features=encoder.width + encoder.places,
                size=size_bytes / 1e9,
                most=_FEATURE_BYTES / 1e9,
            ),
            reason="table_too_large",
        )


def _nothing_to_learn_from(target: str, judged: Sequence[Column]) -> RunError:
    if not judged:
        return RunError(
            _(
                "The table has no column beside the target %(target)s. Add columns to learn from.",
                target=repr(target),
            ),
            reason="no_columns",
        )
    return RunError(
        _(
            "No column beside the target %(target)s tells anything that other rows could share (%(columns)s). "
            "Add columns to learn from.",
            target=repr(target),
            columns=", ".join(column.name for column in judged[:_NAMED_IN_ERRORS]),
        ),
        reason="no_columns",
    )
