"""Foretells what a training takes: the training's own steps on a few images, and what follows for all of them."""

import math
import resource
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms import devices
from jobs.algorithms.data import LabelledImage, LabelledPixels, load_pixels, read_manifest
from jobs.algorithms.image_classification.settings import Settings
from jobs.algorithms.probing import Parts, seconds_since_start
from jobs.algorithms.progress import tell
from jobs.algorithms.runtime import dtype_policy, load_tensorflow, memory_errors, thread_count
from jobs.bundles.gate import GateSamples
from jobs.evaluation.own_data import MAX_TRAINING_SAMPLES, measure_own_images

_LEAST_STEPS, _MOST_STEPS = 2, 20  # of a stage, beside the first one
_STEPS_S = 3.0  # of a stage, about
_CHECKPOINT_SHARE = 0.02
_MAPPED_BYTES = 128 * 1024 * 1024  # of the pixels and of what a stage reads that stay in memory at a time


def probe(run: RunFolder) -> None:
    """Do for some images what the spec says, and answer `estimate` for all of them, at most."""
    spec = run.spec
    settings = Settings.of(spec["hyperparameters"])
    threads = thread_count(spec["threads"])
    count = int(spec["count"])
    parts = Parts()
    images = read_manifest(run.path / spec["images"], labels=len(spec["labels"]))
    data, seconds = parts.timed(lambda: _decode(run, images, settings, threads))
    parts.add("decoding", _seconds_to_decode(seconds / len(images), count, threads))
    run.progress(0.1)
    tell(run, "Loading TensorFlow")
    load_tensorflow(run.path / "tensorflow.log")
    parts.add("start", seconds_since_start() - seconds)
    run.progress(0.3)
    with memory_errors():
        memory_bytes = _probe_training(run, settings, data, images, parts, threads)
    total = sum(parts.seconds.values())
    estimate = {
        "seconds": round(total, 1),
        "memory_bytes": memory_bytes,
        "parts": parts.seconds,
        "samples": len(images),
    }
    run.progress(1.0)
    run.finish(estimate=estimate)


def _probe_training(
    run: RunFolder,
    settings: Settings,
    data: LabelledPixels,
    images: list[LabelledImage],
    parts: Parts,
    threads: int,
) -> int:
    """Adds to `parts`; answers the peak of memory in bytes."""
    from jobs.algorithms.image_classification.export import export_bundle
    from jobs.algorithms.image_classification.stages import Plan, Task

    spec = run.spec
    count = int(spec["count"])
    policy = dtype_policy(settings.precision, gpus=spec["gpus"])
    strategy = devices.strategy(spec["gpus"])
    make_plan = import_module(f"jobs.algorithms.image_classification.{settings.network}").make_plan

    def plan_for(some: LabelledPixels) -> Plan:
        task = Task(run, settings, some, run.path / "cache", policy, threads, spec["seed"])
        with strategy.scope():
            plan: Plan = make_plan(task)
        return plan

    # The first time includes what is done once; the difference between two others is what the images take.
    few = max(len(images) // 4, 1)
    _plan, once_s = parts.timed(lambda: plan_for(_first(data, few)))
    _plan, few_s = parts.timed(lambda: plan_for(_first(data, few + 1)))
    plan, all_s = parts.timed(lambda: plan_for(data))
    of_image = max(all_s - few_s, 0) / max(len(images) - few - 1, 1)
    parts.add("preparing", max(once_s - of_image * few, 0) + of_image * count)
    run.progress(0.5)
    held_out = round(settings.validation_split * count)
    for stage in plan.stages:
        parts.add(stage.name, _seconds_of_stage(run, stage, data, strategy, count - held_out, held_out))
    run.progress(0.8)
    everything = np.arange(len(images))
    tell(run, "Exporting the model")
    _nothing, export_s = parts.timed(
        lambda: export_bundle(
            run.output / "bundle",
            plan.served(),
            labels=spec["labels"],
            algorithm=spec["algorithm"],
            name=spec["name"],
            metrics={},
            samples=GateSamples.of(data.pixels, data.targets, held_out=everything[:0]),
            bfloat16=settings.precision != "float32",
            threads=threads,
            report=lambda text: tell(run, text),
        )
    )
    parts.add("export", export_s)
    _nothing, measure_s = parts.timed(
        lambda: measure_own_images(
            run, images=images, pixels=data.pixels, held_out=everything[:0], seed=spec["seed"], threads=threads
        )
    )
    parts.add("measuring", measure_s / len(images) * (held_out or min(count, MAX_TRAINING_SAMPLES)))
    mapped = sum(
        min(_MAPPED_BYTES, array.nbytes // len(images) * count) - array.nbytes
        for array in (data.pixels, *(stage.inputs for stage in plan.stages))
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + max(mapped, 0)


def _seconds_of_stage(
    run: RunFolder, stage: Any, data: LabelledPixels, strategy: Any, training: int, held_out: int
) -> float:
    """What the stage takes over so many images, from its first steps; early stopping may end it before."""
    from jobs.algorithms.image_classification.augmentation import draw_keys
    from jobs.algorithms.image_classification.learner import Learner

    learner = Learner(stage, strategy=strategy)
    size = min(stage.recipe.batch_size, training)
    batch = np.sort(np.resize(np.arange(len(data.targets)), size))
    rows, targets, weights = stage.inputs[batch], data.targets[batch], np.ones(size, np.float32)

    def step(number: int) -> float:
        started = time.monotonic()
        keys = draw_keys(size, seed=0, epoch=1, step=number)
        learner.learn(stage.inputs[batch], targets, weights, keys, rate=stage.recipe.rate_at(1e-3))
        return time.monotonic() - started

    first_s = step(0)
    times: list[float] = []
    while len(times) < _LEAST_STEPS or (len(times) < _MOST_STEPS and sum(times) < _STEPS_S):
        run.check_stop()
        times.append(step(len(times) + 1))
    step_s = float(np.median(times))
    measured_s = 0.0
    if held_out:
        learner.measure(rows[:128], targets[:128], weights[:128])
        started = time.monotonic()
        learner.measure(rows[:128], targets[:128], weights[:128])
        measured_s = (time.monotonic() - started) / len(rows[:128]) * held_out
    steps = math.ceil(training / stage.recipe.batch_size)
    epochs = int(stage.recipe.epochs)
    seconds: float = first_s + epochs * (steps * step_s + measured_s) * (1 + _CHECKPOINT_SHARE)
    return seconds


def _decode(run: RunFolder, images: list[LabelledImage], settings: Settings, threads: int) -> LabelledPixels:
    """In a cache of its own, so that nothing was decoded before."""
    return load_pixels(run, images, cache=run.path / "cache", size_px=settings.image_size_px, threads=threads)


def _first(data: LabelledPixels, count: int) -> LabelledPixels:
    pixels: NDArray[np.uint8] = data.pixels[:count]
    return replace(data, pixels=pixels, targets=data.targets[:count], key=f"{data.key}-{count}")


def _seconds_to_decode(of_image: float, count: int, threads: int) -> float:
    return of_image * count / max(min(threads, count // 256), 1)
