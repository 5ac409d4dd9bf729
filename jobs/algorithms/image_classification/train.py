"""Trains the network of a run folder and exports it."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from dlmodeler_site.compute.run_folder import RunError, RunFolder
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms import devices
from jobs.algorithms.data import LabelledPixels, load_pixels, read_manifest
from jobs.algorithms.image_classification.settings import Settings
from jobs.algorithms.progress import enter_phase, tell
from jobs.algorithms.runtime import dtype_policy, load_tensorflow, memory_errors, thread_count
from jobs.bundles.gate import GateSamples
from jobs.evaluation.own_data import measure_own_images


def train(run: RunFolder) -> None:
    """Do what the spec of the run folder says: events, checkpoints, `output/bundle`, `result.json`."""
    spec = run.spec
    settings = Settings.of(spec["hyperparameters"])
    labels = spec["labels"]
    if len(labels) > settings.num_types:
        raise RunError(
            _(
                "The labels name %(count)d classes, but num_types is %(num_types)d; set it to at least %(count)d.",
                count=len(labels),
                num_types=settings.num_types,
            ),
            reason="num_types_too_small",
        )
    threads = thread_count(spec["threads"])
    seed = spec["seed"] if settings.seed is None else settings.seed
    images = read_manifest(run.path / spec["images"], labels=len(labels))
    enter_phase(run, "decoding")
    data = load_pixels(
        run,
        images,
        cache=Path(spec["cache"]),
        size_px=settings.image_size_px,
        threads=threads,
    )
    run.check_stop()
    enter_phase(run, "start")
    tell(run, "Loading TensorFlow")
    # Loaded only now: the decoders fork, which TensorFlow's threads do not survive.
    load_tensorflow(run.path / "tensorflow.log")
    from jobs.algorithms.image_classification.export import export_bundle
    from jobs.algorithms.image_classification.loop import Loop
    from jobs.algorithms.image_classification.stages import Plan, Task

    enter_phase(run, "preparing")
    policy = dtype_policy(settings.precision, gpus=spec["gpus"])
    strategy = devices.strategy(spec["gpus"])
    with memory_errors():
        with strategy.scope():
            task = Task(run, settings, data, Path(spec["cache"]), policy, threads, seed)
            plan: Plan = import_module(f"jobs.algorithms.image_classification.{settings.network}").make_plan(task)
        samples = _samples(run, settings, data, seed)
        loop = Loop(
            run,
            plan.stages,
            samples,
            identity={"settings": asdict(settings), "pixels": data.key},
            seed=seed,
            strategy=strategy,
            begins_at=plan.begins_at,
        )
        enter_phase(run, "training")
        outcome = loop.run_to_end()
        enter_phase(run, "export")
        tell(run, "Exporting the model")
        export_bundle(
            run.output / "bundle",
            plan.served(),
            labels=labels,
            algorithm=spec["algorithm"],
            name=spec["name"],
            metrics=outcome.metrics,
            samples=GateSamples.of(data.pixels, data.targets, held_out=samples.held_out),
            bfloat16=settings.precision != "float32",
            threads=threads,
            report=lambda text: tell(run, text),
        )
        enter_phase(run, "measuring")
        tell(run, "Measuring the exported model")
        measure_own_images(
            run, images=images, pixels=data.pixels, held_out=samples.held_out, seed=seed, threads=threads
        )
    record = {
        "threads": threads,
        "gpus": spec["gpus"],
        "gpu_models": devices.models(spec["gpus"]),
        "precision": policy,
        "seed": seed,
        "epochs": outcome.epochs,
        "kept_epoch": outcome.epoch,
        "images": len(data.targets),
        "samples": {"trained_on": len(samples.train), "held_out": len(samples.held_out)},
        "class_counts": np.bincount(data.targets, minlength=len(labels)).tolist(),
        "pixels": data.key,
    }
    if len(samples.held_out) and data.kept_together:
        record["kept_together"] = data.kept_together
    run.progress(1.0)
    run.finish(metrics=outcome.metrics, epochs=outcome.epochs, record=record)


def _samples(run: RunFolder, settings: Settings, data: LabelledPixels, seed: int) -> Any:
    from jobs.algorithms.image_classification.loop import Samples, class_weights

    training, held_out = data.split(share=settings.validation_split, seed=seed)
    if settings.validation_split and not len(held_out):
        tell(run, "No image can be kept aside: they are too few, or look alike. The model is measured on all of them")
    if len(held_out) and (alike := data.kept_together):
        tell(run, "{images} images look like others; each of their {groups} groups is kept together".format(**alike))
    weights = class_weights(data.targets, training) if settings.balanced else np.ones(len(data.targets), np.float32)
    return Samples(data.targets, weights, training, held_out)
