"""Trains a model of the table in a run folder and exports it."""

from dataclasses import asdict
from typing import Any

from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.sentences import to_json
from jobs.algorithms import devices
from jobs.algorithms.progress import enter_phase, tell
from jobs.algorithms.runtime import load_tensorflow, memory_errors, thread_count
from jobs.algorithms.tabular.settings import Settings
from jobs.algorithms.tabular.table import content_key, read_files


def train(run: RunFolder) -> None:
    """Do what the spec of the run folder says: events, checkpoints, `output/bundle`, `result.json`."""
    spec = run.spec
    settings = Settings.of(spec["hyperparameters"])
    seed = spec["seed"] if settings.seed is None else settings.seed
    threads = thread_count(spec["threads"])
    files = read_files(run.path / spec["table"])
    tell(run, "Loading TensorFlow")
    load_tensorflow(run.path / "tensorflow.log")
    from jobs.algorithms.tabular.evaluation import measure_own_rows
    from jobs.algorithms.tabular.export import export_bundle
    from jobs.algorithms.tabular.fitting import Fitting
    from jobs.algorithms.tabular.prepared import prepare
    from jobs.evaluation.results import add_to_summary

    with memory_errors():
        enter_phase(run, "preparing")
        tell(run, "Reading the table")
        prepared = prepare(run, files, settings, seed=seed)
        _describe(run, prepared)
        same = asdict(settings)
        del same["epochs"]  # They may be raised for a training that goes on.
        identity = {"settings": same, "table": content_key(files)}
        fitting = Fitting(run, prepared, settings, identity=identity, seed=seed)
        enter_phase(run, "training")
        model, outcome = fitting.run_to_end()
        enter_phase(run, "export")
        tell(run, "Exporting the model")
        export_bundle(
            run.output / "bundle",
            model,
            columns=prepared.columns,
            left_out=prepared.left_out,
            target=settings.target,
            classes=prepared.target.classes,
            algorithm=spec["algorithm"],
            name=spec["name"],
            metrics=outcome.metrics,
        )
        enter_phase(run, "measuring")
        importance = fitting.importance(model)
        tell(run, "Measuring the model")
        measure_own_rows(run, files, prepared, baselines=fitting.baselines, seed=seed, threads=threads)
        columns = [{"name": each["column"], "importance": each["drop"]} for each in importance]
        add_to_summary(run.output / "evaluation", importance=columns)
    record = {
        "threads": threads,
        "gpus": spec["gpus"],
        "gpu_models": devices.models(spec["gpus"]),
        "precision": "float32",
        "seed": seed,
        "task": prepared.target.task,
        "epochs": outcome.epochs,
        "kept_epoch": outcome.epoch,
        "network_share": outcome.share,
        "table": identity["table"],
        "rows": {
            "table": prepared.rows,
            "trained_on": len(prepared.train),
            "held_out": len(prepared.held_out),
            "without_target": prepared.target.missing,
            "target_is_no_number": prepared.target.mismatched,
        },
        "columns": [{"name": each.name, "type": each.kind} for each in prepared.columns],
        "left_out": [{"name": each.name, "why": to_json(each.left_out)} for each in prepared.left_out],
    }
    run.progress(1.0)
    run.finish(
        metrics=outcome.metrics,
        epochs=outcome.epochs,
        baselines=fitting.baselines,
        importance=importance,
        record=record,
    )


def _describe(run: RunFolder, prepared: Any) -> None:
    """Say how the table is understood."""
    target = prepared.target
    text = f"{prepared.rows} rows; {target.task}"
    if target.is_classification:
        text += f" of {len(target.classes)} classes"
    tell(run, text)
    if target.missing:
        tell(run, f"{target.missing} rows without a target are left out")
    if target.mismatched:
        tell(run, f"{target.mismatched} rows whose target is no number are left out")
    for kind in ("number", "category", "text", "date"):
        names = [column.name for column in prepared.columns if column.kind == kind]
        if names:
            tell(run, f"{kind.capitalize()}: {', '.join(names[:30])}{', …' if len(names) > 30 else ''}")
    for column in prepared.left_out[:30]:
        tell(run, f"Left out: {column.name}, as {column.left_out}")
