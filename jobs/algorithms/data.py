"""The images of a training: decoded once on all cores into a memory-mapped cache that later trainings share."""

import hashlib
import mmap
import multiprocessing
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.images import ImageError, fit_rgb, read_rgb
from dlmodeler_site.compute.run_folder import RunError, RunFolder, read_jsonl
from dlmodeler_site.parent_death import die_with_parent
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.algorithms.array_cache import allocate, locked, open_array
from jobs.algorithms.progress import tell

# Part of the cache key: raise it when `read_rgb` or `fit_rgb` give other pixels for the same file.
_PIXELS_VERSION = 1
_ROWS_PER_CHUNK = 64
# Below this many images for each process, starting one costs more than it saves.
_ROWS_PER_PROCESS = 256
_NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class LabelledImage:
    """One line of the manifest: a file and the output of the network that it belongs to.

    `group`: the same number for images that look alike; -1 for one that looks like no other.
    """

    name: str
    path: Path
    sha256: str
    target: int
    group: int = -1


@dataclass(frozen=True)
class LabelledPixels:
    """The decoded images of a training.

    Attributes:
        pixels: uint8 (image, height, width, 3), memory-mapped read-only.
        targets: int32 (image,), indexes into the labels.
        key: sha256 in hexadecimal over the images' hashes in order and the size.
        file: where the pixels lie; while it is open, its shared lock keeps it from being evicted.
        groups: int32 (image,), the same number for images that look alike, -1 for one that looks like no other; None
            where none does.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int32]
    key: str
    file: BinaryIO
    groups: NDArray[np.int32] | None = None

    @property
    def kept_together(self) -> dict[str, int]:
        """How many `images` look like others, in how many `groups`; empty where none does."""
        if self.groups is None:
            return {}
        alike = self.groups[self.groups >= 0]
        return {"images": len(alike), "groups": len(np.unique(alike))}

    def split(self, *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indexes of the images to train on and of those to measure on: `split_stratified`."""
        return split_stratified(self.targets, share=share, seed=seed, groups=self.groups)


def read_manifest(path: Path, *, labels: int) -> list[LabelledImage]:
    """The images of a training and their targets, each of which must be below `labels`.

    Raises:
        RunError: there is no image, or a target has no label.
    """
    images = [
        LabelledImage(row["name"], Path(row["path"]), row["sha256"], int(row["target"]), row.get("group", -1))
        for row in read_jsonl(path)
    ]
    if not images:
        raise RunError(_("There is no labelled image to train on."), reason="no_images")
    for image in images:
        if not 0 <= image.target < labels:
            raise RunError(
                _(
                    "%(file)s belongs to class number %(number)d, but there are %(labels)d labels (0 to %(last)d).",
                    file=image.name,
                    number=image.target,
                    labels=labels,
                    last=labels - 1,
                ),
                reason="label_out_of_range",
            )
    return images


def load_pixels(
    run: RunFolder, images: Sequence[LabelledImage], *, cache: Path, size_px: int, threads: int
) -> LabelledPixels:
    """Map the decoded images into memory, decoding them first unless a training did so before.

    HAZARD: forks; call it before TensorFlow starts its threads.

    Raises:
        RunError: images cannot be read (all are named, the first few with the cause), or the disk is full.
        StopRequested: the site asked the process to stop.
    """
    key = _cache_key(images, size_px)
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{key}.npy"
    shape = (len(images), size_px, size_px, 3)
    with locked(run, path):
        cached = open_array(path, shape, np.uint8)
        if cached is None:
            tell(run, f"Decoding {len(images)} images to {size_px} x {size_px} pixels")
            _fill(run, path, images, shape, threads)
            cached = open_array(path, shape, np.uint8)
            if cached is None:
                raise RunError(
                    _(
                        "The cache of decoded images was removed while it was used (%(file)s). Train again.",
                        file=path.name,
                    )
                )
        else:
            tell(run, f"Using {len(images)} images decoded before")
    pixels, file = cached
    targets, groups = (
        np.array(numbers, np.int32)
        for numbers in ([image.target for image in images], [image.group for image in images])
    )
    return LabelledPixels(pixels, targets, key, file, groups if (groups >= 0).any() else None)


def split_stratified(
    targets: NDArray[np.int32], *, share: float, seed: int, groups: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indexes of the training and the validation images, each in rising order.

    Every class gives `share` of its images, rounded so that the total is as near as possible; at least one image of
    each class stays for training. With `groups` (image,), -1 for an image of no group, each group stays on one side:
    classes give what comes nearest to their share, and of two and more groups at least one.
    """
    everything = np.arange(len(targets))
    if share == 0:
        return everything, everything[:0]
    classes, counts = np.unique(targets, return_counts=True)
    exact = counts * share
    taken = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    missing = round(len(targets) * share) - int(taken.sum())
    for index in np.argsort(taken - exact, kind="stable")[: max(missing, 0)]:
        taken[index] = min(taken[index] + 1, counts[index] - 1)
    generator = np.random.default_rng((seed, 1))
    if groups is not None:
        validation = _whole_groups(np.searchsorted(classes, targets), groups, taken, generator)
    else:
        held_out = [
            generator.permutation(np.flatnonzero(targets == value))[:count]
            for value, count in zip(classes, taken, strict=True)
        ]
        validation = np.sort(np.concatenate(held_out))
    return np.setdiff1d(everything, validation), validation


def _whole_groups(
    classes: NDArray[np.intp], groups: NDArray[np.int32], wanted: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Indexes of the images of whole groups, in rising order, so that each class gives what is `wanted` of it."""
    alone = groups.max() + 1 + np.arange(len(groups))
    _numbers, group_of = np.unique(np.where(groups < 0, alone, groups), return_inverse=True)
    counts: list[dict[int, int]] = [{} for _group in range(int(group_of.max()) + 1)]  # class -> images of it
    for group, value in zip(group_of.tolist(), classes.tolist(), strict=True):
        counts[group][value] = counts[group].get(value, 0) + 1
    missing: list[int] = wanted.tolist()
    staying = [0] * len(missing)  # groups of each class
    for of_group in counts:
        for value in of_group:
            staying[value] += 1
    lacking = {value for value, count in enumerate(staying) if count > 1}  # that could give some and have not
    taken: set[int] = set()

    def take(group: int) -> None:
        taken.add(group)
        lacking.difference_update(counts[group])
        for value, count in counts[group].items():
            missing[value] -= count
            staying[value] -= 1

    def farther(group: int) -> int:
        """By how many images the classes would be farther from what is wanted."""
        return sum(abs(missing[value] - count) - abs(missing[value]) for value, count in counts[group].items())

    def may_go(group: int) -> bool:
        return group not in taken and all(staying[value] > 1 for value in counts[group])

    order = generator.permutation(len(counts)).tolist()
    for group in order:
        if all(count <= missing[value] for value, count in counts[group].items()):
            take(group)
    if any(missing):
        for group in order:
            if may_go(group) and farther(group) < 0:
                take(group)
    of_class: dict[int, list[int]] = {value: [] for value in sorted(lacking)}
    for group in order if lacking else ():
        for value in lacking & counts[group].keys():
            of_class[value].append(group)
    for value, able in of_class.items():
        if value in lacking and (able := [group for group in able if may_go(group)]):
            take(min(able, key=farther))
    return np.flatnonzero(np.isin(group_of, list(taken)))


def epoch_order(indexes: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """`indexes` in the order in which an epoch sees them: the same for the same seed and epoch, also after a resume."""
    return np.random.default_rng((seed, 2, epoch)).permutation(indexes)


def release_pages(array: NDArray[Any]) -> None:
    """Let go of the memory that a mapped array's rows take in this process; they are read again when they are used."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def _cache_key(images: Sequence[LabelledImage], size_px: int) -> str:
    digest = hashlib.sha256(f"{_PIXELS_VERSION} {size_px}\n".encode())
    for image in images:
        digest.update(image.sha256.encode() + b"\n")
    return digest.hexdigest()


def _fill(
    run: RunFolder, path: Path, images: Sequence[LabelledImage], shape: tuple[int, int, int, int], threads: int
) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        allocate(temporary, shape, np.uint8)
        chunks = [(start, images[start : start + _ROWS_PER_CHUNK]) for start in range(0, len(images), _ROWS_PER_CHUNK)]
        decode = partial(_decode_chunk, temporary)
        unreadable: list[str] = []
        processes = min(threads, len(images) // _ROWS_PER_PROCESS)
        if processes > 1:
            with ProcessPoolExecutor(
                processes,
                mp_context=multiprocessing.get_context("fork"),
                initializer=die_with_parent,
                initargs=(os.getpid(),),
            ) as pool:
                try:
                    for errors in pool.map(decode, chunks):
                        unreadable += errors
                        run.check_stop()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        else:
            for chunk in chunks:
                unreadable += decode(chunk)
                run.check_stop()
        if unreadable:
            raise _unreadable(unreadable)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _decode_chunk(path: Path, chunk: tuple[int, Sequence[LabelledImage]]) -> list[str]:
    """Write the pixels of some images into their rows; answer what is wrong with those that cannot be read."""
    start, images = chunk
    rows = np.lib.format.open_memmap(path, mode="r+")
    height, width = rows.shape[1:3]
    errors: list[str] = []
    for row, image in enumerate(images, start):
        try:
            rows[row] = fit_rgb(read_rgb(image.path), width=width, height=height)
        except ImageError as error:
            errors.append(joined(": ", [image.name, error.message]))
        except OSError as error:
            why = _("The file cannot be read from storage (%(cause)s).", cause=error.strerror)
            errors.append(joined(": ", [image.name, why]))
    return errors


def _unreadable(errors: list[str]) -> RunError:
    named = joined(" ", errors[:_NAMED_IN_ERRORS])
    if len(errors) == 1:
        message = _("1 image cannot be read: %(named)s", named=named)
    else:
        message = _("%(count)d images cannot be read: %(named)s", count=len(errors), named=named)
    if (more := len(errors) - _NAMED_IN_ERRORS) > 0:
        message = joined(" ", [message, _("And %(count)d more.", count=more)])
    return RunError(message, reason="unreadable_image")
